"""A signal that spreads to its neighbours: from where on knowing the named instances is worse than learned attention.

Bags of 20, locality 0.10; the signal leaks to neighbours within three places by decay ** distance. The oracle pools the
named core alone, a wider oracle the core and two neighbours on each side; 400 training and 300 test bags a seed.
"""

from __future__ import annotations

import multiprocessing
from typing import Any

from common import RESULTS, finish, options
from locality import SEEDS, SETTINGS, TEST, fitted_error, spread

DECAYS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
METHODS = ("oracle", "wide oracle", "mean", "gated")


def run(job: tuple[float, int]) -> dict[str, Any]:
    """One decay and seed: the error of every method."""
    from studies import spread_bags

    decay, seed = job
    train, test = spread_bags(400, 20, 0.1, decay, seed), spread_bags(TEST, 20, 0.1, decay, 1000 + seed)
    core, wide = ((d[0], d[1], d[3]) for d in (train, test)), ((d[0], d[2], d[3]) for d in (train, test))
    (train, test), (wide_train, wide_test) = core, wide
    named = {"names": ("signal",), "instance_encoder": False}
    return {
        "decay": decay,
        "oracle": fitted_error("named_pool", train, test, seed, **named)["error"],
        "wide oracle": fitted_error("named_pool", wide_train, wide_test, seed, **named)["error"],
        "mean": fitted_error("mean_pool", train, test, seed, instance_encoder=False)["error"],
        "gated": fitted_error("gated_attention", train, test, seed, instance_encoder=False)["error"],
    }


def main() -> None:
    arguments = options(__doc__ or "")
    seeds = [0] if arguments.quick else list(SEEDS)
    decays = (0.0, 0.5) if arguments.quick else DECAYS
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        rows = workers.map(run, [(decay, seed) for decay in decays for seed in seeds], chunksize=1)
    lines = [f"{'decay':>8}" + "".join(f"{m:>14}" for m in METHODS) + f"{'oracle/gated':>14}; mean absolute error"]
    table = []
    for decay in decays:
        group = [r for r in rows if r["decay"] == decay]
        means = {m: spread([r[m] for r in group]) for m in METHODS}
        ratio = means["oracle"][0] / means["gated"][0]
        table.append({"decay": decay, "ratio": ratio, **{m: v[0] for m, v in means.items()}})
        lines.append(f"{decay:>8g}" + "".join(f"{means[m][0]:>14.4f}" for m in METHODS) + f"{ratio:>14.2f}")
    if not arguments.quick:
        figure(table)
    finish("spread", {"seeds": seeds, "settings": SETTINGS, "table": table}, "\n".join(lines), arguments)


def figure(table: list[dict[str, Any]]) -> None:
    """Errors against the decay."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axis = pyplot.subplots(figsize=(5, 3.4))
    colours = {"oracle": "#d55e00", "wide oracle": "#e69f00", "mean": "#8a8a8a", "gated": "#0072b2"}
    for method, colour in colours.items():
        axis.plot([t["decay"] for t in table], [t[method] for t in table], "o-", color=colour, label=method)
    axis.set(yscale="log", xlabel="decay of the signal from place to place", ylabel="mean absolute error")
    axis.legend(frameon=False)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "spread.png", dpi=110)


if __name__ == "__main__":
    main()
