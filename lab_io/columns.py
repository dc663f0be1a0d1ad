"""What each column of a table is: names as labs write them, units in the header, and a mapping where needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from db.errors import Problem
from lab_io.findings import CellError, Finding, Status
from lab_io.headers import GROUP
from lab_io.schema import ANSWERS, Expectation
from lab_io.tables import RawTable
from lab_io.units import convert, is_unit, parse_unit, same_dimension, split_header
from lab_io.words import choices, fold, lookalike, nearest, script, shown


class Kind(StrEnum):
    """What a column holds."""

    LABEL = "sample_id"
    FORMULA = "formula"
    ELEMENT = "fraction"
    MEASURED = "measured fraction"
    MEASURED_SD = "standard deviation of a measured fraction"
    DESIGN = "design column"
    METRIC = "metric"
    SD = "standard deviation"
    STATUS = "status"
    FAILURE_MODE = "failure_mode"
    REPLICATE = "replicate"
    REPLICATE_OF = "replicate_of"
    ROLE = "role"
    EXTRA = "condition"
    NAME = "metric name"
    VALUE = "value"
    UNIT = "unit"
    QUALIFIER = "qualifier"
    AS_STATED = "as stated"
    IGNORED = "ignored"


NUMERIC = (Kind.ELEMENT, Kind.MEASURED, Kind.MEASURED_SD, Kind.METRIC, Kind.SD, Kind.VALUE)
"""Kinds of which every cell is a number; design columns depend."""

_WORDS = {
    Kind.LABEL: "sample id,sampleid,sample,sample name,sample no,label,id",
    Kind.FORMULA: "formula,composition",
    Kind.STATUS: "status,state,outcome",
    Kind.FAILURE_MODE: "failure mode,failure,failure reason",
    Kind.REPLICATE: "replicate,rep,repeat,replicate no",
    Kind.REPLICATE_OF: "replicate of,repeat of",
    Kind.ROLE: "role,sample role,sample type",
    Kind.NAME: "metric,quantity,property",
    Kind.VALUE: "value",
    Kind.UNIT: "unit,units",
    Kind.QUALIFIER: "qualifier",
    Kind.SD: "sd,std,stdev",
    Kind.AS_STATED: "as stated",
    Kind.IGNORED: "rank,candidate,ignore,set aside",
}
_EXTRAS = {
    "operator": "operator",
    "batch": "batch",
    "batch id": "batch",
    "instrument": "instrument",
    "instrument id": "instrument",
    "lab": "lab",
    "laboratory": "lab",
    "method": "method",
    "protocol": "protocol",
    "protocol version": "protocol",
    "made at": "made_at",
    "date made": "made_at",
    "measured at": "measured_at",
    "date measured": "measured_at",
    "measurement date": "measured_at",
    "notes": "notes",
    "note": "notes",
    "comment": "notes",
    "comments": "notes",
    "remarks": "notes",
}
CONDITIONS = tuple(dict.fromkeys(_EXTRAS.values()))
"""What a table may say of a measurement beside its value."""

_METHOD = re.compile(
    r"(?:icp|icp[- ]?(?:oes|ms|aes)|eds|edx|xrf|xps|wds|epma|measured|meas\.?)(?: [^,;]{0,20})?(?:[,;] *(?P<unit>.+))?",
    re.IGNORECASE,
)
"""What brackets behind an element say when it was measured: `Ni (ICP)`, `Ni (EDX, at.%)`."""
_MEASURED = re.compile(r"\b(icp|eds|edx|xrf|xps|wds|epma|measured)\b", re.IGNORECASE)
KEPT = "condition: "
"""Before the name of a column that our own exports keep with the measurements."""
_KEEP = re.compile(r"keep(?: (?P<name>\S.{0,59}))?", re.IGNORECASE)
"""In a mapping: a column that is kept with the measurements, under its own name or another one."""
FEW = 6
"""More columns than these that are not read make one remark."""
_TIDY_ONLY = (Kind.VALUE, Kind.UNIT, Kind.QUALIFIER)


@dataclass(frozen=True, slots=True)
class Heading:
    """One column that is read."""

    index: int
    kind: Kind
    name: str
    """Of the fraction, metric, design column or condition; else empty."""
    unit: str | None = None
    """As answered, or written in the header or the row of units."""


@dataclass
class Layout:
    """All columns of a table, and what is wrong with them."""

    headings: list[Heading] = field(default_factory=list)
    fatal: list[Finding] = field(default_factory=list)
    """The rows cannot be read."""
    doubts: dict[int, Finding] = field(default_factory=dict)
    """By column: the cells of this column cannot be read."""
    notices: list[Problem] = field(default_factory=list)

    def of(self, kind: Kind) -> dict[str, Heading]:
        """Columns of one kind by name."""
        return {h.name: h for h in self.headings if h.kind is kind}

    def one(self, kind: Kind) -> Heading | None:
        """The column of a kind that has no name."""
        return next((h for h in self.headings if h.kind is kind), None)


def read_layout(table: RawTable, expect: Expectation, mapping: Mapping[str, str], units: Mapping[str, str]) -> Layout:
    """Tell what each column is.

    Args:
        table: the table.
        expect: names and units of the campaign.
        mapping: column name in the file -> our name (`sample_id`, a metric, `measured Ni`, `ignore`).
        units: column name in the file, or our name -> unit, in answer to a question; wins over the header.
    """
    layout = Layout()
    names = _Names(expect)
    _check_answers(table, names, mapping, units, layout)
    unread: list[tuple[int, str]] = []
    for index, header in enumerate(table.header):
        if not header:
            continue
        kind, name, unit = names.mapped(header, mapping) or (None, "", None)
        if header in mapping and unit is None:
            unit = split_header(header)[1]
            unit = method["unit"] if unit and (method := _METHOD.fullmatch(unit)) else unit
        if kind is None:
            unread.append((index, header))
            continue
        unit = _stated_unit(table, index, unit, layout)
        unit = units.get(header, units.get(name, unit) if name else unit)
        layout.headings.append(Heading(index, kind, name, unit))
    tidy = layout.one(Kind.NAME) is not None and layout.one(Kind.VALUE) is not None
    if tidy and (wide := layout.of(Kind.METRIC)):
        what = f"the table has the columns metric and value, and also {', '.join(wide)}"
        _fatal(layout, f"{table.name}, row {table.header_row}", what, "use one of the two forms, or map to ignore")
    if not tidy:
        loose = [h for h in layout.headings if h.kind in _TIDY_ONLY or h.kind is Kind.NAME or _bare_sd(h)]
        unread += [(h.index, table.header[h.index]) for h in loose]
        layout.headings = [h for h in layout.headings if h not in loose]
    _check_twice(table, layout)
    _check_units(table, expect, layout)
    _check_unread(table, names, unread, layout)
    _check_needed(table, expect, layout)
    return layout


class _Names:
    """Every name that a column may have, the campaign's own first."""

    def __init__(self, expect: Expectation) -> None:
        self.exact = {e: (Kind.ELEMENT, e) for e in expect.elements}
        self.columns = {column.name for column in expect.columns}
        self.folded: dict[str, tuple[Kind, str]] = {}
        for metric in expect.metrics:
            self.folded[fold(metric.name)] = (Kind.METRIC, metric.name)
            if metric.boolean:
                continue
            for pattern in ("{} sd", "sd {}", "{} std", "{} stdev"):
                self.folded.setdefault(fold(pattern.format(metric.name)), (Kind.SD, metric.name))
        for column in expect.columns:
            self.folded[fold(column.name)] = (Kind.DESIGN, column.name)
        for kind, words in _WORDS.items():
            for word in words.split(","):
                self.folded.setdefault(word, (kind, ""))
        for word, name in _EXTRAS.items():
            self.folded.setdefault(word, (Kind.EXTRA, name))

    def find(self, header: str) -> tuple[Kind, str, str | None] | None:
        """Kind, name and unit text of a column name, or None when nobody knows it."""
        if found := self._plain(header):
            return found
        group, sign, leaf = header.rpartition(GROUP)
        if not sign or not (found := self._plain(leaf)):
            return None
        above, unit = split_header(group)
        kind, name, own = found
        if kind is Kind.ELEMENT and _MEASURED.search(above):
            kind = Kind.MEASURED
        return kind, name, own or (unit if unit and is_unit(unit) else None)

    def _plain(self, header: str) -> tuple[Kind, str, str | None] | None:
        """The same of a name in one row."""
        if header.startswith(KEPT):
            return Kind.EXTRA, header.removeprefix(KEPT), None
        for text, unit in ((header, None), split_header(header)):
            if text in self.exact:
                if unit and (method := _METHOD.fullmatch(unit)):
                    return Kind.MEASURED, text, method["unit"]
                return *self.exact[text], unit
            if (element := _measured(text)) in self.exact:
                return Kind.MEASURED, element, unit
            if (element := _measured(_of_sd(text))) in self.exact:
                return Kind.MEASURED_SD, element, unit
            if text in self.columns:  # T and t may be two of them
                return Kind.DESIGN, text, unit
            if fold(text) in self.folded:
                return *self.folded[fold(text)], unit
            if fold(text).startswith(("predicted ", "planned cost")):  # columns of our own worksheets
                return Kind.IGNORED, "", None
        return None

    def mapped(self, header: str, mapping: Mapping[str, str]) -> tuple[Kind, str, str | None] | None:
        """The same of a column of the file, as a mapping has it."""
        if header in mapping and (kept := _KEEP.fullmatch(mapping[header])):
            return Kind.EXTRA, kept["name"] or header, None
        return self.find(mapping.get(header, header))

    def wanted(self) -> list[str]:
        """Names of fractions, metrics and design columns."""
        ours = (Kind.METRIC, Kind.DESIGN)
        return [*self.exact, *(name for kind, name in dict.fromkeys(self.folded.values()) if kind in ours)]


