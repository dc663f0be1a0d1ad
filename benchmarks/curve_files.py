"""The same curve as each instrument would write it: text of our own making, in the layout of the vendors' exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Writer = Callable[[np.ndarray, np.ndarray, bool], bytes]
"""(potential in V, current in A, whether decimals have a comma) -> bytes of a file."""


def _text(lines: Sequence[str], comma: bool, encoding: str = "utf-8", end: str = "\r\n") -> bytes:
    return (end.join(lines) + end).replace(".", "," if comma else ".").encode(encoding)


def biologic(E: np.ndarray, i: np.ndarray, comma: bool) -> bytes:
    """EC-Lab .mpt: a stated number of header lines, Latin-1, milliampere."""
    head = [
        "EC-Lab ASCII FILE",
        "Nb header lines : NN                          ",
        "",
        "Linear Sweep Voltammetry",
        "",
        "Run on channel : 4 (SN 15135)",
        "Electrode connection : standard",
        "Ewe ctrl range : min = -2.00 V, max = 2.00 V",
        "Acquisition started on : 03/16/2026 10:35:23",
        "Electrode material : ",
        "Reference electrode : Hg/HgO",
        "Electrode surface area : 0.001 cm²",
        "dE/dt               5.000",
        "dE/dt unit          mV/s",
        "",
        "mode\tox/red\terror\tcontrol changes\ttime/s\tcontrol/V\tEwe/V\t<I>/mA\t",
    ]
    head[1] = head[1].replace("NN", str(len(head)))
    rows = [
        f"2\t1\t0\t0\t{k * 0.2:.6E}\t{e:.6E}\t{e:.9E}\t{1e3 * a:.9E}\t"
        for k, (e, a) in enumerate(zip(E, i, strict=True))
    ]
    return _text([*head, *rows], comma, "latin-1")


def gamry(E: np.ndarray, i: np.ndarray, comma: bool) -> bytes:
    """Gamry .DTA: an open-circuit table before the curve, a row of units, ampere."""
    rows = [
        "EXPLAIN",
        "TAG\tLSV",
        "TITLE\tLABEL\tLinear Sweep Voltammetry\tTest &Identifier",
        "DATE\tLABEL\t3/16/2026\tDate",
        "SCANRATE\tQUANT\t5.00000E+000\tScan Rate (mV/s)",
        "AREA\tQUANT\t1.00000E+000\tSample &Area (cm^2)",
        "OCVCURVE\tTABLE\t2",
        "\tPt\tT\tVf\tVm\tAch\tOver",
        "\t#\ts\tV vs. Ref.\tV\tV\tbits",
        "\t0\t0.5\t1.0E-001\t0.0E+000\t0.0E+000\t..........",
        "\t1\t1.0\t1.0E-001\t0.0E+000\t0.0E+000\t..........",
        f"CURVE\tTABLE\t{len(E)}",
        "\tPt\tT\tVf\tIm\tVu\tSig\tAch\tIERange\tOver",
        "\t#\ts\tV vs. Ref.\tA\tV\tV\tV\t#\tbits",
    ]
    rows += [
        f"\t{k}\t{k * 0.2:.3f}\t{e:.9E}\t{a:.9E}\t0.0E+000\t{e:.5E}\t0.0E+000\t8\t..........."
        for k, (e, a) in enumerate(zip(E, i, strict=True))
    ]
    return _text(rows, False) if not comma else _comma_dta(rows)


def _comma_dta(rows: Sequence[str]) -> bytes:
    """Decimal commas in numbers, and the dots of the bit field as they are."""
    parts = ["\t".join(c if set(c) <= {"."} else c.replace(".", ",") for c in row.split("\t")) for row in rows]
    return _text(parts, False)


def chi(E: np.ndarray, i: np.ndarray, comma: bool) -> bytes:
    """CH Instruments text; always with decimal points, and here with its own sign: oxidation is negative."""
    head = [
        "Mar. 16, 2026   10:35:23",
        "Linear Sweep Voltammetry",
        "File: lsv1.bin",
        "Data Source:  Experiment",
        "Instrument Model:  CHI760E",
        "Header: ",
        "Note: ",
        "",
        "Init E (V) = 0.2",
        "Final E (V) = 0.9",
        "Scan Rate (V/s) = 0.005",
        "Quiet Time (sec) = 2",
        "",
        "Results:",
        "",
        "Potential/V, Current/A",
        "",
    ]
    return _text([*head, *(f"{e:.9f}, {-a:.9e}" for e, a in zip(E, i, strict=True))], False, "ascii")


def autolab(E: np.ndarray, i: np.ndarray, comma: bool) -> bytes:
    """NOVA text: semicolons, the applied and the measured potential, a UTF-8 mark."""
    head = "Index;Potential applied (V);Time (s);WE(1).Current (A);WE(1).Potential (V);Scan"
    rows = [
        f"{k + 1};{e + 0.0002:.6f};{k * 0.2:.3f};{a:.9E};{e:.9f};1" for k, (e, a) in enumerate(zip(E, i, strict=True))
    ]
    return b"\xef\xbb\xbf" + _text([head], False) + _text(rows, comma)


def plain(E: np.ndarray, i: np.ndarray, comma: bool) -> bytes:
    """A spreadsheet's CSV with two lines above the names, millivolt and milliampere, Windows-1252."""
    separator = ";" if comma else ","
    head = ["measured by Jørgen", "", f"E vs. Ref (mV){separator}I (mA)"]
    rows = [f"{1e3 * e:.6f}{separator}{1e3 * a:.9f}" for e, a in zip(E, i, strict=True)]
    body = [row.replace(".", ",") if comma else row for row in rows]
    return _text([*head, *body], False, "cp1252", "\n")


WRITERS: dict[str, Writer] = {
    "BioLogic": biologic,
    "Gamry": gamry,
    "CHI": chi,
    "Autolab": autolab,
    "CSV": plain,
}
ENDINGS = {"BioLogic": "mpt", "Gamry": "DTA", "CHI": "txt", "Autolab": "txt", "CSV": "csv"}
