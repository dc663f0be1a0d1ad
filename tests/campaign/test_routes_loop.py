"""Campaigns on routes and processes: start, recommend, hand the worksheet back, recommend again."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from campaign import Campaign
from campaign.belief import encoder
from campaign.routes import without_steps
from campaign.sentences import sentences
from campaign.spaces.product import route_of
from campaign.spec import load_spec
from db.errors import InvalidInput
from lab_io.worksheets import render

ROUTE = {
    "type": "process_sequence",
    "vocabulary": {
        "melt": {"remelts": {"values": [3, 5]}},
        "roll": None,
        "anneal": {"T": {"values": [973, 1073], "unit": "K"}, "t": {"values": [1, 4], "unit": "h"}},
        "quench": {"medium": {"values": ["water", "air"]}},
    },
    "length": {"min": 1, "max": 4},
    "rules": ["starts_with melt", "max 1 melt", "anneal immediately_before quench"],
}
ALLOY = {"type": "composition_grid", "elements": ["Ni", "Fe", "Co"], "divisions": 2}
HEAT = {
    "type": "process",
    "variables": {
        "T": {"min": 300, "max": 400, "step": 20, "unit": "degC"},
        "t": {"values": [0.5, 1, 2], "unit": "h"},
        "gas": {"values": ["Ar", "N2"]},
    },
}
PRODUCT = {"type": "product", "parts": [{"name": "alloy", **ALLOY}, {"name": "route", **ROUTE}]}


def truth(design):
    """Strength in MPa: a hot anneal helps, and water, nickel and rolling; T has its best at 360."""
    route = str(design.get("route", ""))
    value = 500 + 60 * float(design.get("Ni", 0)) + 40 * route.count("T=1073 K") + 25 * route.count("water")
    value += 15 * route.count("roll")
    if "T" in design:
        value += 50 - 0.02 * (design["T"] - 360) ** 2 + 10 * design["t"] + 20 * (design["gas"] == "N2")
    return value


def started(tmp_path, space, **changes):
    objective = {"name": "uts", "goal": "maximize", "unit": "MPa", "noise_floor": 2}
    spec = {"spec_version": 1, "campaign": "c", "seed": 5, "space": space, "objectives": [objective], "model": "gp"}
    loaded = load_spec({**spec, "batch": {"size": 6}, **changes})
    return Campaign.start(loaded, db=f"sqlite:///{tmp_path}/c.db", by="tests")


def filled(campaign, batch, *, without_labels=False):
    """The worksheet of a batch as the lab hands it back."""
    from campaign.worksheet import worksheet

    text = render(worksheet(campaign.state, batch), "csv").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    by_label = {r.label: r for r in batch}
    for row in rows:
        row["uts (MPa)"] = f"{truth(by_label[row['sample_id']].design):.3f}"
        if without_labels:
            row["sample_id"] = ""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("space", [PRODUCT, HEAT, ROUTE], ids=["product", "process", "route"])
def test_the_loop_closes(tmp_path, space):
    campaign = started(tmp_path, space)
    first = campaign.recommend()
    assert len({r.candidate for r in first}) == 6
    campaign.ingest(filled(campaign, first), name="first.csv", commit=True)
    second = campaign.recommend()
    assert not {r.candidate for r in first} & {r.candidate for r in second}
    state = campaign.state
    assert len(state.observations("uts")) == 6
    for r in second:
        assert state.space.design_candidate(r.design).id == r.candidate
        assert r.prediction["uts"]["sd"] > 0
        assert sentences(r)
    # rows without labels are tied to their samples by what they were to be
    campaign.ingest(filled(campaign, second, without_labels=True), name="second.csv", commit=True)
    state = campaign.state
    assert {s.recommendation for s in state.samples} == {r.id for r in state.recommendations}
    assert not state.pending


def test_a_route_retyped_in_other_words_is_the_same_sample_and_nonsense_is_refused(tmp_path):
    campaign = started(tmp_path, ROUTE)
    batch = campaign.recommend()
    one = next(r for r in batch if "anneal" in r.design["route"])
    loose = str(one.design["route"]).replace(" > ", ">").replace("1073 K", "1073").replace("973 K", "699.85 degC")
    assert loose != one.design["route"]
    campaign.ingest(f'route,uts (MPa)\n"{loose}",510\n'.encode(), name="a.csv", commit=True)
    (sample,) = campaign.state.samples
    assert (sample.candidate, sample.recommendation) == (one.candidate, one.id)
    checked = campaign.ingest(b'route,uts (MPa)\n"melt(remelts=3) > quensh(medium=air)",500\n', name="b.csv")
    (problem,) = checked.problems
    assert "row 2, route, step 2" in problem.where
    assert "did you mean quench" in problem.fix


def test_columns_that_differ_in_case_only_are_kept_apart(tmp_path):
    campaign = started(tmp_path, HEAT)
    rows = b"T (degC),t (h),gas,uts (MPa)\n340,2,N2,500\n300,0.5,Ar,450\n"
    campaign.ingest(rows, name="a.csv", commit=True)
    assert [dict(s.design) for s in campaign.state.samples] in (
        [{"T": 340.0, "t": 2.0, "gas": "N2"}, {"T": 300.0, "t": 0.5, "gas": "Ar"}],
        [{"T": 300.0, "t": 0.5, "gas": "Ar"}, {"T": 340.0, "t": 2.0, "gas": "N2"}],
    )


def test_steps_are_explained_by_leaving_them_out(tmp_path):
    campaign = started(tmp_path, PRODUCT, batch={"size": 16})
    campaign.ingest(filled(campaign, campaign.recommend()), name="a.csv", commit=True)
    batch = campaign.recommend(3)
    space = campaign.state.space
    for r in batch:
        why = r.rationale["objectives"]["uts"]
        x = space.x_of(r.design)
        left = without_steps(space, x)
        assert [s["name"] for s in why.get("steps", [])] == [name for name, _ in left]
        assert why["effects"]
        assert {e["name"] for e in why["effects"]} <= {"Ni", "Fe", "Co"}
        routes, first = route_of(space)
        steps = [name for name, _ in routes.code.route(x[first : first + len(routes.code.columns)])]
        for place, (_, shorter) in enumerate(left):
            rest = routes.code.route(shorter[first : first + len(routes.code.columns)])
            assert [name for name, _ in rest] == steps[:place] + steps[place + 1 :]
        told = " ".join(sentences(r))
        assert not left or "Of the steps, " in told or "No single step" in told


def test_a_network_that_heeds_the_order_is_what_a_transformer_is_here(tmp_path):
    settings = {"members": 1, "epochs": 3, "hidden": 8, "heads": 2}
    campaign = started(tmp_path, ROUTE, model={"type": "transformer", "settings": settings}, batch={"size": 12})
    campaign.ingest(filled(campaign, campaign.recommend()), name="a.csv", commit=True)
    campaign.recommend(2)
    stored = campaign.state.batches[-1].settings["models"]["uts"]
    assert stored["recipe"] == "transformer"
    assert stored["settings"]["ordered"] is True


def test_the_encoder_of_routes_reads_designs_as_the_step_encoder_does(tmp_path):
    import torch

    state = started(tmp_path, PRODUCT).state
    space, encode = state.space, encoder(state)
    routes, first = route_of(space)
    X = space.X(np.linspace(0, space.count - 1, 150).astype(np.int64))
    bags = encode(torch.from_numpy(X))
    written = []
    for x in X:
        route = routes.code.route(x[first : first + len(routes.code.columns)])
        words = [
            [(f"{p}={v}", 1.0) if isinstance(v, str) else (p, v) for p, v in values.items()] for _, values in route
        ]
        written.append([(name, dict(given)) for (name, _), given in zip(route, words, strict=True)])
    expected = encode.steps(written)
    assert torch.equal(bags.features, expected.features)
    assert torch.equal(bags.mask, expected.mask)
    assert bags.labels == expected.labels
    assert bags.kind == "route"
    torch.testing.assert_close(encode.designs(bags), torch.from_numpy(X), atol=1e-9, rtol=0)


def test_a_route_is_no_setting_that_a_batch_could_share(tmp_path):
    with pytest.raises(InvalidInput, match="no design column"):
        started(tmp_path, PRODUCT, batch={"size": 4, "shared": ["route"]})
