"""What to weigh for a batch of a campaign, and what was weighed for its samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaign.files import read_file, write_file
from campaign.filters import FormulaSpace, composition_of
from campaign.formulas import formula
from campaign.sharing import WEIGHED
from campaign.spaces import Space
from campaign.spaces.base import ELEMENTS
from campaign.synthesis_spec import Synthesis
from campaign.words import listed, quantity
from db.errors import InvalidInput, Problem
from db.records import Design, Recommendation
from lab_io.counter_ions import read_rules
from lab_io.inventory import read_inventory
from lab_io.precursors import Plan, Weighing, plan
from lab_io.schema import Mass
from lab_io.weighing_sheets import ADVICE, WeighingTable, no_precursor, to_csv, to_xlsx, weighing_table

if TYPE_CHECKING:
    from campaign.cards import RecommendedBatch
    from campaign.spec import CampaignSpec
    from campaign.state import State

FORMATS = (".xlsx", ".csv", ".html")
"""Endings of weighing sheets."""


def check_synthesis(spec: CampaignSpec, space: Space, files: Mapping[str, bytes]) -> None:
    """Check that samples of the space can be weighed from the inventory; nothing to check without `synthesis`.

    Raises:
        InvalidInput: the space has no elements, or components that are none; the inventory or the rules cannot be read.
    """
    if (given := spec.synthesis) is None:
        return
    strange = [name for name in space.components if name not in ELEMENTS]
    if not isinstance(space, FormulaSpace) and (strange or not space.components):
        what = f"precursors are weighed for elements, and {listed(strange) or 'the space'} is none"
        raise InvalidInput(Problem("synthesis", what, "remove it, or name the components after elements"))
    read_inventory(files[given.inventory], given.inventory)
    if given.rules:
        read_rules(files[given.rules], given.rules)


def metals(space: Space, design: Design, synthesis: Synthesis) -> dict[str, float]:
    """Fractions of the elements of a design that are weighed: of slabs and crystals, all atoms of the formula count."""
    amounts = composition_of(space, space.x_of(design)).amounts
    weighed = {element: n for element, n in amounts if element not in synthesis.free}
    total = math.fsum(weighed.values())
    return {element: n / total for element, n in weighed.items()} if total > 0 else {}


def plan_of(state: State, items: Sequence[Recommendation], inventory: Path | None = None) -> Plan:
    """What to weigh for recommendations, those left out that are superseded.

    Args:
        state: of a campaign whose spec has `synthesis`.
        items: of one batch, so that all of them take the same precursors.
        inventory: another one than the campaign keeps, such as that of today.

    Raises:
        InvalidInput: the spec says nothing of synthesis, or the inventory cannot be read.
    """
    given = state.spec.synthesis
    if given is None:
        fix = "add `synthesis:` with an inventory and an amount to the spec, and `siteloop revise` the campaign"
        raise InvalidInput(Problem(f"campaign {state.name}", "the spec does not say what samples are made from", fix))
    content, name = state.files.get(given.inventory, b""), given.inventory
    if inventory is not None:
        from lab_io.tables import MAX_BYTES

        content, name = read_file(inventory, str(inventory), MAX_BYTES), inventory.name
    wanted = [r for r in items if r.id not in state.decisions.superseded]
    return plan(
        {r.label: metals(state.space, r.design, given) for r in wanted},
        given.amount,
        read_inventory(content, name),
        read_rules(state.files[given.rules], given.rules) if given.rules else read_rules(),
        balance=given.balance.device,
        pipette=given.pipette.device,
    )


def weighed_masses(state: State) -> dict[str, tuple[Mass, ...]]:
    """Sample label -> what was weighed for it, as far as it is on record."""
    label = {s.id: s.label for s in state.samples}
    found = {sample: rows[-1] for (sample, metric), rows in state.measured.items() if metric == WEIGHED}
    return {label[s]: tuple(Mass(**mass) for mass in m.conditions.get("masses", ())) for s, m in found.items()}


def table_of(state: State, made: Plan) -> WeighingTable:
    """The plan as a table, with what is weighed already."""
    return weighing_table(made, weighed_masses(state))


def batch_table(state: State, batch: RecommendedBatch) -> WeighingTable | None:
    """What to weigh for a batch; None where the spec says nothing of synthesis."""
    return table_of(state, plan_of(state, batch.items)) if state.spec.synthesis is not None else None


def write_weighing(state: State, batch: RecommendedBatch, made: Plan, path: Path) -> Path:
    """Write what to weigh, to print and to fill in: XLSX, CSV or HTML, by the ending of `path`.

    Raises:
        InvalidInput: another ending, an element without a precursor, or the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        what = f"{path.suffix or 'no ending'} is not a format of weighing sheets"
        raise InvalidInput(Problem(str(path), what, f"end the name with {', '.join(FORMATS)}"))
    check_complete(made)
    about = (("campaign", state.name), ("batch", str(batch.batch.number)))
    if ending == ".html":
        content = _page(state, batch, made).encode()
    else:
        table = table_of(state, made)
        content = to_csv(table) if ending == ".csv" else to_xlsx(table, about)
    return write_file(path, content, "the weighing sheet")


