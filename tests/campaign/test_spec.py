"""The spec: what is valid, what is said of what is not, and that nothing is lost on the way through YAML."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign import yaml
from campaign.spaces import build_space, read_sources
from campaign.spec import CampaignSpec, Objective, check_space, json_schema, load_spec
from campaign.spec_words import describe
from campaign.templates import TEMPLATES, write_template
from db.errors import Conflict, InvalidInput, Problem, UsageError

SMALLEST = """\
spec_version: 1
campaign: oer-plate
seed: 7
space:
  type: composition_grid
  elements: [Ni, Fe, Co, Mn, Ce, La]
  divisions: 10
  max_elements: 4
objectives:
  - {name: overpotential, goal: minimize, unit: mV}
batch: {size: 8}
"""

PLATE = """\
spec_version: 1
campaign: oer-plate-6el
seed: 7
space:
  type: composition_grid
  elements: [Mn, Fe, Co, Ni, La, Ce]
  divisions: 10
  max_elements: 4
  bounds: {Ce: {max: 0.6}}
  constraints: ["La + Ce <= 0.7", "Ni >= 0.1 or Co >= 0.1"]
objectives:
  - {name: overpotential, goal: minimize, unit: mV, at: {j: 10 mA/cm^2, area: geometric}, noise_floor: 8 mV}
batch: {size: 32, controls: [{design: {Ni: 0.5, Fe: 0.5}, n: 2}]}
budget: {samples: 320}
model: gp
acquisition: qLogEI
explain: {type: element_direction, step: 0.1}
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load_spec(text, "plate.yaml")
    return [str(p) for p in caught.value.problems]


def test_the_smallest_spec_stands_with_its_defaults() -> None:
    spec = load_spec(SMALLEST)
    assert spec.batch.size == 8
    assert spec.model.type == "auto"
    assert spec.acquisition.type == "portfolio"
    assert spec.explanation.type == "element_direction"
    assert spec.intervals.levels == (0.80, 0.95)
    assert spec.intervals.adaptive is True
    assert build_space(spec.space).count == 2_121


def test_the_plate_example() -> None:
    spec = load_spec(PLATE)
    space = build_space(spec.space)
    check_space(spec, space)
    assert space.count == 1_736
    assert spec.objectives[0].noise_floor_value == 8.0
    assert describe(spec, space) == (
        "Minimise overpotential (mV) at j = 10 mA/cm^2 and area = geometric, over 1,736 compositions of Mn, Fe, Co, "
        "Ni, La and Ce in steps of 1/10, with at most 4 elements, Ce <= 0.6, La + Ce <= 0.7 and "
        "(Ni >= 0.1 or Co >= 0.1), in batches of 32, 2 controls among them, at most 320 samples in all. Model: gp; "
        "acquisition: qLogEI; intervals: 80% and 95%; explanation: element_direction; seed: 7."
    )


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_are_valid_as_they_stand(template: str, tmp_path: Path) -> None:
    path, *_ = write_template(template, tmp_path / "mine.yaml")
    spec = load_spec(path)
    space = build_space(spec.space, read_sources(spec.space, tmp_path))
    check_space(spec, space)
    assert space.count > spec.batch.size
    assert f"{space.count:,}" in describe(spec, space)
    with pytest.raises(Conflict):
        write_template(template, path)


def test_an_unknown_template_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean plate"):
        write_template("plates", tmp_path / "x.yaml")
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_template("plate", tmp_path / "no" / "x.yaml")


@pytest.mark.parametrize("written", ["qlognei", "qLogNEI", "{type: QLOGNEI}"])
def test_choices_are_bare_names_or_mappings_in_any_case(written: str) -> None:
    assert load_spec(SMALLEST + f"acquisition: {written}\n").acquisition.type == "qLogNEI"


def test_a_choice_has_its_own_options() -> None:
    spec = load_spec(SMALLEST + "acquisition: {type: ucb, beta: 1}\nexplain: none\n")
    assert spec.resolved()["acquisition"] == {"type": "UCB", "beta": 1.0}
    assert spec.resolved()["explain"] == {"type": "none"}


