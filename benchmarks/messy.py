"""Malformed specs and tables through the real commands: no traceback, and not a row written.

Specs and tables that are good are broken in random ways; the hand-made pack adds the errors that labs really make. Each
is given to `siteloop start` or `siteloop ingest --commit`. What is still valid after the damage is not counted. Of each
table of the pack it is also checked that the right words are said of the right cell.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from common import finish, options, plate_spec
from messy_rows import ALL, faults

SPECS, TABLES = 200, 200
GOOD_TABLE = (
    "sample_id,Ni,Fe,Co,Mn,Ce,La,overpotential (mV)\n"
    "s1,0.5,0.5,0,0,0,0,352\ns2,0,0.3,0.7,0,0,0,371.5\ns3,0.2,0.2,0.2,0.4,0,0,402\ns4,0,0,0,0,0.5,0.5,455\n"
)
RUBBISH = (
    "",
    "ten",
    "-1",
    "1e999",
    "nan",
    "No",
    "[1, 2",
    "{a: 1}",
    "'",
    '"',
    "\t",
    "0,5,5",
    "=1+1",
    "#REF!",
    "３",
    "é\u0301",
    "\u0421o",
    "~3",
    "1e-3",
    "null",
    "*a",
    "&a x",
    "!!python/object:os.system x",
    "2026-01-01",
    "9" * 400,
)


def damaged_specs(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    good = yaml.safe_dump(plate_spec("oer_plate_3496"), sort_keys=False)
    while True:
        lines = good.splitlines()
        for _ in range(rng.randint(1, 2)):
            i = rng.randrange(len(lines))
            key, colon, value = lines[i].partition(":")
            lines[i] = rng.choice(
                [
                    f"{key}{colon} {rng.choice(RUBBISH)}",
                    f"{key[: max(len(key) - 1, 1)]}x{colon}{value}",
                    f"{lines[i]}\n{lines[i]}",
                    f"  {lines[i]}",
                    "",
                    lines[i].replace(":", rng.choice(["", "::", " "])),
                    f"{key}{colon} {rng.randint(-5, 100000)}",
                ]
            )
        text = "\n".join(lines).encode("utf-8", "surrogatepass")
        yield "spec.yaml", text if rng.random() > 0.1 else text[: rng.randrange(len(text))] + rng.randbytes(3)


def damaged_tables(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    while True:
        rows = [line.split(",") for line in GOOD_TABLE.splitlines()]
        for _ in range(rng.randint(1, 3)):
            row = rng.randrange(len(rows))
            column = rng.randrange(len(rows[row]))
            action = rng.randrange(5)
            if action <= 2:
                rows[row][column] = rng.choice(RUBBISH)
            elif action == 3 and len(rows[row]) > 1:
                del rows[row][column]
            else:
                rows.insert(row, list(rows[row]))
        text = "\n".join(",".join(r) for r in rows).encode("utf-8", "surrogatepass")
        name = rng.choice(["results.csv", "results.csv", "results.csv", "results.xlsx"])
        yield name, text if rng.random() > 0.1 else text[: rng.randrange(1, len(text))] + rng.randbytes(3)


def refused(run: Callable[[list[str]], int], command: list[str]) -> tuple[str, str]:
    """What became of a command: `refused`, `accepted` or `traceback`, and what it said."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run(command)
    except Exception:
        return "traceback", traceback.format_exc()
    return ("accepted" if code == 0 else "refused" if code in (2, 3, 4) else "traceback"), said.getvalue()


def main() -> None:
    arguments = options(__doc__ or "")
    from campaign import Campaign
    from flows.cli.app import run

    wanted = (25, 25) if arguments.quick else (SPECS, TABLES)
    counts: dict[str, int] = {"refused": 0, "accepted": 0, "traceback": 0, "wrote": 0, "silent": 0}
    tracebacks: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["SITELOOP_DB"] = f"sqlite:///{folder}/messy.db"
        Path("good.yaml").write_text(yaml.safe_dump(plate_spec("oer_plate_3496", campaign="messy")))
        campaign = Campaign.start(Path("good.yaml"))
        head = campaign.state.head

        def attempt(name: str, content: bytes, command: list[str]) -> str:
            Path(name).write_bytes(content)
            outcome, said = refused(run, command)
            if outcome == "traceback":
                tracebacks.append(said[-2000:])
            counts["silent"] += outcome == "refused" and not said.strip()
            return outcome

        def fresh() -> None:
            """Forget what a table that stayed valid has written."""
            nonlocal campaign, head
            for leftover in Path().glob("messy.db*"):
                leftover.unlink()
            campaign = Campaign.start(Path("good.yaml"))
            head = campaign.state.head

        rng = random.Random(11)
        for kind, source, goal in (("spec", damaged_specs(rng), wanted[0]), ("table", damaged_tables(rng), wanted[1])):
            done = 0
            while done < goal:
                name, content = next(source)
                command = ["start", name] if kind == "spec" else ["ingest", "messy", name, "--commit"]
                outcome = attempt(name, content, command)
                counts[outcome] += 1
                done += outcome != "accepted"
                if outcome == "accepted":
                    fresh()
                else:
                    counts["wrote"] += campaign.state.head != head or campaign._store.campaigns() != ["messy"]
        pack: dict[str, int] = {}
        for case in ALL[:: 6 if arguments.quick else 1]:
            outcome = attempt(case.filename, case.content, ["ingest", "messy", case.filename, "--commit"])
            pack[outcome] = pack.get(outcome, 0) + 1
            if outcome == "accepted":
                fresh()
            else:
                counts["wrote"] += campaign.state.head != head
    wrong = {case.name: said for case in ALL if (said := faults(case))}
    kinds = {case.row for case in ALL if case.row}
    found: dict[str, Any] = {
        "generated": counts,
        "pack": pack,
        "pack_cases": len(ALL),
        "pack_kinds": sorted(kinds),
        "pack_answered": sum(bool(case.fixes) for case in ALL),
        "pack_wrong": wrong,
        "tracebacks": tracebacks,
        "seed": 11,
    }
    table = "\n".join(
        [
            f"generated: {sum(wanted)} malformed specs and tables refused with a message, "
            f"{counts['accepted']} others were still valid and not counted",
            f"hand-made pack: {', '.join(f'{n} {outcome}' for outcome, n in sorted(pack.items()))}",
            f"of its {len(ALL)} tables {len(ALL) - len(wrong)} are told as they should be, with the right cell and "
            f"message, {found['pack_answered']} of them answered by consent; {len(kinds)} kinds of error",
            "the consistent triple (eta_10 224, eta_100 263, slope 39.2) "
            f"{'fails' if 'a consistent triple' in wrong else 'passes'}, its swapped twin "
            f"{'is missed' if 'its swapped twin' in wrong else 'is asked about'}",
            *(f"WRONG {name}: {'; '.join(said)}" for name, said in wrong.items()),
            f"tracebacks: {len(tracebacks)}; rows written by a refused command: {counts['wrote']}; "
            f"refused without a word: {counts['silent']}",
        ]
    )
    finish("messy", found, table, arguments)


if __name__ == "__main__":
    main()
