"""The messy pack in full: for each kind of spreadsheet error a table, what must be said of it, and what answers it.

The kinds are those of the lab's list of spreadsheet errors. Tables that need more than a bare plate are for a campaign
that measures a polarisation curve (`curve`), a current (`current`), or one in its third week (`later`).
"""

from __future__ import annotations

from typing import Any

from messy_pack import ELEMENTS, GOOD, HEADER, METRIC, OTHER, PACK, UNIT, Case, Expected, row, text_table, workbook

from db.errors import InvalidInput
from lab_io.findings import worst
from lab_io.fixes import Fixes
from lab_io.results import Check, Expectation, Metric, check_results
from lab_io.tables import read_table

ROWS = (
    "eta in V",
    "potential, not overpotential",
    "sign or reference",
    "unit of currents",
    "swapped columns",
    "duplicates",
    "sum of fractions",
    "weight or atoms",
    "missing balance",
    "decimal comma",
    "dates",
    "text in cells",
    "layout",
    "missing rows",
    "element typos",
    "outliers",
)

_KNOWN = {"s1": {"Ni": 0.5, "La": 0.5}, "s2": {"Ni": 0.2, "Co": 0.8}, "s3": {"Fe": 1.0}, "s4": {"Mn": 1.0}}
CAMPAIGNS = {
    "plain": Expectation(elements=ELEMENTS, metrics=(Metric(METRIC, UNIT),)),
    "curve": Expectation(
        elements=ELEMENTS,
        metrics=(Metric("eta_10", "mV"), Metric("eta_100", "mV"), Metric("tafel_slope", "mV/dec")),
        labels=_KNOWN,
    ),
    "current": Expectation(elements=ELEMENTS, metrics=(Metric("activity", "mA/cm^2"),), labels=_KNOWN),
    "later": Expectation(
        elements=ELEMENTS,
        metrics=(Metric(METRIC, UNIT),),
        labels=_KNOWN,
        pending=frozenset({"s1", "s2"}),
        recorded={
            ("s2", METRIC, None): (310.0, "="),
            ("s3", METRIC, None): (330.0, "="),
            ("s4", METRIC, None): (350.0, "="),
        },
    ),
}
CURVE = ("sample_id", "eta_10 (mV)", "eta_100 (mV)", "tafel_slope (mV/dec)")
LATER = ("sample_id", f"{METRIC} ({UNIT})")