INVALID = [
    ("seed: 7", "seed: true", "line 3, seed: true is not a whole number of 0 or more"),
    ("seed: 7", "seed: 7.0", "line 3, seed: 7.0 is not a whole number"),
    ("seed: 7", "seed: -1", "line 3, seed: -1 is not a whole number of 0 or more"),
    ("seed: 7\n", "", "line 1, seed: `seed` is missing. Fix: add `seed:` with a whole number of 0 or more"),
    ("spec_version: 1", "spec_version: 2", "line 1, spec_version: 2 is not 1"),
    ("oer-plate", "oer plate", "line 2, campaign: 'oer plate' cannot be used here. Fix: Name of the campaign: letters"),
    ("oer-plate", "x" * 65, "line 2, campaign: 'xxx"),
    ("oer-plate", "../up", "line 2, campaign: '../up' cannot be used here"),
    (
        "composition_grid",
        "composition_gird",
        "line 4, space: 'composition_gird' is none of composition_grid, composition_simplex, candidate_table, "
        "doped_slab, structure_files, process, process_sequence and product. Fix: did you mean composition_grid?",
    ),
    ("type: composition_grid", "kind: grid", "line 4, space: a mapping of 4 keys has no `type`"),
    ("divisions: 10", "divisions: ten", "line 7, space.divisions: 'ten' is not a whole number from 1 to 1000"),
    ("divisions: 10", "divisions: 0", "line 7, space.divisions: 0 is not a whole number from 1 to 1000"),
    (
        "divisions: 10",
        "divsions: 10",
        "line 7, space.divsions: the key 'divsions' is unknown here. Fix: did you mean divisions?",
    ),
    ("divisions: 10", "divsions: 10", "line 4, space.divisions: `divisions` is missing"),
    ("divisions: 10", "divisions: 10\n  divisions: 20", "line 8, space.divisions: the key 'divisions' appears twice"),
    ("Mn, Ce", "CO, Ce", "line 6, space.elements[3]: 'CO' is not the symbol of an element. Fix: did you mean Co?"),
    (
        "Mn, Ce",
        "Со, Ce",
        "line 6, space.elements[3]: 'Со' is not the symbol of an element. Fix: type it again in Latin letters: Co",
    ),
    ("Mn, Ce", "No, Ni", "line 6, space.elements[4]: Ni is listed twice"),
    ("Mn, Ce", "1, Ce", "line 6, space.elements[3]: 1 is not text"),
    ("[Ni, Fe, Co, Mn, Ce, La]", "[]", "line 6, space.elements: a list of 0 items is not a list of at least 1 item"),
    ("max_elements: 4", "bounds: {Cu: {max: 0.5}}", "line 8, space.bounds.Cu: 'Cu' is not an element of this space"),
    ("max_elements: 4", "bounds: {Ce: {max: 60}}", "line 8, space.bounds.Ce.max: 60 is not a number from 0 to 1"),
    ("max_elements: 4", "bounds: {Ce: 0.6}", "line 8, space.bounds.Ce: 0.6 is not a mapping"),
    (
        "max_elements: 4",
        "constraints: [Ni + Cu <= 1]",
        "line 8, space.constraints[0]: 'Cu' is not a component of this space, at column 6",
    ),
    (
        "minimize",
        "minimise",
        "line 10, objectives[0].goal: 'minimise' is not one of minimize, maximize, match. Fix: did you mean minimize?",
    ),
    ("minimize", "match", "line 10, objectives[0].target: `match` needs a target"),
    ("minimize", "minimize, target: 3", "line 10, objectives[0].target: `target` goes with `goal: match`"),
    ("unit: mV", "unit: mVV", "line 10, objectives[0].unit: 'mVV' is not a known unit. Fix: did you mean mV?"),
    (
        "unit: mV",
        "unit: mV, noise_floor: 8 K",
        "line 10, objectives[0].noise_floor: the unit 'K' does not convert to 'mV'",
    ),
    ("unit: mV", "unit: mV, noise_floor: 0 V", "line 10, objectives[0].noise_floor: '0 V' is not above zero"),
    ("unit: mV", "unit: mV, noise_floor: some", "line 10, objectives[0].noise_floor: 'some' is not a quantity"),
    ("unit: mV", "unit: mV, noise_floor: true", "line 10, objectives[0].noise_floor: true is not a quantity"),
    ("unit: mV", "unit: mV, at: {j: 10 xyz/cm^2}", "line 10, objectives[0].at.j: 'xyz/cm^2' is not a known unit"),
    ("unit: mV", "unit: mV, at: {j: [1]}", "line 10, objectives[0].at.j: a list of 1 item is not a quantity"),
    ("name: overpotential", "name: Sample_ID", "objectives[0].name: 'Sample_ID' is also a column of every worksheet"),
    ("name: overpotential", "name: ni", "line 10, objectives[0].name: 'ni' is also a column of the space"),
    ("name: overpotential", "name: eta (mV)", "line 10, objectives[0].name: 'eta (mV)' cannot be used here"),
    ("batch: {size: 8}", "batch: {size: 1001}", "line 11, batch.size: 1001 is not a whole number from 1 to 1000"),
    (
        "batch: {size: 8}",
        "batch: {size: 2, controls: [{design: {Ni: 1}, n: 2}]}",
        "line 11, batch.controls: 2 controls in a batch of 2 leave nothing",
    ),
    (
        "batch: {size: 8}",
        "batch: {controls: [{design: {Ni: yes please, Fe: true}}]}",
        "line 11, batch.controls[0].design.Fe: true is not a number or text",
    ),
    ("batch: {size: 8}", "batch: 8", "line 11, batch: 8 is not a mapping"),
    ("batch: {size: 8}", "acquisition: qLogNE", "line 11, acquisition: 'qLogNE' is none of"),
    (
        "batch: {size: 8}",
        "acquisition: {type: UCB, beta: -1}",
        "line 11, acquisition.beta: -1 is not a number of 0 or more",
    ),
    (
        "batch: {size: 8}",
        "acquisition: {type: qLogEI, beta: 1}",
        "line 11, acquisition.beta: the key 'beta' is unknown here",
    ),
    (
        "batch: {size: 8}",
        "model: {surrogate: gp}",
        "line 11, model: a mapping of 1 key has no `type`. Fix: write one of auto, gp",
    ),
    ("batch: {size: 8}", "model:", "line 11, model: found an empty value"),
    (
        "batch: {size: 8}",
        "model: {type: forest, settings: {members: 3}}",
        "line 11, model.settings: recipe 'forest' has no setting members",
    ),
    (
        "batch: {size: 8}",
        "model: {type: mean_pool, settings: {hidden: wide}}",
        "line 11, model.settings: hidden of recipe 'mean_pool' is like 32; 'wide' is not",
    ),
    (
        "batch: {size: 8}",
        "model: {type: mean_pool, settings: {head: class}}",
        "line 11, model.settings.head: a class head predicts no number",
    ),
    ("batch: {size: 8}", "explain: {type: element_direction, step: 2}", "line 11, explain.step: 2 is not a number"),
    (
        "batch: {size: 8}",
        "intervals: {levels: [0.95, 0.8]}",
        "line 11, intervals.levels: [0.95, 0.8] is not ascending. Fix: write [0.8, 0.95]",
    ),
    (
        "batch: {size: 8}",
        "intervals: {levels: [80]}",
        "line 11, intervals.levels[0]: 80 is not a number above 0 and below 1",
    ),
    ("batch: {size: 8}", "intervals: {adaptive: 1}", "line 11, intervals.adaptive: 1 is not true or false"),
    (
        "batch: {size: 8}",
        "bugdet: {samples: 3}",
        "line 11, bugdet: the key 'bugdet' is unknown here. Fix: did you mean budget?",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), INVALID)