def _measured(text: str) -> str:
    """The element of `measured Ni`, `Ni measured`, `Ni_meas`, else the empty text."""
    found = re.fullmatch(r"(?:measured|meas)[ _](.+)|(.+?)[ _](?:measured|meas)", text, re.IGNORECASE)
    return (found[1] or found[2]) if found else ""


def _of_sd(text: str) -> str:
    """What `measured Ni sd` is the standard deviation of, else the empty text."""
    found = re.fullmatch(r"(?:sd|std|stdev)[ _](.+)|(.+?)[ _](?:sd|std|stdev)", text, re.IGNORECASE)
    return (found[1] or found[2]) if found else ""


def named_fraction(text: str, elements: tuple[str, ...]) -> str | None:
    """The element whose measured fraction a row of a tidy table holds: `Co`, `x_Co`, `measured Co`, `Co (ICP)`."""
    name, method = split_header(text)
    bare = name if method is None or _METHOD.fullmatch(method) else text
    for known in (bare, bare.removeprefix("x_"), _measured(bare)):
        if known in elements:
            return known
    return None


def _bare_sd(heading: Heading) -> bool:
    return heading.kind is Kind.SD and not heading.name


def _check_answers(
    table: RawTable, names: _Names, mapping: Mapping[str, str], units: Mapping[str, str], layout: Layout
) -> None:
    """Answers must concern columns that exist, and say something we know."""
    for header, ours in mapping.items():
        if header not in table.header:
            _fatal(layout, "mapping", f"the table has no column {shown(header)}", choices(header, table.header))
        elif names.mapped(header, mapping) is None:
            known = [*names.wanted(), "sample_id", "formula", "status", "keep", "ignore"]
            _fatal(layout, "mapping", f"{shown(header)} is mapped to the unknown {shown(ours)}", choices(ours, known))
    for column, unit in units.items():
        if column not in table.header and not any((n := names.find(h)) and n[1] == column for h in table.header):
            _fatal(layout, "units", f"the table has no column {shown(column)}", choices(column, table.header))
        try:
            parse_unit(unit)
        except CellError as error:
            layout.fatal.append(error.at(f"units, {column}"))


