"""The hash of a fit is that of all that is saved of it."""

from dataclasses import replace

import pytest

from surrogates import Targets, fit
from surrogates.fitted import load


def test_a_fit_that_is_loaded_has_the_hash_that_it_was_saved_with(any_fit, tmp_path):
    any_fit.save(tmp_path)
    assert load(tmp_path).hash == any_fit.hash


@pytest.mark.parametrize("seed", [3, 4])
def test_the_same_fit_has_the_same_hash_and_another_seed_another(bags, values, small_forest, forest_fit, seed):
    again = fit(small_forest, bags, Targets.exact(values), seed=seed)
    assert (again.hash == forest_fit.hash) == (seed == 3)


def test_one_changed_number_changes_the_hash(gp_fit):
    value = gp_fit.problem.value.clone()
    value[0, 0] += 1e-12
    assert replace(gp_fit, problem=replace(gp_fit.problem, value=value)).hash != gp_fit.hash
