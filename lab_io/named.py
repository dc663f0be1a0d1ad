"""Tables whose columns are known by their names, such as an inventory: cells as text or quantities, with what is wrong.

Unlike results, such tables have no mapping and no consent: what cannot be read is a problem at its cell.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from db.errors import InvalidInput, Problem
from lab_io.cells import Fault, blank, cell_text
from lab_io.findings import CellError, Finding, Status
from lab_io.numbers import Decimal, Number, detect_decimal, parse_number
from lab_io.tables import RawTable, Row
from lab_io.units import convert, split_header
from lab_io.words import fold, nearest, shown


class NamedColumns:
    """The cells of a table by the names of its columns.

    Args:
        table: as `read_table` gave it.
        words: what a column is -> the names that it may have, as `fold` leaves them, parted by commas.
        numeric: the columns that hold numbers.
        needed: the columns that must be there.
        what: the table is, for messages: `the inventory`.

    Raises:
        InvalidInput: a needed column is missing, two columns mean the same, or the decimal sign is unclear.
    """

    def __init__(
        self, table: RawTable, words: Mapping[str, str], numeric: Collection[str], needed: Collection[str], what: str
    ) -> None:
        self.table = table
        self.findings: list[Finding] = []
        self.at: dict[str, int] = {}
        self.units: dict[str, str | None] = {}
        wrong = [*self._columns({w: column for column, names in words.items() for w in names.split(",")})]
        for column in needed:
            if column not in self.at:
                near = nearest(column, [h for h in table.header if h])
                fix = f"rename {shown(near)}, if that is it" if near else f"add a column {column}"
                wrong.append(Problem(table.name, f"{what} has no column {column}", fix))
        if wrong:
            raise InvalidInput(wrong)
        texts = {
            table.where(row.number, self.at[c]): cell
            for row in table.rows
            for c in numeric
            if c in self.at and isinstance(cell := row.cells[self.at[c]], str)
        }
        try:
            self.decimal: Decimal = detect_decimal(texts, hint="," if table.separator == ";" else ".")
        except CellError as error:
            raise InvalidInput(Problem(table.name, error.what, error.fix)) from None

    def _columns(self, known: Mapping[str, str]) -> list[Problem]:
        wrong = []
        for j, header in enumerate(self.table.header):
            for text, unit in ((header, None), split_header(header)):
                column = known.get(fold(text))
                if column is None:
                    continue
                if column in self.at:
                    what = f"{shown(self.table.header[self.at[column]])} and {shown(header)} both mean {column}"
                    wrong.append(Problem(self.table.where(self.table.header_row, j), what, "rename one of them"))
                self.at.setdefault(column, j)
                self.units.setdefault(column, unit or self.table.units[j])
                break
        return wrong

    def where(self, row: Row, column: str) -> str:
        """The address of a cell; the row, where the table has no such column."""
        if column in self.at:
            return self.table.where(row.number, self.at[column])
        return f"{self.table.name}, row {row.number}"

    def note(self, row: Row, column: str, what: str, fix: str, status: Status = Status.REJECTED) -> None:
        """Keep what is wrong with a cell."""
        self.findings.append(Finding(status, Problem(self.where(row, column), what, fix)))

    def empty(self, row: Row, column: str) -> bool:
        """Whether nothing is written in a cell."""
        return column not in self.at or blank(row.cells[self.at[column]])

    def text(self, row: Row, column: str) -> str:
        """The text of a cell, empty where there is none."""
        if column not in self.at:
            return ""
        cell = row.cells[self.at[column]]
        if isinstance(cell, Fault):
            self.note(row, column, f"the cell holds {cell.text}", "mend the formula, or paste its value")
            return ""
        return cell_text(cell)

    def number(self, row: Row, column: str) -> Number | None:
        """The number in a cell; None where it is empty, or wrong, which is kept."""
        text = self.text(row, column)
        try:
            cell = row.cells[self.at[column]] if column in self.at else ""
            return Number(cell) if isinstance(cell, float) else parse_number(text, decimal=self.decimal)
        except CellError as error:
            self.note(row, column, error.what, error.fix)
            return None

    def quantity(self, row: Row, column: str, unit: str) -> float | None:
        """A cell in `unit`, zero or above; a unit in the cell goes before that of the header."""
        found = self.number(row, column)
        if found is None:
            return None
        name, stated = column.replace("_", " "), shown(cell_text(row.cells[self.at[column]]))
        own = found.unit or self.units.get(column)
        try:
            if found.qualifier != "=":
                raise CellError(f"{stated} is a limit", f"write the {name} itself")
            if found.value < 0:
                raise CellError(f"{stated} is below zero", f"write the {name} as a positive number")
            if not own:
                raise CellError(f"the {name} has no unit", f"write it in the cell or the header: {name} ({unit})")
            return convert(found.value, own, unit)
        except CellError as error:
            self.note(row, column, error.what, error.fix)
            return None

    def share(self, row: Row, column: str, most: float) -> float | None:
        """A cell as a share of 1, from percent, percent by weight or a plain fraction; above zero, at most `most`."""
        found = self.number(row, column)
        if found is None:
            return None
        own = found.unit or self.units.get(column) or ""
        stated = shown(cell_text(row.cells[self.at[column]]))
        try:
            if found.qualifier != "=":
                raise CellError(f"{stated} is a limit", f"write the {column} on the certificate of the lot")
            value = convert(found.value, own, "wt%" if _by_weight(own) else "") / (100 if _by_weight(own) else 1)
            if not own and value > most:
                raise CellError(f"the {column} {stated} has no unit", f"write it in the header: {column} (%)")
            if not 0 < value <= most:
                what = f"{column} {100 * value:g} % is not possible"
                raise CellError(what, "write 98 %, or 0.98 without a unit")
        except CellError as error:
            self.note(row, column, error.what, error.fix)
            return None
        return value


def _by_weight(unit: str) -> bool:
    try:
        convert(1.0, unit, "wt%")
    except CellError:
        return False
    return True
