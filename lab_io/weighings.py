"""Weighing sheets that come back: the masses really taken, and the composition that they make.

The sheet is enough by itself: formula, assay and lot stand beside each mass, so that another hydrate or lot than the
planned one is written where it was used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from db.errors import Problem
from db.records import Design
from lab_io.findings import CellError, Status, worst
from lab_io.fixes import Fixes, offered
from lab_io.hydrates import parse_hydrate
from lab_io.inventory import PUREST, Precursor
from lab_io.named import NamedColumns
from lab_io.precursors import composed
from lab_io.schema import CheckedRow, Mass, Result, Weighed
from lab_io.tables import RawTable, Row
from lab_io.units import split_header
from lab_io.words import choices, fold, shown
from lab_io.workbooks import OWN_SHEETS

SHEET = OWN_SHEETS[1]
"""Name of the sheet in a workbook."""
_WORDS = {
    "sample_id": "sample id,sampleid,sample,label",
    "element": "element",
    "precursor": "precursor,formula",
    "assay": "assay,purity",
    "lot": "lot,lot no,lot number",
    "target_mass": "target mass",
    "actual_mass": "actual mass,mass",
    "target_volume": "target volume",
    "actual_volume": "actual volume",
    "concentration": "concentration",
}
_NUMERIC = ("assay", "target_mass", "actual_mass", "target_volume", "actual_volume", "concentration")
FAR = 2.0
"""A mass so many times the target, or the target so many times it, is asked about."""
SAME = 1e-9
"""Fractions this close are those on record."""


def is_weighing(table: RawTable) -> bool:
    """Whether a table is a weighing sheet: it has precursors and actual masses or volumes."""
    names = {fold(split_header(header)[0]) for header in table.header}
    return "precursor" in names and bool(names & {"actual mass", "actual volume"})


def read_weighings(
    table: RawTable,
    designs: Mapping[str, Design],
    targets: Mapping[str, Mapping[str, float]],
    recorded: Mapping[str, Mapping[str, float]],
    fixes: Fixes,
) -> tuple[CheckedRow, ...]:
    """Check a weighing sheet: one row for each sample of it, by the first row that is about it.

    A sample counts as weighed when the mass, or volume, of every precursor of it is filled in; with none of them it is
    pending.

    Args:
        table: as `read_table` gave it.
        designs: known samples and recommendations -> their target designs.
        targets: the same -> fractions of the elements that are weighed.
        recorded: label -> composition weighed, as it is on record.
        fixes: what the owner consents to; `as-stated` for masses far from their targets.

    Raises:
        InvalidInput: a column is missing, or two mean the same.
    """
    reader = _Reader(table, fixes)
    rows: dict[str, list[Row]] = {}
    lost: list[CheckedRow] = []
    for row in table.rows:
        label = reader.text(row, "sample_id")
        if row.finding is not None:
            lost.append(CheckedRow(row.number, row.finding.status, (row.finding.problem,)))
        elif label in designs:
            rows.setdefault(label, []).append(row)
        elif not reader.nothing([row]):
            what = f"{shown(label)} is no sample of the campaign" if label else "the row does not say which sample"
            where = reader.where(row, "sample_id")
            lost.append(CheckedRow(row.number, Status.REJECTED, (Problem(where, what, choices(label, designs)),)))
    done = [reader.checked(label, some, designs[label], targets[label], recorded) for label, some in rows.items()]
    return tuple(sorted([*done, *lost], key=lambda checked: checked.number))


class _Reader(NamedColumns):
    def __init__(self, table: RawTable, fixes: Fixes) -> None:
        super().__init__(table, _WORDS, _NUMERIC, ("sample_id", "precursor"), "the weighing sheet")
        self.fixes = fixes
        self.consented: list[str] = []

    def nothing(self, rows: Sequence[Row]) -> bool:
        """Whether neither a mass nor a volume is filled in."""
        return all(self.empty(row, column) for row in rows for column in ("actual_mass", "actual_volume"))

    def checked(
        self,
        label: str,
        rows: Sequence[Row],
        design: Design,
        target: Mapping[str, float],
        recorded: Mapping[str, Mapping[str, float]],
    ) -> CheckedRow:
        """What the rows of one sample say."""
        number = rows[0].number
        result = Result(label, design, None, {}, "pending", first_row=number)
        if self.nothing(rows):
            return CheckedRow(number, Status.PENDING, (), result)
        self.findings, self.consented = [], []
        taken = [found for row in rows if (found := self._mass(row, target)) is not None]
        absent = [e for e in target if e not in {precursor.element for precursor, _ in taken}]
        if absent and not self.findings:
            fix = "put its row back, with the mass that was weighed, or 0"
            self.note(rows[0], "element", f"{label} is to have {', '.join(absent)}, and no row is about it", fix)
        made = composed((p, m.mass or m.volume or 0.0) for p, m in taken)
        if not made and not self.findings:
            self.note(rows[0], "actual_mass", f"nothing was weighed for {label}", "leave the cells empty, or void it")
        if self.findings:
            return CheckedRow(number, worst(f.status for f in self.findings), tuple(f.problem for f in self.findings))
        weighed = Weighed({e: x for e, x in made.items() if x}, tuple(mass for _, mass in taken))
        known = recorded.get(label)
        if known is not None:
            if _same(known, made):
                return CheckedRow(number, Status.SKIPPED, notes=("the masses are on record",))
            fix = f"keep one of the two; if those on record are wrong, `siteloop void {label}/weighed` first"
            problem = Problem(self.where(rows[0], "actual_mass"), f"other masses of {label} are on record", fix)
            return CheckedRow(number, Status.QUESTION, (problem,))
        status = Status.FIXED if self.consented else Status.ACCEPTED
        conditions = {"fixes": "; ".join(self.consented)} if self.consented else {}
        result = replace(result, status="ok", weighed=weighed, conditions=conditions)
        return CheckedRow(number, status, (), result, tuple(self.consented))

    def _mass(self, row: Row, target: Mapping[str, float]) -> tuple[Precursor, Mass] | None:
        """One precursor and what was taken of it; None where something is wrong, which is kept."""
        before = len(self.findings)
        mass, volume = self.quantity(row, "actual_mass", "mg"), self.quantity(row, "actual_volume", "uL")
        assay = self.share(row, "assay", PUREST)
        concentration = self.quantity(row, "concentration", "mol/L") if volume is not None else None
        text, element, lot = (self.text(row, column) for column in ("precursor", "element", "lot"))
        try:
            formula = parse_hydrate(text)
        except CellError as error:
            self.note(row, "precursor", error.what, error.fix)
            return None
        held = [e for e in formula.atoms if e in target]
        if element and element not in formula.atoms:
            self.note(row, "element", f"{formula.text} has no {element}", "correct the element or the precursor")
        elif (element or "") not in held and len(held) != 1:
            told = f"{formula.text} has {' and '.join(held) or 'nothing'} of what the sample is to be made of"
            self.note(row, "element", told, "correct the precursor, or state its element")
        elif mass is None and volume is None and len(self.findings) == before:
            fix = "write the mass that was weighed, 0 if none was"
            self.note(row, "actual_mass", f"the actual mass of {formula.text} is missing", fix)
        elif mass is not None and volume is not None:
            self.note(row, "actual_mass", "there is a mass and a volume", "keep the one that was taken")
        elif volume is not None and not concentration:
            self.note(row, "concentration", "a volume says nothing without a concentration", "write it, in mol/L")
        if len(self.findings) > before:
            return None
        self._compare(row, "mass", mass, "mg")
        self._compare(row, "volume", volume, "uL")
        if len(self.findings) > before:
            return None
        element = element if element in held else held[0]
        purity = 1.0 if assay is None or volume is not None else assay
        precursor = Precursor(formula.text, element, formula, purity, concentration=concentration)
        return precursor, Mass(element, formula.text, purity, lot, mass, volume, concentration)

    def _compare(self, row: Row, what: str, actual: float | None, unit: str) -> None:
        """Ask about a slip: a decimal sign, or a line of another sample."""
        planned = self.quantity(row, f"target_{what}", unit) if actual is not None else None
        if not planned or actual is None or planned / FAR <= actual <= planned * FAR:
            return
        told = f"the actual {what} {actual:g} {unit} is far from the target {planned:g} {unit}"
        if "as-stated" in self.fixes:
            self.consented.append(f"as-stated: {told}")
            return
        fix = f"check the decimal sign and the line; if it is right, {offered('as-stated')}"
        self.note(row, f"actual_{what}", told, fix, Status.QUESTION)


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return all(math.isclose(one.get(e, 0.0), other.get(e, 0.0), abs_tol=SAME) for e in {*one, *other})