def test_what_is_said_of_an_invalid_spec(old: str, new: str, message: str) -> None:
    assert old in SMALLEST
    found = problems_of(SMALLEST.replace(old, new))
    assert any(message in problem for problem in found), found
    assert all(problem.startswith("plate.yaml, line") for problem in found)


def test_all_problems_come_at_once() -> None:
    text = (
        SMALLEST.replace("seed: 7", "seed: x").replace("divisions: 10", "divisions: 0").replace("mV", "mVV")
        + "foo: 1\n"
    )
    assert [p.split(":")[0] for p in problems_of(text)] == [
        "plate.yaml, line 3, seed",
        "plate.yaml, line 7, space.divisions",
        "plate.yaml, line 10, objectives[0].unit",
        "plate.yaml, line 12, foo",
    ]


def test_an_item_that_is_wrong_does_not_make_its_list_too_short() -> None:
    assert len(problems_of(SMALLEST.replace("minimize", "least"))) == 1


def test_two_objectives_of_one_name() -> None:
    text = SMALLEST.replace("unit: mV}", "unit: mV}\n  - {name: Overpotential, goal: maximize}")
    (found,) = problems_of(text)
    assert "line 11, objectives[1].name: 'Overpotential' is also the name of another objective" in found


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b", "3"])
def test_a_document_that_is_no_mapping(text: str) -> None:
    assert "a spec is a mapping" in problems_of(text)[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "gone.yaml", "No such file"), (tmp_path, "is not a file")):
        with pytest.raises(InvalidInput, match=message):
            load_spec(path)


