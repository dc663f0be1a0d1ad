"""Tables, specs and mappings as hypothesis makes them up: mostly in order, with some of everything that goes wrong."""

from __future__ import annotations

import copy
import io
from typing import Any

import yaml
from hypothesis import strategies as st
from messy_pack import ELEMENTS, workbook

HEADERS = (
    *("sample_id", "formula", *ELEMENTS, "overpotential (mV)", "overpotential", "overpotential [V]", "sd"),
    *(
        "metric",
        "value",
        "unit",
        "qualifier",
        "status",
        "failure_mode",
        "replicate",
        "replicate_of",
        "role",
        "operator",
    ),
    *("overpotential_sd", "Ni (ICP)", "Fe (ICP)", "Ni (wt%)", "measured Co", "notes", "measured_at", "N\u0456", "NI"),
    *("composition (at.%): Ni", "eta_10", "", " ", "x" * 300, "\u202eNi", "overpotential (mV) (V)", "5", "=A1"),
)
WORDS = (
    *("263", "0.263", "263 mV", "0.263 V", "<5", ">900", "~270", "270±5", "n.d.", "-263", "1493", "1.493", "2630"),
    *("0.5", "50", "0,5", "1,234", "1.234", "1 234.5", "1e-3", "1e999", "nan", "inf", "-inf", "NaN", "９9", "26²", "٣"),
    *(
        "Ni0.5Fe0.5",
        "Ni50Fe50",
        "NiFe2O4",
        "Ni0.5\u0421o0.5",
        "Ni-0.5-Fe-0.5",
        "((((((Ni",
        "Ni1e9",
        "Ni0",
        "Ni0.00001Fe",
    ),
    *(
        "s1",
        "s2",
        "1-2",
        "2-Jan",
        "45000",
        "b1-01",
        "s1 ",
        "S_1",
        "mean",
        "average",
        "Note: x",
        "* x",
        "#REF!",
        "#DIV/0!",
    ),
    *("=1+1", "=cmd|' /C calc'!A0", "@x", "+1", "'=x", "''", "ok", "failed", "void", "pending", "okish", "film gone"),
    *(
        "mV",
        "V",
        "at.%",
        "wt%",
        "mA",
        "overpotential",
        "=",
        "<",
        "TRUE",
        "\x00",
        "\x1b[31m",
        "\u202e",
        "\ud800",
        "\ufeff",
    ),
    *(
        "../../etc/passwd",
        "C:\\x",
        "'; drop table sample; --",
        "${x}",
        "{{7*7}}",
        "%s%n",
        "\U0001f9ea",
        "é\u0301",
        "١٢٣",
    ),
    *("-", "", "", "", "", " ", "\u00a0", "\t", "0", "1", "9" * 400, "a" * 300, "<script>alert(1)</script>"),
)
FIXES = (
    *("V->mV", "RHE->overpotential", "swapped", "as-stated", "wt%", "renormalise", "approximate", "replicates"),
    *("own-samples", "drop-averages", "drop-notes", "fill-merged", "leave-out-questions", "leave-out-rejected"),
    *("balance=Co", "balance=\u0421o", "ignore=O,H", "decimal=,", "decimal=.", "header-row=1", "header-row=2"),
    *("header-rows=2", "header-row=99999", "header-rows=5", "nonsense", "balance=", ""),
)
WIDE = ("sample_id", *ELEMENTS, "overpotential (mV)")

_word = st.one_of(st.sampled_from(WORDS), st.sampled_from(WORDS), st.text(max_size=8))
_fractions = st.sampled_from(
    [(0.5, 0.5, 0, 0, 0, 0), (0, 0.3, 0.7, 0, 0, 0), (0.2, 0.2, 0.2, 0.4, 0, 0), (1, 0, 0, 0, 0, 0)]
)


@st.composite
def _good_row(draw: st.DrawFn) -> list[Any]:
    return ["", *draw(_fractions), draw(st.sampled_from([263, 301.5, "0.3 V", "<250", "270±5", ""]))]


