"""Answers as labs write them: `yes`, `True`, `0`; a word of another language is refused and never guessed."""

from __future__ import annotations

from lab_io.cells import Cell, Fault
from lab_io.findings import CellError
from lab_io.numbers import Decimal, Number, parse_number
from lab_io.tables import cell_text
from lab_io.words import fold, shown

_ANSWERS = dict.fromkeys(("yes", "y", "true"), True) | dict.fromkeys(("no", "n", "false"), False)
FIX = "write yes or no (true or false, 1 or 0), or leave the cell empty when nobody looked"


def parse_answer(cell: Cell, decimal: Decimal) -> bool | None:
    """Read one cell as an answer.

    Args:
        cell: as it stands in its table.
        decimal: the decimal sign of the file, for a `1.0` that a program wrote.

    Returns:
        The answer, or None for an empty cell and its spellings (`n.d.`, `NA`, `-`).

    Raises:
        CellError: it is anything else.
    """
    if isinstance(cell, bool):
        return cell
    if isinstance(cell, Fault):
        raise CellError(f"the cell holds {cell.text}", FIX)
    text = cell_text(cell)
    if (known := _ANSWERS.get(fold(text))) is not None:
        return known
    try:
        number = parse_number(text, decimal=decimal)
    except CellError:
        raise CellError(f"{shown(text)} is neither yes nor no", FIX) from None
    if number is not None and number not in (Number(0.0), Number(1.0)):
        raise CellError(f"{shown(text)} is neither 1 (yes) nor 0 (no)", FIX)
    return None if number is None else number.value == 1.0