def _stated_unit(table: RawTable, index: int, unit: str | None, layout: Layout) -> str | None:
    """The unit of the header or of the row of units, which must not contradict each other."""
    below = table.units[index]
    if unit and below and unit != below:
        what = f"the header says {shown(unit)}, the row of units {shown(below)}"
        _fatal(layout, table.where(table.header_row + 1, index), what, "give the unit once")
    return unit or below


def _check_twice(table: RawTable, layout: Layout) -> None:
    """No two columns may mean the same; of several columns that could be the label, the most explicit one is taken."""
    rank = {word: n for n, word in enumerate(_WORDS[Kind.LABEL].split(","))}
    labels = [h for h in layout.headings if h.kind is Kind.LABEL]
    labels.sort(key=lambda h: rank.get(fold(table.header[h.index]), -1))
    for spare in labels[1:]:
        what = (
            f"{shown(table.header[spare.index])} is not read: {shown(table.header[labels[0].index])} names the samples"
        )
        layout.notices.append(Problem(table.where(table.header_row, spare.index), what, "map it if that is wrong"))
        layout.headings.remove(spare)
    seen: dict[tuple[Kind, str], Heading] = {}
    for heading in layout.headings:
        if heading.kind is Kind.IGNORED:
            continue
        first = seen.setdefault((heading.kind, heading.name), heading)
        if first is not heading:
            one, other = shown(table.header[first.index]), shown(table.header[heading.index])
            what = f"{one} and {other} would both be read as {heading.name or heading.kind}"
            _fatal(layout, table.where(table.header_row, heading.index), what, "rename one, or map it to ignore")


