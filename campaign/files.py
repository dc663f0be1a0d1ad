"""Reading the files that a user names: small, regular, and never outside the folder of the spec."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import uuid4

from db.errors import InvalidInput, Problem


def read_file(path: Path, name: str, limit: int) -> bytes:
    """The bytes of a file.

    Args:
        path: the file.
        name: what to call it in messages.
        limit: largest size in bytes.

    Raises:
        InvalidInput: it does not exist, is not a plain file, is larger than `limit`, or may not be read.
    """
    if path.exists() and not path.is_file():  # a folder, or a pipe that would never end
        raise InvalidInput(Problem(name, "is not a file", "give the path of a file"))
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(Problem(name, f"cannot be read: {reason}", "check the path and its permissions")) from None
    if len(content) > limit:
        raise InvalidInput(Problem(name, f"is larger than {limit >> 20} MiB", "use a smaller file"))
    return content


def write_file(path: Path, content: bytes, what: str) -> Path:
    """Write a file so that it is whole or, if that fails, what it was before.

    Args:
        path: the file.
        content: its bytes.
        what: to call it in messages: `the results`.

    Raises:
        InvalidInput: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        if path.exists() and not path.is_file():  # a folder, which says so, or a pipe
            path.write_bytes(content)
            return path
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        fix = "choose a folder that exists, may be written to and has room"
        raise InvalidInput(Problem(str(path), f"{what} cannot be written ({error.strerror})", fix)) from error
    return path


def stays_inside(name: str) -> bool:
    """Whether a file name is relative and does not climb out of its folder, on any operating system."""
    return not (
        PurePosixPath(name).is_absolute()
        or PureWindowsPath(name).anchor
        or ".." in PureWindowsPath(name).parts
        or not PurePosixPath(name).name
    )


def read_inside(folder: Path, name: str, limit: int) -> bytes:
    """The bytes of a file that lies in `folder` or below, links followed.

    Raises:
        InvalidInput: it lies elsewhere, or as `read_file`.
    """
    path = (folder / name).resolve()
    if not stays_inside(name) or not path.is_relative_to(folder.resolve()):
        raise InvalidInput(Problem(name, "lies outside the folder of the spec", "copy the file next to the spec"))
    return read_file(path, name, limit)