def test_plain_values_are_a_spec_too_and_errors_have_no_line() -> None:
    values = yaml.load(SMALLEST).value
    assert load_spec(values) == load_spec(SMALLEST)
    with pytest.raises(InvalidInput, match=r"^spec, seed: 'x' is not"):
        load_spec(values | {"seed": "x"})


def test_differences_are_scaled_and_not_shifted() -> None:
    objective = Objective(name="T_onset", goal="match", target=80, unit="degC", noise_floor="8 K")
    assert objective.noise_floor_value == pytest.approx(8)
    assert Objective(name="eta", goal="minimize", unit="mV", noise_floor="0.008 V").noise_floor_value == pytest.approx(
        8
    )
    assert Objective(name="eta", goal="minimize", unit="mV", noise_floor=8).noise_floor_value == 8


def test_a_table_column_that_is_an_objective_or_a_control_beside_the_space() -> None:
    text = SMALLEST.replace("batch: {size: 8}", "batch: {controls: [{design: {Ni: 0.5, Pt: 0.5}}]}")
    spec = load_spec(text)
    with pytest.raises(InvalidInput, match=r"batch.controls\[0\].design.Pt: 'Pt' is not a component"):
        check_space(spec, build_space(spec.space))
    values = spec.resolved() | {"space": {"type": "candidate_table", "file": "x.csv"}, "batch": {}}
    spec = load_spec(values)
    with pytest.raises(InvalidInput, match=r"objectives\[0\].name: 'overpotential' is also a column of the space"):
        check_space(spec, build_space(spec.space, {"x.csv": b"T,overpotential\n1,2\n2,3\n"}))


elements = st.lists(st.sampled_from(["Ni", "Fe", "Co", "Mn", "Ce", "No", "Y"]), min_size=1, max_size=5, unique=True)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
grids = elements.flatmap(
    lambda names: st.fixed_dictionaries(
        {"type": st.just("composition_grid"), "elements": st.just(names), "divisions": st.integers(1, 1000)},
        optional={
            "min_elements": st.integers(1, 9),
            "max_elements": st.none() | st.integers(1, 9),
            "bounds": st.dictionaries(
                st.sampled_from(names), st.fixed_dictionaries({}, optional={"max": st.floats(0, 1)}), max_size=2
            ),
            "constraints": st.just([f"{names[0]} <= 0.5"]),
        },
    )
)
columns = st.dictionaries(
    text, st.sampled_from(["fraction", "category", {"type": "number", "unit": "degC"}]), max_size=3
)
tables = st.fixed_dictionaries({"type": st.just("candidate_table"), "file": st.just("a/b.csv"), "columns": columns})
conditions = st.floats(-9, 9) | st.booleans() | st.sampled_from(["100 mA/cm^2", "1e-3 1/s", "geometric", "No"])
objectives = st.fixed_dictionaries(
    {"name": st.sampled_from(["eta", "uts"]), "goal": st.just("match"), "target": st.floats(-9, 9)},
    optional={
        "unit": st.just("mV"),
        "tolerance": st.floats(0.1, 9) | st.none(),
        "at": st.dictionaries(text, conditions, max_size=2),
        "noise_floor": st.floats(0.1, 9) | st.none(),
    },
)
specs = st.fixed_dictionaries(
    {
        "spec_version": st.just(1),
        "campaign": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True),
        "seed": st.integers(0, 2**62),
        "space": grids | tables,
        "objectives": st.lists(objectives, min_size=1, max_size=2, unique_by=lambda o: o["name"]),
    },
    optional={
        "owner": text,
        "batch": st.fixed_dictionaries(
            {"size": st.integers(2, 1000)}, optional={"controls": st.just([{"design": {"No": 1}}])}
        ),
        "budget": st.fixed_dictionaries({}, optional={"samples": st.integers(1, 99)}),
        "model": st.sampled_from(["auto", "gp", {"type": "gated_attention"}]),
        "acquisition": st.sampled_from(["qLogEI", "thompson", {"type": "UCB", "beta": 1}]),
        "explain": st.sampled_from(["none", {"type": "element_direction", "step": 0.05}]),
        "intervals": st.fixed_dictionaries({"levels": st.just([0.5, 0.9]), "adaptive": st.booleans()}),
    },
)


