"""Files appear under their names when they are whole, and never in the place of another one."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4


def part_of(target: Path) -> Path:
    """A name beside a file that no other writer has, for while it is written."""
    return target.with_name(f"{target.name}.{uuid4().hex}.part")


def place(part: Path, target: Path) -> None:
    """Move a whole file to its name, in one step.

    Args:
        part: on the same file system.
        target: where it belongs.

    Raises:
        FileExistsError: something has that name, even if it came by it a moment ago.
        OSError: it cannot be moved.
    """
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the best that can be had
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        part.rename(target)
        return
    part.unlink()
