"""Overpotentials and Tafel slopes of 200 synthetic polarisation curves, read from files as five instruments write them.

Each curve has a known answer, noise, a resistance, a reference electrode with an offset, a pH and a temperature; seven
kinds of trouble are mixed in, and each should raise its warning. Whether the noise allows the bar of 1 mV and 1 mV/dec
is worked out from the truth beforehand, never from what was read. Each format must give back what was written.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from common import RESULTS, finish, options
from curve_files import ENDINGS, WRITERS
from synthetic_curves import ALARMS, DENSITIES, EXPECTED, KINDS, LIMIT, Case, case

from lab_io.curve_checks import flags
from lab_io.curves import read_curve
from lab_io.polarisation import polarisation

SEED = 4711
NAMES = dict(zip(DENSITIES, ("10", "100"), strict=True))


def read(one: Case, maker: str, comma: bool) -> dict[str, Any]:
    """One curve, through a file: errors in mV and mV/dec, standard errors, and what was warned of."""
    content = WRITERS[maker](one.E, one.i, comma)
    curve = read_curve(content, f"curve.{ENDINGS[maker]}")
    setup = replace(one.setup, positive=maker != "CHI")
    found = polarisation(curve, setup, DENSITIES)
    told: dict[str, Any] = {"kind": one.kind, "maker": maker, "possible": one.possible, **one.say}
    for density, name in NAMES.items():
        reading, truth = found.readings[density], one.eta[density]
        told[name] = None if reading is None or truth is None else (reading.eta - truth) * 1e3
        told[f"sd {name}"] = None if reading is None or reading.sd is None else reading.sd * 1e3
        told[f"missing {name}"] = (reading is None) is not (truth is None)
    told["slope"] = (found.slope.value - one.slope) * 1e3 if found.slope else None
    told["sd slope"] = found.slope.sd * 1e3 if found.slope else None
    told["flags"] = sorted({f.code for f in flags(curve, found)})
    told["format"] = curve.format == maker
    return told


def round_trips(rng: np.random.Generator) -> dict[str, int]:
    """Files whose numbers came back as written, by format; both decimal signs."""
    same: Counter[str] = Counter()
    for maker, write in WRITERS.items():
        for comma in (False, True):
            for _ in range(10):
                E = np.sort(rng.uniform(-0.5, 1.2, rng.integers(6, 400)))
                i = 10 ** rng.uniform(-8, -0.5, len(E)) * rng.choice([-1, 1], len(E))
                got = read_curve(write(E, i, comma), f"x.{ENDINGS[maker]}")
                current = -got.current if maker == "CHI" else got.current
                close = np.allclose(got.potential, E, atol=2e-9, rtol=2e-9)
                same[maker] += bool(close and np.allclose(current, i, atol=1e-12, rtol=2e-9) and got.format == maker)
    return dict(same)


def judged(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """How many values met the bar, of those where the noise allows it and of the others."""
    sure = [r for r in rows if r["possible"][name] and not r.get(f"missing {name}")]
    sure = [r for r in sure if r[name] is not None or name == "slope"]
    others = [r for r in rows if not r["possible"][name] and r[name] is not None]
    errors = [abs(r[name]) if r[name] is not None else np.inf for r in sure]
    within = [r for r in rows if r[name] is not None and r[f"sd {name}"]]
    return {
        "allowed": len(sure),
        "met": int(sum(e <= LIMIT for e in errors)),
        "median": float(np.median(errors)),
        "worst": float(np.max(errors)),
        "missed": [
            {key: r[key] for key in ("kind", "noise", "step", "flags")} | {"error": r[name], "sd": r[f"sd {name}"]}
            for r, e in zip(sure, errors, strict=True)
            if e > LIMIT
        ],
        "not_allowed": len(others),
        "met_all_the_same": int(sum(abs(r[name]) <= LIMIT for r in others)),
        "worst_of_those": float(max((abs(r[name]) for r in others), default=0.0)),
        "within_two_sd": float(np.mean([abs(r[name]) <= 2 * r[f"sd {name}"] for r in within])),
        "why_not": dict(Counter(f"{r['kind']}, noise {r['noise'] * 100:g} %" for r in others)),
    }


def warned(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Kind -> how many raised a warning that they should; and false alarms on clean curves."""
    found: dict[str, Any] = {}
    for kind, codes in EXPECTED.items():
        mine = [r for r in rows if r["kind"] == kind]
        found[kind] = {"curves": len(mine), "warned": sum(bool(codes & set(r["flags"])) for r in mine)}
    clean = [r for r in rows if r["kind"] == "clean"]
    alarms = Counter(code for r in clean for code in r["flags"] if code in ALARMS)
    found["clean"] = {"curves": len(clean), "with a false alarm": sum(bool(ALARMS & set(r["flags"])) for r in clean)}
    found["clean"]["alarms"] = dict(alarms)
    return found