def _check_units(table: RawTable, expect: Expectation, layout: Layout) -> None:
    """The unit of a column must convert to that of the spec."""
    boolean = {m.name for m in expect.metrics if m.boolean}
    wanted = {m.name: m.unit for m in expect.metrics} | {c.name: c.unit for c in expect.columns if c.kind == "number"}
    for heading in layout.headings:
        fraction = heading.kind in (Kind.ELEMENT, Kind.MEASURED, Kind.MEASURED_SD)
        if not heading.unit or not (fraction or heading.name in wanted):
            continue
        if heading.name in boolean and fold(heading.unit) in (ANSWERS, "y/n"):
            continue
        target = "" if fraction else wanted[heading.name]
        where = table.where(table.header_row, heading.index)
        try:
            if target is None:
                parse_unit(heading.unit)
                fix = "give the spec the unit, or take it out of the header"
                raise CellError(f"the spec has no unit for {heading.name}, the table says {heading.unit}", fix)
            if not (fraction and same_dimension(heading.unit, "wt%")):
                convert(1.0, heading.unit, target)
        except CellError as error:
            layout.doubts[heading.index] = error.at(where)


def _check_unread(table: RawTable, names: _Names, unread: list[tuple[int, str]], layout: Layout) -> None:
    """Columns that nobody knows: a notice, or a question when a wanted column is missing and the name is close."""
    strange: list[Problem] = []
    measured = (Kind.MEASURED, Kind.MEASURED_SD)
    missing = [n for n in names.wanted() if n not in {h.name for h in layout.headings if h.kind not in measured}]
    for index, header in unread:
        where = table.where(table.header_row, index)
        name = split_header(header)[0]
        if (latin := lookalike(header)) and names.find(latin):
            what = f"{shown(header)} is written with {script(header)} letters that look like {latin}"
            _fatal(layout, where, what, f"type {latin} again")
        elif meant := nearest(name, missing):
            what = f"{shown(header)} is not a column that is read, and there is no column {meant}"
            _fatal(layout, where, what, f"did you mean {meant}? Rename the column, or map it", Status.QUESTION)
        else:
            strange.append(Problem(where, f"the column {shown(header)} is not read", "map it if it should be"))
    if len(strange) > FEW:
        some = ", ".join(shown(header) for _, header in unread[:FEW])
        what = f"{len(strange)} columns are not read: {some}, ..."
        strange = [Problem(f"{table.name}, row {table.header_row}", what, "map those that should be")]
    layout.notices += strange


def _check_needed(table: RawTable, expect: Expectation, layout: Layout) -> None:
    """A table needs something that says which sample, and something that says what came of it."""
    where = f"{table.name}, row {table.header_row}"
    misspelt = any(f.status is Status.QUESTION for f in layout.fatal)
    fractions = layout.of(Kind.ELEMENT)
    composed = bool(fractions) or layout.one(Kind.FORMULA) is not None
    designed = all(c.name in layout.of(Kind.DESIGN) for c in expect.columns) and (composed or not expect.elements)
    if not misspelt and layout.one(Kind.LABEL) is None and not designed:
        columns = ", ".join([*expect.elements, *(c.name for c in expect.columns)])
        fix = f"add the worksheet's sample_id, or the columns {columns}"
        _fatal(layout, where, "no column says which sample a row is about", fix)
    if fractions and (absent := [e for e in expect.elements if e not in fractions]):
        what = f"no column for {', '.join(absent)}: read as 0"
        layout.notices.append(Problem(where, what, "add the columns if these are in the samples"))
    outcome = (Kind.METRIC, Kind.NAME, Kind.STATUS, Kind.MEASURED)
    if not misspelt and not any(layout.of(kind) for kind in outcome):
        metrics = ", ".join(f"{m.name} ({m.unit})" if m.unit else m.name for m in expect.metrics)
        _fatal(layout, where, "no column holds results", f"add a column {metrics}, or map one to it")


def _fatal(layout: Layout, where: str, what: str, fix: str, status: Status = Status.REJECTED) -> None:
    layout.fatal.append(Finding(status, Problem(where, what, fix)))
