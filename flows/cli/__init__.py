"""The command line: `siteloop COMMAND`. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code: 0 done, 2 usage, 3 invalid input, 4 conflict."""
    from flows.cli.app import run

    sys.exit(run(sys.argv[1:]))