@st.composite
def grids(draw: st.DrawFn) -> list[list[Any]]:
    """A table as rows: a good one with a few cells changed, or one of any columns and words."""
    if draw(st.integers(0, 2)):
        grid = [list(WIDE), *draw(st.lists(_good_row(), min_size=1, max_size=6))]
        for n, good in enumerate(grid[1:]):
            good[0] = f"s{n + 2}"
        for _ in range(draw(st.integers(0, 3))):
            row = draw(st.integers(0, len(grid) - 1))
            match draw(st.integers(0, 4)):
                case 0 | 1 if grid[row]:
                    grid[row][draw(st.integers(0, len(grid[row]) - 1))] = draw(_word)
                case 2 if grid[row]:
                    del grid[row][-1]
                case 3:
                    grid.insert(row, list(grid[draw(st.integers(0, len(grid) - 1))]))
                case _:
                    grid[row].append(draw(st.sampled_from(HEADERS)))
        return grid
    header = draw(st.lists(st.sampled_from(HEADERS), min_size=1, max_size=9))
    width = st.integers(max(len(header) - 1, 0), len(header) + 1)
    return [header, *([draw(_word) for _ in range(draw(width))] for _ in range(draw(st.integers(0, 5))))]


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes, list[str]]:
    """Name and bytes of a table, and the answers that go with it."""
    grid = draw(grids())
    if draw(st.integers(0, 9)) == 0:
        name, content = "t.xlsx", _workbook(grid)
    else:
        separator = draw(st.sampled_from([",", ",", ",", ";", "\t"]))
        text = "\n".join(separator.join(str(c) for c in row) for row in grid)
        encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"]))
        name, content = (
            "t.csv",
            text.encode(encoding, "surrogatepass" if "16" in encoding or "8" in encoding else "replace"),
        )
    if draw(st.integers(0, 9)) == 0 and content:
        kept = draw(st.integers(0, 100))  # of a hundred: workbooks differ in length by when they are written
        content = content[: len(content) * kept // 100] + draw(st.binary(max_size=6))
    fixes = draw(st.lists(st.sampled_from(FIXES), max_size=3, unique=True)) if draw(st.integers(0, 2)) == 0 else []
    answers = [f"--accept-fix={fix}" for fix in fixes]
    if draw(st.integers(0, 4)) == 0:
        ours = draw(st.sampled_from(("overpotential", "ignore", "keep", "x", "", "V")))
        answers += [draw(st.sampled_from(["--map", "--unit"])), f"{draw(st.sampled_from(HEADERS))}={ours}"]
    return name, content, answers


def _workbook(grid: list[list[Any]]) -> bytes:
    from openpyxl.utils.exceptions import IllegalCharacterError

    try:
        return workbook(
            *[[c.encode("utf-8", "replace").decode() if isinstance(c, str) else c for c in r] for r in grid]
        )
    except (IllegalCharacterError, ValueError):
        return b"PK\x03\x04" + str(grid).encode("utf-8", "replace")


_scalar = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(
        ["No", "~", "null", "true", "*a", "&a x", "!!python/object:os.system x", "2026-01-01", "12:30", "[1", "{a"]
    ),
    st.integers(-5, 100_000),
    st.floats(allow_nan=True),
    st.booleans(),
    st.none(),
    st.text(max_size=8),
)
_value = st.one_of(
    _scalar,
    st.lists(_scalar, max_size=4),
    st.dictionaries(st.sampled_from(["type", "name", "min", "max", "file", "n", "design", "x"]), _scalar, max_size=3),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything in a document."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _places(inner, (*path, key))
    return found


@st.composite
def documents(draw: st.DrawFn, good: list[dict[str, Any]]) -> bytes:
    """YAML of a good document with a few things changed."""
    document = copy.deepcopy(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(_places(document) or [("x",)]))
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        action = draw(st.integers(0, 4))
        if action <= 1 or isinstance(inner, list):
            inner[path[-1]] = draw(_value)
        elif action == 2:
            del inner[path[-1]]
        elif action == 3:
            inner[draw(st.sampled_from(["x", "seed", "model", "filters", "cost", "where", "accept", "colums"]))] = draw(
                _value
            )
        else:
            inner[str(path[-1])[:-1] or "y"] = inner.pop(path[-1])
    stream = io.StringIO()
    yaml.safe_dump(document, stream, sort_keys=False, allow_unicode=draw(st.booleans()))
    text = stream.getvalue()
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from([*WORDS, "\n", ": ", "- ", "  ", "\t", "---\n", "? "])) + text[at:]
    content = text.encode("utf-8", "surrogatepass")
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 14)) == 0 else content


MAPPINGS: list[dict[str, Any]] = [
    {"mapping_version": 1, "columns": {"overpotential (mV)": "overpotential"}, "where": {"Ni": {"min": 0.1}}},
    {
        "mapping_version": 1,
        "description": "what the potentiostat writes",
        "header": {"row": 1, "rows": 1},
        "columns": {"formula": "formula", "operator": "keep who"},
        "units": {"overpotential (mV)": "V"},
        "where": {"sample_id": ["s1", "s2"], "Ni": {"not": 1}, "Fe": {"filled": True}},
        "accept": ["renormalise", "own-samples"],
    },
]
