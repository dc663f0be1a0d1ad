"""EC-Lab's binary files (.mpr) through a program of the user's own.

The parsers that exist for them (galvani, yadg) are under the GPL. They are never imported here: a command that the user
names in `$SITELOOP_MPR` is run with the path of the file as its last word, and prints the table as text.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from lab_io.findings import CellError
from lab_io.words import shown

VARIABLE = "SITELOOP_MPR"
SECONDS = 120
"""How long the command may take."""
MAX_OUTPUT = 64 << 20

_EXPORT = "in EC-Lab: File, Export as Text, and hand in the .mpt"


def is_binary(content: bytes) -> bool:
    """Whether it is one of EC-Lab's binary files."""
    return content.startswith(b"BIO-LOGIC MODULAR FILE")


def convert(content: bytes) -> bytes:
    """A binary file as a table in text.

    Raises:
        CellError: no command is named, or it cannot be run, fails, takes too long or prints nothing.
    """
    try:
        command = shlex.split(os.environ.get(VARIABLE, ""))
    except ValueError as error:
        raise CellError(f"${VARIABLE} is no command: {error}", "close its quotes") from None
    if not command:
        fix = f"{_EXPORT}; or set ${VARIABLE} to a command that takes the path of an .mpr and prints its table as CSV"
        raise CellError("the file is EC-Lab's binary .mpr, which siteloop does not read itself", fix)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "curve.mpr")
        path.write_bytes(content)
        try:
            done = subprocess.run([*command, str(path)], capture_output=True, timeout=SECONDS, check=False)
        except OSError as error:
            what = f"${VARIABLE} names {shown(command[0])}, which cannot be run: {error.strerror}"
            raise CellError(what, f"correct ${VARIABLE}; or {_EXPORT}") from None
        except subprocess.TimeoutExpired:
            what = f"${VARIABLE} ({shown(command[0])}) took longer than {SECONDS} s"
            raise CellError(what, _EXPORT) from None
    if done.returncode or not done.stdout.strip() or len(done.stdout) > MAX_OUTPUT:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it printed no table"]
        what = f"${VARIABLE} ({shown(command[0])}) could not read the file: {last[0][:200]}"
        raise CellError(what, f"run the command by hand to see why; or {_EXPORT}")
    return done.stdout