def figure(rows: list[dict[str, Any]]) -> None:
    """Errors against their stated standard deviations, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(1, 3, figsize=(11, 3.4))
    titles = {"10": "overpotential at 10 mA/cm²", "100": "overpotential at 100 mA/cm²", "slope": "Tafel slope"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        for possible, colour, label in ((False, "#b0b0b0", "noise does not allow it"), (True, "#0072b2", "judged")):
            mine = [r for r in rows if r[name] is not None and r[f"sd {name}"] and r["possible"][name] is possible]
            axis.loglog(
                [max(r[f"sd {name}"], 1e-2) for r in mine], [max(abs(r[name]), 1e-3) for r in mine], ".", color=colour,
                label=label,
            )  # fmt: skip
        axis.axhline(LIMIT, color="#c44e00", lw=1)
        low, high = axis.get_xlim()
        axis.plot([low, high], [2 * low, 2 * high], color="#888888", lw=0.8, ls="--", label="two sd")
        axis.set(title=title, xlabel="stated sd (mV, mV/dec)", xlim=(low, high))
    axes[0].set_ylabel("error (mV, mV/dec)")
    axes[0].legend(frameon=False, fontsize=8)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "polarisation.png", dpi=110)


def main() -> None:
    arguments = options(__doc__ or "")
    rng = np.random.default_rng(SEED)
    kinds = [kind for kind, n in KINDS.items() for _ in range(n // (4 if arguments.quick else 1))]
    makers = list(WRITERS)
    begun = time.perf_counter()
    rows = [read(case(kind, rng), makers[k % len(makers)], k // len(makers) % 2 == 1) for k, kind in enumerate(kinds)]
    seconds = time.perf_counter() - begun
    found: dict[str, Any] = {
        "curves": len(rows),
        "seed": SEED,
        "bar": "1 mV and 1 mV/dec where the noise allows",
        "values": {name: judged(rows, name) for name in ("10", "100", "slope")},
        "reached_wrongly": sum(r[f"missing {name}"] for r in rows for name in NAMES.values()),
        "warnings": warned(rows),
        "round_trips": round_trips(rng),
        "round_trips_each": 20,
        "seconds_per_curve": seconds / len(rows),
    }
    if not arguments.quick:
        figure(rows)
    finish("polarisation", found, report(found), arguments)


def report(found: dict[str, Any]) -> str:
    lines = [f"{found['curves']} curves through files of five formats, seed {found['seed']}"]
    names = {"10": "overpotential at 10 mA/cm^2", "100": "overpotential at 100 mA/cm^2", "slope": "Tafel slope"}
    for name, v in found["values"].items():
        unit = "mV/dec" if name == "slope" else "mV"
        lines.append(
            f"{names[name]}: {v['met']} of {v['allowed']} within 1 {unit} where the noise allows"
            f" (median {v['median']:.2f}, worst {v['worst']:.2f});"
            f" of the {v['not_allowed']} others {v['met_all_the_same']} (worst {v['worst_of_those']:.2f});"
            f" {v['within_two_sd'] * 100:.0f} % of all within two stated sd"
        )
        lines += [
            f"  missed: {m['kind']}, "
            + ("not read" if m["error"] is None else f"{m['error']:+.2f} ± {m['sd']:.2f} {unit}")
            + f", noise {m['noise'] * 100:g} %, a point per {m['step'] * 1e3:.3g} mV; warned: {', '.join(m['flags'])}"
            for m in v["missed"]
        ]
        why = ", ".join(f"{n} {why}" for why, n in sorted(v["why_not"].items(), key=lambda kv: -kv[1])[:4])
        lines.append(f"  not judged, mostly: {why}")
    lines.append(f"read where the curve does not reach, or not read where it does: {found['reached_wrongly']}")
    for kind, w in found["warnings"].items():
        if kind == "clean":
            lines.append(f"clean: {w['with a false alarm']} of {w['curves']} with a false alarm {w['alarms'] or ''}")
        else:
            lines.append(f"{kind}: {w['warned']} of {w['curves']} warned")
    each = found["round_trips_each"]
    lines.append("round trips: " + ", ".join(f"{m} {n} of {each}" for m, n in found["round_trips"].items()))
    lines.append(f"{found['seconds_per_curve'] * 1e3:.0f} ms a curve")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