def check_complete(made: Plan) -> None:
    """Whether every element can be weighed.

    Raises:
        InvalidInput: one has no precursor; all of them at once.
    """
    if made.missing:
        raise InvalidInput([no_precursor(element, made) for element in made.missing])


def _page(state: State, batch: RecommendedBatch, made: Plan) -> str:
    from campaign.figures import environment

    designs = {r.label: formula(r.design, state.space) for r in batch}
    return str(
        environment()
        .get_template("weigh.html.j2")
        .render(name=state.name, number=batch.batch.number, table=table_of(state, made), designs=designs)
    )


def weighing_json(made: Plan) -> dict[str, Any]:
    """A plan as plain JSON values: masses in mg, volumes in µL, costs in the currency of the inventory."""
    return {
        "inventory": made.inventory,
        "amount_mmol": made.amount,
        "currency": made.currency,
        "cost": made.cost,
        "missing": list(made.missing),
        "shortages": [{"precursor": str(s.precursor), "needed": s.needed, "stock": s.precursor.stock,
                       "unit": s.precursor.unit} for s in made.shortages],
        "solutions": [{"precursor": s.precursor.name, "mass_mg": s.mass, "volume_mL": s.volume,
                       "concentration_mol_L": s.concentration, "portions_uL": dict(s.portions)}
                      for s in made.solutions],
        "samples": [{"sample_id": w.label, **make_json(w)} for w in made.weighings],
    }  # fmt: skip


def make_json(weighing: Weighing) -> dict[str, Any]:
    """What to weigh for one sample as plain JSON values."""
    return {
        "target": dict(weighing.target),
        "obtained": weighing.obtained,
        "cost": weighing.cost,
        "conflicts": [str(c) for c in weighing.conflicts],
        "missing": list(weighing.missing),
        "portions": [
            {
                "element": p.precursor.element,
                "precursor": p.precursor.name,
                "assay": p.precursor.assay,
                "lot": p.precursor.lot,
                "exact": p.exact,  # in the unit of the bottle
                "target": p.taken,
                "unit": p.source.unit,
                "from_solution": None if p.solution is None else str(p.solution),
                "too_small": p.small,
                "hazards": p.precursor.hazards,
                "cost": p.cost,
            }
            for p in weighing.portions
        ],
    }


def makings(state: State, items: Sequence[Recommendation]) -> dict[str, list[str]]:
    """Label -> how to make the sample, in sentences, for cards; empty where the spec says nothing of synthesis."""
    if state.spec.synthesis is None:
        return {}
    made = plan_of(state, items)
    return {w.label: [*_told(w, made)] for w in made.weighings}


def _told(w: Weighing, made: Plan) -> Iterator[str]:
    portions = [f"{p.taken:g} {p.source.unit} {f'of {p.solution}' if p.solution else p.precursor}" for p in w.portions]
    yield f"Weigh {listed(portions)}" if portions else "Nothing can be weighed"
    rounded = ", ".join(f"{e} {x:.4f}" for e, x in w.obtained.items())
    cost = f"; {quantity(w.cost, made.currency)}" if w.cost is not None and made.currency else ""
    yield f"As rounded to the balance: {rounded}{cost}"
    small = [p.precursor.name for p in w.portions if p.small and p.solution is None]
    yield from [f"Mind: too little to weigh well of {listed(small)}"] * bool(small)
    yield from (f"Mind: no precursor of {element} is in {made.inventory}" for element in w.missing)
    yield from (f"Mind: {conflict}" for conflict in w.conflicts)
    hazards = [f"{p.precursor.name} {p.precursor.hazards}" for p in w.portions if p.precursor.hazards]
    yield from [f"Hazards as in the inventory: {'; '.join(hazards)}. {ADVICE}"] * bool(hazards)
