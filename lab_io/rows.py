"""One row of results at a time: which sample, what it is made of, what was measured, in the units of the spec."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace

from db.errors import Problem
from db.records import Design
from lab_io.answers import parse_answer
from lab_io.cells import Cell, Fault, Percent, address, blank, cell_text
from lab_io.columns import NUMERIC, Heading, Kind, Layout, named_fraction
from lab_io.compositions import parse_formula
from lab_io.findings import CellError, Finding, Status, worst
from lab_io.fixes import Fixes
from lab_io.fractions import Told, read_fractions, read_measured
from lab_io.numbers import Decimal, Number, parse_number
from lab_io.samples import SAME_NUMBER, Samples, check_label, target_key
from lab_io.schema import ANSWERS, Expectation, State, Value
from lab_io.tables import RawTable, Row
from lab_io.units import convert, convert_sd
from lab_io.words import choices, fold, shown

_STATES: dict[str, State] = {
    **dict.fromkeys(("ok", "done", "measured", "good", "success"), "ok"),
    **dict.fromkeys(("failed", "fail", "failure"), "failed"),
    **dict.fromkeys(("void", "invalid", "discarded", "excluded"), "void"),
    **dict.fromkeys(("pending", "planned", "todo", "open", "made"), "pending"),
}
_ROLES = ("candidate", "replicate", "control", "blank", "incumbent")
_NOTHING = {"", "-", "–", "—", "n.d.", "na", "n/a", "none"}


@dataclass
class Draft:
    """A row while it is read."""

    row: Row
    findings: list[Finding] = field(default_factory=list)
    marks: list[Status] = field(default_factory=list)
    """What problems of whole columns make of this row."""
    label: str | None = None
    design: Design = field(default_factory=dict)
    composition: dict[str, float] | None = None
    composition_sd: dict[str, float] = field(default_factory=dict)
    """Standard deviations of measured fractions, as far as they are stated."""
    composition_unit: str | None = None
    """In which it was given, where that is said."""
    part: Told | None = None
    """One measured fraction, in a tidy table."""
    values: dict[str, Value] = field(default_factory=dict)
    status: State = "ok"
    failure_mode: str | None = None
    replicate: str | None = None
    conditions: dict[str, str] = field(default_factory=dict)
    fixes: list[str] = field(default_factory=list)
    """What was changed by consent."""
    left_out: str | None = None
    """Why the row says nothing for the campaign, though nothing is wrong with it."""
    as_stated: bool = False
    """Whether the row itself says that its values, odd as they look, are right."""
    apart: str = ""
    """Tells the samples of equal targets apart, where rows without a label are samples of their own."""

    @property
    def verdict(self) -> Status:
        """What becomes of the row."""
        return worst([*(f.status for f in self.findings), *self.marks])

    @property
    def key(self) -> str:
        """Which sample the row is about, also when it has no label."""
        return self.label if self.label is not None else f"\0{target_key(self.design)}{self.apart}"


class Reader:
    """Reads the rows of one table.

    Args:
        table: the table.
        expect: what the campaign knows.
        layout: what the columns are.
        fixes: what the table's owner consents to.
    """

    def __init__(self, table: RawTable, expect: Expectation, layout: Layout, fixes: Fixes) -> None:
        self.table = table
        self.expect = expect
        self.layout = layout
        self.fixes = fixes
        self.decimal: Decimal = "."
        """The decimal sign of the file."""
        self.doubts = {(index, finding.problem.what): finding for index, finding in layout.doubts.items()}
        """What is said once for many cells of a column."""
        self._samples = Samples(expect)
        self._units = {m.name: m.unit for m in expect.metrics} | {c.name: c.unit for c in expect.columns}
        self._categories = {c.name: c.allowed for c in expect.columns if c.kind == "category"}
        self._metrics = {fold(m.name): m.name for m in expect.metrics}
        self._answers = {m.name for m in expect.metrics if m.boolean}

    def read(self, row: Row) -> Draft:
        """Everything that one row says, and all that is wrong with it."""
        draft = Draft(row)
        if row.finding is not None and self._set_aside(draft, row.finding):
            return draft
        role = fold(self._text(draft, self.layout.one(Kind.ROLE)))
        if role and role not in _ROLES:
            fix = choices(role, _ROLES)
            self.note(draft, self.layout.one(Kind.ROLE), CellError(f"{shown(role)} is not a role", fix))
        if role == "blank":
            draft.left_out = "a blank: kept with the file, and no sample of the campaign"
            return draft
        draft.as_stated = self._read_as_stated(draft)
        self._read_sample(draft, self._target(draft))
        read_measured(self, draft)
        named, heading = self.layout.one(Kind.NAME), self.layout.one(Kind.VALUE)
        if named and heading:
            self._read_tidy(draft, named, heading)
        else:
            self._read_wide(draft)
        self._read_status(draft)
        draft.replicate = self._text(draft, self.layout.one(Kind.REPLICATE)) or draft.replicate
        if role:
            draft.conditions["role"] = role
        for name, extra in self.layout.of(Kind.EXTRA).items():
            if text := self._text(draft, extra):
                draft.conditions[name] = text
        return draft

    def _read_as_stated(self, draft: Draft) -> bool:
        heading = self.layout.one(Kind.AS_STATED)
        if heading is None:
            return False
        try:
            return bool(parse_answer(draft.row.cells[heading.index], self.decimal))
        except CellError as error:
            self.note(draft, heading, error)
            return False

    def _set_aside(self, draft: Draft, finding: Finding) -> bool:
        """Whether a row that may be no data is not read, by consent or because it is asked about."""
        kind, cells = draft.row.kind, draft.row.filled
        if f"drop-{kind.removesuffix('s')}s" in self.fixes or (kind == "hidden" and "drop-hidden" in self.fixes):
            draft.left_out = f"left out by consent: {finding.problem.what}"
        elif kind == "hidden" and "read-hidden" in self.fixes:
            draft.fixes.append("read-hidden: the row is hidden")
            return False
        elif kind == "merged" and "fill-merged" in self.fixes:
            draft.row = replace(draft.row, cells=cells)
            draft.fixes.append(f"fill-merged: {finding.problem.what}")
            return False
        else:
            draft.findings.append(finding)
        return True

    def ask(self, draft: Draft, index: int, what: str, fix: str) -> None:
        """Put a row in question for a reason that is said once for its column."""
        where = self.table.where(self.table.header_row, index)
        self.doubts.setdefault((index, what), Finding(Status.QUESTION, Problem(where, what, fix)))
        draft.marks.append(Status.QUESTION)

    def numeric(self, heading: Heading) -> bool:
        """Whether the cells of a column are numbers."""
        if heading.kind is Kind.METRIC and heading.name in self._answers:
            return False
        return heading.kind in NUMERIC or (heading.kind is Kind.DESIGN and heading.name not in self._categories)

    def note(self, draft: Draft, heading: Heading | None, error: CellError) -> None:
        """Keep what is wrong with a cell, or with the row where there is no such column."""
        row = draft.row.number
        where = self.table.where(row, heading.index) if heading else f"{self.table.name}, row {row}"
        draft.findings.append(error.at(where))

    def number(self, draft: Draft, heading: Heading) -> Number | None:
        """The number in a cell; None when it is empty, or cannot be read, which is then noted."""
        cell = draft.row.cells[heading.index]
        if heading.index in self.layout.doubts and not blank(cell):
            draft.marks.append(self.layout.doubts[heading.index].status)
            return None
        try:
            number = _as_number(cell, self.decimal, "approximate" in self.fixes)
            if isinstance(cell, str) and cell.strip().startswith(("~", "≈")):
                draft.fixes.append(f"approximate: {cell.strip()} in {address(draft.row.number, heading.index)}")
            return number
        except CellError as error:
            self.note(draft, heading, error)
            return None

    def _text(self, draft: Draft, heading: Heading | None) -> str:
        """The text in a cell; empty when there is none, or it cannot be used, which is then noted."""
        if heading is None:
            return ""
        cell = draft.row.cells[heading.index]
        if isinstance(cell, Fault):
            self.note(draft, heading, _fault(cell))
            return ""
        return cell_text(cell)

    def _target(self, draft: Draft) -> Design:
        """The design that the row states, as far as it does."""
        fractions = read_fractions(self, draft, self.layout.of(Kind.ELEMENT))
        formula = self.layout.one(Kind.FORMULA)
        if self.expect.elements and (text := self._text(draft, formula)):
            try:
                parsed = self._formula(draft, text)
                if fractions and self._samples.fractions_differ(parsed, fractions):
                    raise CellError(f"{shown(text)} is not what the fraction columns say", "correct one of the two")
                fractions = fractions or parsed
            except CellError as error:
                self.note(draft, formula, error)
        stated: dict[str, float | str] = dict(fractions or {})
        for name, heading in self.layout.of(Kind.DESIGN).items():
            if not self.numeric(heading):
                if text := self._text(draft, heading):
                    stated[name] = text
                    if (allowed := self._categories[name]) and text not in allowed:
                        self.note(draft, heading, CellError(f"{shown(text)} is no {name}", choices(text, allowed)))
            elif (number := self.number(draft, heading)) is not None:
                value = self._converted(draft, heading, name, number, number.unit or heading.unit)
                if value is not None:
                    stated[name] = value.value
        return stated

    def _formula(self, draft: Draft, text: str) -> dict[str, float]:
        """The fractions of a formula, with what consent makes of it."""
        elements, ignored = self.expect.elements, self.fixes.ignored
        try:
            parsed = parse_formula(text, elements, ignored)
        except CellError as error:
            if error.status is not Status.QUESTION or "renormalise" not in self.fixes:
                raise
            parsed = parse_formula(text, elements, ignored, loose=True)
            draft.fixes.append(f"renormalise: {error.what}")
        if passed := [e for e in ignored if e not in elements and re.search(rf"{e}(?![a-z])", text)]:
            draft.fixes.append(f"ignore={','.join(passed)}: {shown(text)}")
        return parsed

    def _read_sample(self, draft: Draft, stated: Design) -> None:
        """Tie the row to a sample."""
        heading = self.layout.one(Kind.LABEL)
        text = self._text(draft, heading)
        if heading and (original := self._text(draft, self.layout.one(Kind.REPLICATE_OF))):
            draft.replicate, text = text or None, original
        known = text in self.expect.labels
        if draft.verdict is not Status.ACCEPTED and not known:
            return  # whatever is missing may be what is already complained about
        try:
            if heading and text:
                check_label(draft.row.cells[heading.index], text, known=known)
            draft.label, draft.design = self._samples.find(text, stated)
        except CellError as error:
            self.note(draft, heading, error)

    def _read_wide(self, draft: Draft) -> None:
        deviations = self.layout.of(Kind.SD)
        for metric, heading in self.layout.of(Kind.METRIC).items():
            if metric in self._answers:
                self._add_answer(draft, heading, metric)
            elif (number := self.number(draft, heading)) is not None:
                unit = number.unit or heading.unit
                self._add_value(draft, heading, deviations.get(metric), metric, number, unit)

    def _read_tidy(self, draft: Draft, named: Heading, heading: Heading) -> None:
        text = self._text(draft, named)
        metric = self._metrics.get(fold(text))
        if metric in self._answers:
            beside = (Kind.UNIT, Kind.QUALIFIER, Kind.SD)
            told = [t for kind in beside if (t := self._text(draft, self.layout.one(kind)))]
            if wrong := [t for t in told if fold(t) not in (ANSWERS, "=")]:
                what = f"{metric} is yes or no, and {shown(wrong[0])} stands beside it"
                self.note(draft, heading, CellError(what, "leave that cell empty"))
            self._add_answer(draft, heading, metric)
            return
        number = self.number(draft, heading)
        if metric is None and (element := named_fraction(text, self.expect.elements)):
            self._read_part(draft, heading, element, number)
            return
        if metric is None and (text or number):
            what = f"{shown(text)} is not a metric" if text else "the value has no metric"
            self.note(draft, named, CellError(what, choices(text, self._metrics.values())))
        if number is None or metric is None:
            return
        qualifier = self._text(draft, self.layout.one(Kind.QUALIFIER)) or number.qualifier
        if qualifier not in ("=", "<", ">") or number.qualifier not in ("=", qualifier):
            what = f"{shown(qualifier)} is not the qualifier of this value"
            self.note(draft, heading, CellError(what, "use one of =, <, >"))
            return
        unit = number.unit or self._text(draft, self.layout.one(Kind.UNIT)) or heading.unit
        number = replace(number, qualifier=qualifier)
        self._add_value(draft, heading, self.layout.one(Kind.SD), metric, number, unit)

    def _read_part(self, draft: Draft, heading: Heading, element: str, number: Number | None) -> None:
        """Keep one measured fraction, until all of them of the sample are read."""
        spread = self.layout.one(Kind.SD)
        sd = self.number(draft, spread) if spread else None
        if number is None:
            return
        if self._text(draft, self.layout.one(Kind.QUALIFIER)) not in ("", "="):
            self.note(draft, heading, CellError("a fraction cannot be a limit", "write the fraction, or 0"))
            return
        unit = number.unit or self._text(draft, self.layout.one(Kind.UNIT)) or heading.unit
        draft.part = Told(element, number, unit, sd, draft, heading)

    def _add_value(
        self, draft: Draft, heading: Heading, spread: Heading | None, metric: str, number: Number, unit: str | None
    ) -> None:
        """Keep a value, with the standard deviation of its own column when there is one."""
        value = self._converted(draft, heading, metric, number, unit)
        deviation = self.number(draft, spread) if spread else None
        if value is None:
            return
        if deviation is not None and spread is not None:
            try:
                sd = convert_sd(deviation.value, deviation.unit or spread.unit or unit or "", self._units[metric] or "")
                if sd < 0 or deviation.qualifier != "=":
                    raise CellError("a standard deviation is a number from 0 on", "correct it, or leave the cell empty")
                if value.sd is not None and not math.isclose(sd, value.sd, rel_tol=SAME_NUMBER):
                    raise CellError("another standard deviation stands behind ±", "give it once")
                value = replace(value, sd=sd)
            except CellError as error:
                self.note(draft, spread, error)
        draft.values[metric] = value

    def _add_answer(self, draft: Draft, heading: Heading, metric: str) -> None:
        """Keep an answer, as 1 or 0."""
        cell = draft.row.cells[heading.index]
        if heading.index in self.layout.doubts and not blank(cell):
            draft.marks.append(self.layout.doubts[heading.index].status)
            return
        try:
            answered = parse_answer(cell, self.decimal)
        except CellError as error:
            self.note(draft, heading, error)
            return
        if answered is not None:
            place = address(draft.row.number, heading.index)
            draft.values[metric] = Value(float(answered), None, "=", place, cell_text(cell), None, boolean=True)

    def _converted(self, draft: Draft, heading: Heading, name: str, number: Number, unit: str | None) -> Value | None:
        """A number in the unit of the spec; None when that cannot be told, which is then noted."""
        wanted = self._units[name]
        try:
            if unit and wanted is None:
                raise CellError(f"the spec has no unit for {name}, the cell says {unit}", "leave the unit out")
            if wanted and not unit and not _is_plain(wanted):
                what = f"no unit for {name}: neither the header nor the cell says whether it is in {wanted}"
                fix = f"write it in the header, {name} ({wanted}), or answer --unit '{name}={wanted}'"
                self.ask(draft, heading.index, what, fix)
                return None
            value = convert(number.value, unit or "", wanted or "")
            sd = None if number.sd is None else convert_sd(number.sd, unit or "", wanted or "")
            if not math.isfinite(value):
                raise CellError(f"{number.value:g} {unit} is not finite in {wanted}", "check the number and its unit")
        except CellError as error:
            self.note(draft, heading, error)
            return None
        cell = address(draft.row.number, heading.index)
        text, other = cell_text(draft.row.cells[heading.index]), unit is not None and unit != wanted
        return Value(value, sd, number.qualifier, cell, text, unit, other)

    def _read_status(self, draft: Draft) -> None:
        """What became of the sample: as stated, else as the values tell."""
        heading, mode = self.layout.one(Kind.STATUS), self.layout.one(Kind.FAILURE_MODE)
        stated = fold(self._text(draft, heading))
        reason = self._text(draft, mode)
        draft.failure_mode = None if reason.casefold() in _NOTHING else reason
        if stated not in _NOTHING and stated not in _STATES:
            known = ("ok", "failed", "void", "pending")
            self.note(draft, heading, CellError(f"{shown(stated)} is not a status", choices(stated, known)))
            return
        draft.status = _STATES.get(stated, "ok")
        if draft.status == "ok" and not draft.values and not draft.composition and draft.part is None:
            draft.status = "pending"
        if draft.failure_mode and draft.status in ("ok", "pending"):
            what = f"there is a failure mode, and the status is {draft.status}"
            self.note(draft, heading or mode, CellError(what, "write the status failed or void", Status.QUESTION))
        elif draft.status in ("failed", "pending") and draft.values:
            fix = "clear the value, or write the status ok if the sample was measured"
            self.note(draft, heading, CellError(f"the sample is {draft.status}, and has a value", fix, Status.QUESTION))


def _as_number(cell: Cell, decimal: Decimal, approximate: bool) -> Number | None:
    """A typed or written cell as a number, None when it is empty."""
    if isinstance(cell, str):
        return parse_number(cell, decimal=decimal, approximate=approximate)
    if isinstance(cell, Fault):
        raise _fault(cell)
    if isinstance(cell, bool):
        raise CellError(f"{cell_text(cell)} is not a number", "write a number, or leave the cell empty")
    if isinstance(cell, float):
        if not math.isfinite(cell):
            raise CellError(f"{cell} is not a finite number", "leave the cell empty when there is no value")
        return Number(cell.shown, unit="%") if isinstance(cell, Percent) else Number(cell)
    fix = "the spreadsheet probably turned a number into a date: format the cell as a number and type it again"
    raise CellError(f"{shown(cell_text(cell))} is a date or a time, not a number", fix)


def _fault(cell: Fault) -> CellError:
    return CellError(f"the cell holds {cell.text}", "mend the formula, or paste its value")


def _is_plain(unit: str) -> bool:
    """Whether a bare number is a value in this unit."""
    try:
        return convert(1.0, "", unit) == 1.0
    except CellError:
        return False
