"""Replays of several objectives: the share of a finished experiment's hypervolume that is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.hypervolume import hypervolume
from campaign.plate import Plate, load_plate, random_order, regret, score
from campaign.plate_volume import Volume
from campaign.spaces import build_space
from campaign.spec import load_spec
from db.errors import InvalidInput

TWO = [{"name": "uts", "goal": "maximize", "unit": "MPa"}, {"name": "loss", "goal": "minimize", "unit": "mV"}]
SPEC = {
    "spec_version": 1,
    "campaign": "small",
    "seed": 1,
    "space": {"type": "composition_grid", "elements": ["Ni", "Fe", "Co"], "divisions": 4},
    "objectives": TWO,
}
HAND = [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0), (1.0, 1.0)]  # losses


def hand(*reference):
    spec = load_spec(SPEC | {"objectives": [o | {"reference_point": r} for o, r in zip(TWO, reference, strict=True)]})
    values = np.array([(-a, b) for a, b in HAND])
    losses = np.array(HAND)
    return Plate(np.arange(4), values, 0, 0, losses, Volume.of(losses, spec.objectives))


def test_shares_worked_out_by_hand():
    plate = hand(-4.0, 4.0)  # the last candidate beats all others: 3 x 3 from the reference point
    assert plate.volume.whole == pytest.approx(9)
    assert plate.volume.reference == {"uts": -4.0, "loss": 4.0}
    assert plate.volume.shares([0, 2, 1, 3]) == pytest.approx([3 / 9, 5 / 9, 6 / 9, 1])
    assert regret(plate, [0, 3]) == pytest.approx([6 / 9, 0])
    found = score(plate, [0, 2, 1, 3], initial=1)
    assert found == pytest.approx({"first": 4, "found": 1, "regret": (4 / 9 + 3 / 9 + 0) / 3})
    assert score(plate, [0, 2], initial=1)["first"] == 3  # never came there
    assert plate.measured(1) == [-2.0, 2.0]


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(2, 3))
def test_shares_rise_to_one_and_are_those_of_all_that_was_measured(seed, m):
    rng = np.random.default_rng(seed)
    objectives = load_spec(
        SPEC | {"objectives": [{"name": f"o{j}", "goal": "minimize", "unit": ""} for j in range(m)]}
    ).objectives
    losses = rng.normal(size=(25, m)).round(1)
    volume = Volume.of(losses, objectives)
    order = rng.permutation(25).tolist()
    shares = volume.shares(order)
    assert shares[-1] == pytest.approx(1)
    assert (np.diff(shares) >= -1e-12).all()
    half = hypervolume(-torch.from_numpy(losses[order[:12]]), volume.origin)
    assert shares[11] == pytest.approx(half / volume.whole)


def load(rows, header="Ni,Fe,Co,uts (GPa),loss (mV)", spec=SPEC, **options):
    content = "\n".join([header, *(",".join(map(str, row)) for row in rows)]).encode()
    read = load_spec(spec)
    return load_plate(build_space(read.space), read.objectives, content, "plate.csv", **options)


def test_a_table_of_several_objectives():
    found = load([(1, 0, 0, 1, 30), (1, 0, 0, 3, 50), (0, 1, 0, 1, 20), (0.5, 0.5, 0, 0.5, 90)])
    assert found.values.tolist() == [[2000, 40], [1000, 20], [500, 90]]
    assert found.losses.tolist() == [[-2000, 40], [-1000, 20], [-500, 90]]
    assert len(random_order(found, initial=1, budget=3, seed=0)) == 3


def test_what_is_wrong_with_a_table_of_several_objectives():
    rows = [(1, 0, 0, 1, 30), (0, 1, 0, 1, 20)]
    with pytest.raises(InvalidInput) as caught:
        load(rows, "Ni,Fe,Co,uts,loss")
    assert ["uts" in p.what or "loss" in p.what for p in caught.value.problems] == [True, True]
    with pytest.raises(InvalidInput, match="one unit cannot be that of 2 objectives"):
        load(rows, unit="mV")
    with pytest.raises(InvalidInput, match="no column loss"):
        load(rows, "Ni,Fe,Co,uts (GPa),other")
    far = [TWO[0] | {"reference_point": 1e6}, TWO[1] | {"reference_point": 0}]
    with pytest.raises(InvalidInput, match="nothing of it is better than the reference point"):
        load(rows, spec=SPEC | {"objectives": far})
