"""A process of its own that reads the cells of an XLS workbook, with bounded memory and time.

The reader of old workbooks ends its whole process on some damaged files, by an allocation that no machine can serve. So
it works here, in a child that may die: bytes in, JSON out. Run as a file, it imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import subprocess
import sys
from typing import Any

MEMORY = 2 << 30
"""Bytes of address space of the child."""
MAX_AREA = 2_000_000
"""Cells of a sheet."""
SECONDS = 20
"""Time that it has."""


def old_cells(content: bytes, sheet: str) -> list[list[Any]] | None:
    """The cells of a sheet from A1 on, rows of equal length; None where they cannot be read.

    Args:
        content: an XLS file.
        sheet: the name of the sheet.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", __file__, sheet], input=content, capture_output=True, timeout=SECONDS, check=False
        )
        rows = json.loads(done.stdout) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return None if rows is None else [[_restored(c) for c in row] for row in rows]


def _restored(cell: Any) -> Any:
    if not isinstance(cell, dict):
        return cell
    ((kind, text),) = cell.items()
    if kind == "seconds":
        return dt.timedelta(seconds=text)
    read = {"datetime": dt.datetime.fromisoformat, "date": dt.date.fromisoformat, "time": dt.time.fromisoformat}
    return read[kind](text)


def _plain(cell: Any) -> Any:
    """A cell as JSON holds it."""
    if isinstance(cell, dt.datetime | dt.date | dt.time):
        return {type(cell).__name__: cell.isoformat()}
    return {"seconds": cell.total_seconds()} if isinstance(cell, dt.timedelta) else cell


def _main() -> None:
    import io

    import python_calamine

    # systems without such limits have the time limit of the parent; where it cannot be set, a stricter one is in force
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with python_calamine.load_workbook(io.BytesIO(sys.stdin.buffer.read())) as book:
        sheet = book.get_sheet_by_name(sys.argv[1])
        if sheet.total_height * sheet.total_width > MAX_AREA:
            sys.exit(1)
        grid = sheet.to_python(skip_empty_area=False)
    json.dump([[_plain(c) for c in row] for row in grid], sys.stdout)


if __name__ == "__main__":
    _main()