@given(specs)
def test_a_spec_survives_yaml_json_and_itself(values: dict[str, Any]) -> None:
    if len(values["objectives"]) > 1 and "UCB" in str(values.get("acquisition")):
        values = {k: v for k, v in values.items() if k != "acquisition"}  # UCB takes one objective
    spec = load_spec(values)
    assert load_spec(spec.resolved()) == spec
    assert load_spec(yaml.dump(spec.resolved())) == spec
    assert load_spec(yaml.dump(values)) == spec
    assert CampaignSpec.model_validate(json.loads(spec.model_dump_json())) == spec


JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | text
    | st.just([])
    | st.just({})
    | st.just([{"type": "gp"}])
)


def problems_or_none(source: str | dict[str, Any]) -> tuple[Problem, ...]:
    try:
        load_spec(source, "damaged.yaml")
    except InvalidInput as error:
        return error.problems
    return ()


@given(specs, st.data())
def test_a_damaged_spec_is_read_or_refused(values: dict[str, Any], data: st.DataObject) -> None:
    damaged = copy.deepcopy(values)
    for _ in range(data.draw(st.integers(1, 4))):
        node: Any = damaged
        while True:
            keys = list(range(len(node))) if isinstance(node, list) else sorted(node)
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and data.draw(st.booleans()):
                node = node[key]
                continue
            if isinstance(node, dict) and data.draw(st.booleans()):
                node[data.draw(text)] = node.pop(key)
            else:
                node[key] = copy.deepcopy(data.draw(JUNK))
            break
    for source in (damaged, json.dumps(damaged)):
        assert all(p.where and p.what and p.fix for p in problems_or_none(source))


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    text = PLATE
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 12)))
        text = (
            text[:start] + data.draw(st.text(max_size=4) | st.text("{}[]:,-#&*!|>'\"%@ \n\t", max_size=4)) + text[stop:]
        )
    assert all(p.where.startswith("damaged.yaml") and p.what and p.fix for p in problems_or_none(text))


def test_every_field_says_what_it_is() -> None:
    schema = json_schema()
    parts = {"CampaignSpec": schema, **schema["$defs"]}
    missing = [
        f"{part}.{name}"
        for part, definition in parts.items()
        for name, field in definition.get("properties", {}).items()
        if name != "type" and not field.get("description")
    ]
    assert missing == []
    assert len(parts) > 15


def test_the_schema_knows_bare_names_and_required_keys() -> None:
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert set(schema["required"]) == {"spec_version", "campaign", "seed", "space", "objectives"}
    names = next(option["enum"] for option in schema["properties"]["model"]["anyOf"] if "enum" in option)
    assert {"auto", "gp", "forest", "gated_attention", "blend"} <= set(names)


def test_reading_a_spec_needs_no_heavy_library() -> None:
    code = (
        "import sys; from campaign.spec import load_spec; from campaign.spaces import build_space;"
        f"build_space(load_spec({SMALLEST!r}).space);"
        "print([m for m in ('torch', 'pandas', 'pymatgen', 'sqlalchemy') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_a_target_may_carry_its_unit() -> None:
    wish = {"name": "eta", "goal": "match", "unit": "mV", "target": "0.3 V", "tolerance": "2000 uV"}
    objective = Objective(**wish)
    assert (objective.target, objective.tolerance) == pytest.approx((300, 2))
    warm = Objective(name="T", goal="match", unit="degC", target="300 K", tolerance="5 K")
    assert (warm.target, warm.tolerance) == pytest.approx((26.85, 5))
    with pytest.raises(InvalidInput, match=r"objectives\[0\]\.target"):
        load_spec(yaml.load(SMALLEST, "spec").value | {"objectives": [wish | {"target": "3 kg"}]})