def _cases() -> list[Case]:
    made: list[Case] = []

    def add(kind: int, name: str, content: bytes, status: Any, where: str = "", word: str = "", **more: Any) -> None:
        filename = "results.xlsx" if content.startswith(b"PK") else "results.csv"
        made.append(Case(name, filename, content, Expected(status, where, word), row=ROWS[kind], **more))

    def curve(kind: int, name: str, cells: tuple[object, ...], *told: Any, **more: Any) -> None:
        add(kind, name, text_table(CURVE, ("s1", *cells)), *told, campaign="curve", **more)

    curve(0, "one value in V", (224, 0.263, 39.2), "question", "C1", "like values in V", fixes=("V->mV",))
    curve(0, "all values in V", (0.224, 0.263, 39.2), "question", "B1", "V->mV", fixes=("V-to-mV",))
    curve(1, "potential in mV", (224, 1492, 39.2), "question", "C1", "1350 and 2000", fixes=("RHE->overpotential",))
    curve(1, "potential in V", (224, 1.492, 39.2), "question", "C1", "1.35 and 2.0", fixes=("RHE->overpotential",))
    curve(2, "below zero", (-224, 263, 39.2), "rejected", "B2", "reference electrode")
    activity = ("sample_id", "activity (mA/cm^2)")
    jump = text_table(activity, ("s1", 10.2), ("s2", 0.0113), ("s3", 9.8))
    add(3, "A and mA in one column", jump, "rejected", "B4", "jumps by a factor", campaign="current")
    add(
        3,
        "no area",
        text_table(("sample_id", "activity (mA)"), ("s1", 10)),
        "rejected",
        "B1",
        "convert",
        campaign="current",
    )
    add(
        3,
        "no unit of a current",
        text_table(("sample_id", "activity"), ("s1", 10)),
        "question",
        "B1",
        "no unit",
        campaign="current",
        fixes=(),
    )
    curve(4, "a consistent triple", (224, 263, 39.2), "accepted")
    curve(4, "its swapped twin", (263, 224, 39.2), "question", "C2", "falls with the current", fixes=("swapped",))
    curve(
        4,
        "swapped, and right as it stands",
        (263, 224, 39.2),
        "question",
        "C2",
        "Swapped, eta_10 would be 224",
        fixes=("as-stated",),
        after="accepted",
    )
    curve(4, "an ohmic drop", (224, 423, 39.2), "accepted", "csv", "ohmic drop")
    curve(4, "a slope in V", (224, 263, 0.0392), "accepted", "csv", "outside the usual 20 to 200 mV/dec")
    tidy = text_table(
        ("sample_id", "metric", "value", "unit"), ("s1", "eta_10", 263, "mV"), ("s1", "eta_100", 224, "mV")
    )
    add(
        4,
        "a swapped twin in a tidy table",
        tidy,
        "question",
        "C3",
        "falls with the current",
        campaign="curve",
        fixes=("swapped",),
    )
    measured = ("sample_id", "measured Ni", "measured Co", f"{METRIC} ({UNIT})")
    exchanged = text_table(measured, ("s2", 0.8, 0.2, 310))
    add(4, "element columns exchanged", exchanged, "question", "B2", "Ni and Co exchanged", campaign="later")

    again = text_table(LATER, ("s1", 263), ("s1", 280))
    add(5, "another value below", again, "question", "B3", "263 in B2", campaign="later", fixes=("replicates",))
    add(
        5,
        "another value on record",
        text_table(LATER, ("s2", 290)),
        "question",
        "B2",
        "on record as 310",
        campaign="later",
        fixes=("replicates",),
    )
    add(5, "on record", text_table(LATER, ("s2", 310)), "skipped", campaign="later")
    unlabelled = text_table(("Ni", "Fe", HEADER[-1]), (0.5, 0.5, 263), (0.5, 0.5, 280))
    add(
        5,
        "one composition twice",
        unlabelled,
        "question",
        "C3",
        "this composition",
        fixes=("own-samples",),
        after="accepted",
    )
    add(
        5,
        "a replicate of another sample",
        text_table((*LATER, "replicate_of"), ("s2b", 300, "s2")),
        "accepted",
        campaign="later",
    )

    off = text_table(HEADER, row(263, fractions=(0.5, 0.4, 0, 0, 0, 0)))
    add(6, "fractions short of 1", off, "question", "B2", "add up to 0.9", fixes=("renormalise",))
    over = text_table(HEADER, row(263, fractions=(0.7, 0.5, 0, 0, 0, 0)))
    add(6, "fractions beyond 1", over, "question", "B2", "add up to 1.2", fixes=("renormalise",))
    short = text_table(("formula", HEADER[-1]), ("Ni0.5Fe0.4", 263))
    add(6, "a formula short of 1", short, "question", "A2", "add up to 0.9", fixes=("renormalise",), after="fixed")
    oxide = text_table(("formula", HEADER[-1]), ("NiFe2O4", 263))
    add(14, "an oxide", oxide, "rejected", "A2", "has O", fixes=("ignore=O",))
    weights = text_table(("sample_id", "Ni (ICP)", "La (ICP)", HEADER[-1]), ("s1", 0.297, 0.703, 263))
    add(
        7,
        "weights under the name of fractions",
        weights,
        "question",
        "B2",
        "by weight",
        campaign="later",
        fixes=("wt%",),
    )
    said = text_table(
        ("sample_id", "Ni (ICP, wt%)", "La (ICP, wt%)", HEADER[-1]), ("s1", 29.7, 70.3, 263), separator=";"
    )
    add(7, "weights said", said, "accepted", "B1", "by weight", campaign="later")
    host = text_table(("sample_id", "Ni", "Fe", HEADER[-1]), ("s9", 0.2, 0.1, 263))
    add(8, "no column of the host", host, "question", "B2", "balance=Co", fixes=("balance=Co",))
    add(
        9,
        "mixed decimal signs below",
        text_table(LATER, ("s1", "263,5"), ("s2", "301.5"), separator=";"),
        "rejected",
        "csv",
        "mixed",
        campaign="later",
    )
    either = text_table(LATER, ("s1", "1,234"), separator="\t")
    add(
        9,
        "comma or thousands, settled",
        either,
        "question",
        "csv",
        "thousands",
        campaign="later",
        fixes=("decimal=,",),
        after="accepted",
    )
    add(10, "a label that became a number", workbook(HEADER, row(263, label=45000)), "question", "A2", "2023-03-15")
    add(
        11,
        "about, by consent",
        text_table(LATER, ("s1", "~270")),
        "question",
        "B2",
        "approximate",
        campaign="later",
        fixes=("approximate",),
    )
    add(11, "below the limit", text_table(LATER, ("s1", "<250")), "accepted", campaign="later")

    two = text_table(("sample_id", "composition", "", "", "", "", "", HEADER[-1]), ("", *ELEMENTS, ""), GOOD, OTHER)
    add(12, "two header rows", two, "refused", "C2", "two rows", fixes=("header-rows=2",), after="accepted")

    def spanning(sheet: Any) -> None:
        sheet.merge_cells("B1:G1")
        sheet.merge_cells("A1:A2")

    spanned = workbook(
        ("sample_id", "composition (at.%)", *[None] * 5, HEADER[-1]),
        (None, *ELEMENTS, None),
        row(263, fractions=(50, 50, 0, 0, 0, 0)),
        edit=spanning,
    )
    add(12, "merged headers", spanned, "refused", "C2", "two rows", fixes=("header-rows=2",), after="accepted")
    add(
        12,
        "a title above",
        text_table(("Results of May",), HEADER, GOOD),
        "refused",
        "csv",
        "header-row=2",
        fixes=("header-row=2",),
        after="accepted",
    )
    mean = text_table(HEADER, GOOD, ("mean", *[""] * 6, 263))
    add(12, "an average below", mean, "question", "A3", "averages", fixes=("drop-averages",), after="skipped")
    note = text_table(HEADER, GOOD) + b"\nmeasured on Friday,,,,,,,\n"
    add(12, "a note below, by consent", note, "question", "A4", "note", fixes=("drop-notes",), after="skipped")

    def conceal(sheet: Any) -> None:
        sheet.row_dimensions[3].hidden = True
        sheet.column_dimensions["F"].hidden = True
        extra = sheet.parent.create_sheet("old")
        extra.append(["sample_id"])
        extra.sheet_state = "hidden"

    hidden = workbook(HEADER, GOOD, OTHER, edit=conceal)
    add(12, "a hidden row, left out", hidden, "question", "A3", "hidden", fixes=("drop-hidden",), after="skipped")
    add(12, "a hidden row, read", hidden, "question", "A3", "hidden", fixes=("read-hidden",))

    def unseen(sheet: Any) -> None:
        conceal(sheet)
        sheet.row_dimensions[3].hidden = False

    add(12, "a hidden column", workbook(HEADER, GOOD, edit=unseen), "accepted", "F1", "hidden")
    add(12, "a hidden sheet", workbook(HEADER, GOOD, edit=unseen), "accepted", "xlsx", "'old'")
    labels = workbook(HEADER, GOOD, (None, *OTHER[1:]), edit=lambda sheet: sheet.merge_cells("A2:A3"))
    add(
        12,
        "a merged label",
        labels,
        "question",
        "A2",
        "merged",
        fixes=("fill-merged", "leave-out-questions"),
        after="skipped",
    )
    values = workbook(HEADER, GOOD, (*OTHER[:7], None), edit=lambda sheet: sheet.merge_cells("H2:H3"))
    add(12, "a merged value", values, "question", "H2", "merged", fixes=("fill-merged",))
    add(
        12,
        "an unknown role",
        text_table((*LATER, "role"), ("s1", 263, "blnk")),
        "rejected",
        "C2",
        "did you mean blank",
        campaign="later",
    )
    add(12, "a blank", text_table((*LATER, "role"), ("bare foam", 480, "blank")), "skipped", campaign="later")
    add(
        13,
        "a sample that is not in the file",
        text_table(LATER, ("s1", 263)),
        "accepted",
        "",
        "still pending: s2",
        campaign="later",
    )
    add(14, "an unknown symbol", text_table(("formula", HEADER[-1]), ("Ni0.5Xx0.5", 263)), "rejected", "A2", "Xx")
    add(
        14,
        "a symbol in Greek",
        text_table(("formula", HEADER[-1]), ("Ni0.5\u039cn0.5", 263)),
        "rejected",
        "A2",
        "GREEK",
    )
    drift = ((f"r{i}", i / 20, 1 - i / 20, 0, 0, 0, 0, 300 + i) for i in range(10))
    far = text_table(HEADER, *drift, row(2630))
    add(15, "a value ten times too large", far, "accepted", "csv", "far from the rest of the column")
    tripled = [
        (label, value, n)
        for label, base in (("s1", 263), ("s3", 330))
        for n, value in enumerate((base, base + 2, base + 4, base + 1))
    ]
    tripled += [("s4", 350, 1), ("s4", 352, 2), ("s4", 420, 3)]
    spread = text_table((*LATER, "replicate"), *tripled)
    add(15, "a replicate far from the others", spread, "accepted", "csv", "420 in B12", campaign="later")
    shift = text_table((*LATER, "replicate"), ("s2", 330, 2), ("s3", 351, 2), ("s4", 369, 2))
    add(15, "controls that moved together", shift, "accepted", "csv", "moved by +20", campaign="later")
    return made


