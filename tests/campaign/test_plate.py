import itertools

import numpy as np
import pytest

from campaign.plate import Plate, initial_draw, load_plate, random_order, regret, score
from campaign.spaces import build_space
from campaign.spec import load_spec
from db.errors import InvalidInput

SPEC = {
    "spec_version": 1,
    "campaign": "small",
    "seed": 1,
    "space": {"type": "composition_grid", "elements": ["Ni", "Fe", "Co"], "divisions": 4},
    "objectives": [{"name": "eta", "goal": "minimize", "unit": "mV"}],
}


def plate(values, sign=1):
    array = np.array(values, dtype=float)
    return Plate(np.arange(len(values)), array, 0, 0, sign * array)


def test_figures_of_an_order_worked_out_by_hand():
    values = [10.0] + [20.0] * 150 + [30.0] * 149  # 300 candidates: the best 1 % are 3, ties with the third included
    found = score(plate(values), [299, 298, 5, 0], initial=1)
    assert found["first"] == 3  # a 20 ties with the third best
    assert found["found"] == pytest.approx(2 / 151)
    assert found["regret"] == pytest.approx(np.mean([2.0, 1.0, 0.0]))


def test_an_order_that_never_gets_there_counts_one_more_than_it_had():
    assert score(plate(range(100)), [50, 60], initial=1)["first"] == 3


def test_maximising_is_minimising_the_negative():
    values = np.random.default_rng(0).normal(size=300)
    order = list(range(0, 300, 7))
    assert score(plate(values), order, 5) == score(plate(-values, sign=-1), order, 5)
    assert regret(plate(values), order) == regret(plate(-values, sign=-1), order)


def test_random_orders_begin_with_the_initial_draw_and_never_repeat():
    p = plate(range(50))
    order = random_order(p, initial=10, budget=30, seed=4)
    assert order[:10] == initial_draw(p, 10, 4) == np.random.default_rng(4).choice(50, 10, replace=False).tolist()
    assert len(set(order)) == 30


def table(rows, header=None):
    lines = ([header] if header else []) + [",".join(map(str, row)) for row in rows]
    return "\n".join(lines).encode()


def load(content, **options):
    spec = load_spec(SPEC)
    return load_plate(build_space(spec.space), spec.objectives, content, "plate.csv", **options)


def test_values_are_converted_replicates_averaged_and_gaps_counted():
    rows = [(0.25, 0.75, 0, 0.4), (0.25, 0.75, 0, 0.6), (1, 0, 0, 0.3), (0.1, 0.9, 0, 0.2)]
    found = load(table(rows), columns=["Ni", "Fe", "Co", "eta"], unit="V")
    assert found.values.tolist() == pytest.approx([500, 300])
    assert (found.unmeasured, found.outside) == (13, 1)


def test_a_header_with_units_needs_no_options():
    assert load(table([(1, 0, 0, 0.3)], "Ni,Fe,Co,eta (V)")).values.tolist() == pytest.approx([300])


def test_problems_name_file_and_row_all_at_once():
    rows = [(1, 0, 0, "x"), (0, 1, 0, 300), (0, "", 1, 300)]
    with pytest.raises(InvalidInput) as caught:
        load(table(rows, "Ni,Fe,Co,eta (mV)"))
    assert [p.where for p in caught.value.problems] == ["plate.csv, row 2", "plate.csv, row 4"]
    with pytest.raises(InvalidInput, match=r"no column eta; .* `--columns Ni,Fe,Co,eta`"):
        load(table([(1, 0, 0, 1)], "Ni,Fe,Co,overpotential"))
    with pytest.raises(InvalidInput, match="none of its 1 rows lies in the space"):
        load(table([(0.1, 0.9, 0, 300)], "Ni,Fe,Co,eta (mV)"))


def test_every_candidate_can_be_found():
    grid = [(a / 4, b / 4, (4 - a - b) / 4, a) for a, b in itertools.product(range(5), repeat=2) if a + b <= 4]
    assert len(load(table(grid, "Ni,Fe,Co,eta (mV)"))) == 15