ALL: list[Case] = [*PACK, *_cases()]


def faults(case: Case) -> list[str]:
    """What a check of a table does not say as it should; empty when all is well."""
    found, status, problems, remarks = [], *_said(case, ())
    if status != case.expect.status:
        found.append(f"it is {status} and not {case.expect.status}: {'; '.join(map(str, problems))}")
    if bool(problems) != (status not in ("accepted", "fixed", "skipped", "pending")):
        found.append(f"{len(problems)} problems of a table that is {status}")
    told = problems or remarks
    if case.expect.word:
        with_word = [p for p in told if case.expect.word in f"{p[1]} {p[2]}"]
        if not with_word:
            found.append(f"nobody says {case.expect.word!r}: {'; '.join(': '.join(p) for p in told)}")
        elif not any(p[0].endswith(case.expect.where) for p in with_word):
            found.append(f"it is not said of {case.expect.where} but of {', '.join(p[0] for p in with_word)}")
    for where, what, fix in problems:
        if not (where.startswith(case.filename) and what and fix and len(where + what + fix) < 400):
            found.append(f"a problem without place, words or remedy, or with too many: {where}: {what}. {fix}")
    if case.fixes:
        answered, left, _ = _said(case, case.fixes)
        if answered != case.after or left:
            found.append(f"with {', '.join(case.fixes)} it is {answered} and not {case.after}: {left}")
    return found


def _said(case: Case, fixes: tuple[str, ...]) -> tuple[str, list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Status of the worst row, problems and remarks (where, what, fix)."""
    try:
        check = check_table(case, Fixes.parse(fixes))
    except InvalidInput as error:
        return "refused", [(p.where, p.what, p.fix) for p in error.problems], []
    remarks = [(p.where, p.what, p.fix) for p in check.notices]
    remarks.append(("", f"still pending: {', '.join(check.still_pending)}", ""))
    status = str(worst(r.status for r in check.rows))
    return status, [(p.where, p.what, p.fix) for p in check.problems], remarks


def check_table(case: Case, fixes: Fixes) -> Check:
    """The check of a case in its campaign."""
    rows = {"header_row": fixes.whole("header-row"), "header_rows": fixes.whole("header-rows") or 1}
    table = read_table(case.content, case.filename, **rows)
    return check_results(table, CAMPAIGNS[case.campaign], fixes=fixes)
