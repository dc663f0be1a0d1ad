"""The locality continuum: how much gated attention gains over the mean where few instances carry the signal.

Bags of 20 and 48 instances, of which a share (the locality) carries the target; 400 training and 300 test bags a seed.
Both recipes have the same settings, without and with an instance encoder before the pooling. Then: from how many
training bags on attention beats the mean (locality 0.10, bags of 20, with the encoder).
"""

from __future__ import annotations

import multiprocessing
from typing import Any

from common import RESULTS, finish, options

LOCALITIES = (0.05, 0.1, 0.2, 0.4, 1.0)
BAGS = (20, 48)
SEEDS = range(5)
SIZES = (10, 20, 40, 80, 160, 320)
SETTINGS = {"members": 5, "rate": 3e-3, "patience": 200, "decay": 0.0, "calibration": "none"}
"""Five networks on everything: what is compared is the pooling. Chosen on data seeds 5 to 7."""
TEST = 300


Data = tuple[Any, Any, Any]


def fitted_error(tag: str, train: Data, test: Data, seed: int, **settings: Any) -> dict[str, float]:
    """Mean absolute error of a recipe on test bags (x, signal, y), and how often attention is largest on a signal."""
    import torch

    from surrogates import Targets, fit
    from surrogates.explain import top_hit
    from surrogates.recipes import recipe_from

    torch.set_num_threads(1)
    recipe = recipe_from({"type": tag, **SETTINGS, **settings})
    fitted = fit(recipe, _bags(train), Targets.exact(train[2].double()), seed=seed)
    bags = _bags(test)
    error = float((fitted.quantiles(bags)[:, 0, 4] - test[2]).abs().mean())
    if tag != "gated_attention":
        return {"error": error}
    hit = top_hit(fitted.learned.attention(bags)[0], bags, test[1].bool())
    return {"error": error, "hit": float(hit.double().mean())}


def _bags(data: Data) -> Any:
    from surrogates import Bags

    labels = tuple(tuple("signal" if s else "other" for s in row) for row in data[1].tolist())
    return Bags.of(data[0], labels=labels)


def run(job: tuple[int, float, bool, int, int]) -> dict[str, Any]:
    """One bag size, locality, encoder, number of training bags and seed."""
    from studies import locality_bags

    bag, locality, encoder, n, seed = job
    train, test = locality_bags(400, bag, locality, seed), locality_bags(TEST, bag, locality, 1000 + seed)
    train = tuple(part[:n] for part in train)
    found = {
        tag: fitted_error(tag, train, test, seed, instance_encoder=encoder) for tag in ("mean_pool", "gated_attention")
    }
    return {
        "bag": bag,
        "locality": locality,
        "encoder": encoder,
        "n": n,
        "seed": seed,
        "mean": found["mean_pool"]["error"],
        "gated": found["gated_attention"]["error"],
        "hit": found["gated_attention"]["hit"],
    }


def spread(values: list[float]) -> tuple[float, float]:
    """Mean and standard error over seeds."""
    import numpy as np

    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return float(np.mean(values)), float(error)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One line of a table from its seeds."""
    mean, gated = spread([r["mean"] for r in rows]), spread([r["gated"] for r in rows])
    lead = spread([r["mean"] - r["gated"] for r in rows])
    return {
        "mean": mean[0],
        "gated": gated[0],
        "ratio": mean[0] / gated[0],
        "least_ratio": min(r["mean"] / r["gated"] for r in rows),
        "lead": lead[0],
        "lead_se": lead[1],
        "hit": min(r["hit"] for r in rows),
    }


def main() -> None:
    arguments = options(__doc__ or "")
    quick = arguments.quick
    seeds = [0] if quick else list(SEEDS)
    grid = [
        (bag, locality, encoder, 400, seed)
        for bag in (BAGS[:1] if quick else BAGS)
        for encoder in (False, True)
        for locality in ((0.1,) if quick else LOCALITIES)
        for seed in seeds
    ]
    sizes = [(20, 0.1, True, n, seed) for n in ((20, 80) if quick else SIZES) for seed in seeds]
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        rows = workers.map(run, grid + sizes, chunksize=1)
    lines, tables = [], []
    for bag in sorted({job[0] for job in grid}):
        for encoder in (False, True):
            lines.append(f"bags of {bag}, {'with' if encoder else 'without'} an instance encoder; {len(seeds)} seeds")
            lines.append(
                f"  {'locality':>8}{'mean':>10}{'gated':>10}{'mean/gated':>12}{'least':>8}{'lead ± se':>18}{'top-1':>8}"
            )
            for locality in sorted({job[1] for job in grid}):
                group = [
                    r for r in rows[: len(grid)] if (r["bag"], r["encoder"], r["locality"]) == (bag, encoder, locality)
                ]
                s = summary(group)
                tables.append({"bag": bag, "encoder": encoder, "locality": locality, **s})
                lines.append(
                    f"  {locality:>8g}{s['mean']:>10.4f}{s['gated']:>10.4f}{s['ratio']:>12.1f}{s['least_ratio']:>8.1f}"
                    f"{s['lead']:>10.4f} ± {s['lead_se']:.4f}{s['hit']:>8.3f}"
                )
    lines.append("training bags, locality 0.10, bags of 20, with an instance encoder")
    lines.append(f"  {'n':>8}{'mean':>10}{'gated':>10}{'mean/gated':>12}{'top-1':>8}")
    by_size = []
    for n in sorted({job[3] for job in sizes}):
        s = summary([r for r in rows[len(grid) :] if r["n"] == n])
        by_size.append({"n": n, **s})
        lines.append(f"  {n:>8}{s['mean']:>10.4f}{s['gated']:>10.4f}{s['ratio']:>12.1f}{s['hit']:>8.3f}")
    overtakes = [s["n"] for s in by_size if s["lead"] > 2 * (s["lead_se"] if s["lead_se"] == s["lead_se"] else 0)]
    lines.append(
        f"gated is ahead of the mean by two standard errors from {min(overtakes, default='no')} training bags on"
    )
    if not quick:
        figure(tables, by_size)
    found = {"seeds": seeds, "settings": SETTINGS, "tables": tables, "sizes": by_size}
    finish("locality", found, "\n".join(lines), arguments)


def figure(tables: list[dict[str, Any]], sizes: list[dict[str, Any]]) -> None:
    """Ratio against locality, and errors against the number of training bags."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4))
    for bag, colour in zip(BAGS, ("#0072b2", "#d55e00"), strict=True):
        for encoder, style in ((False, "-"), (True, "--")):
            rows = [t for t in tables if t["bag"] == bag and t["encoder"] is encoder]
            label = f"bags of {bag}, {'with' if encoder else 'without'} encoder"
            left.plot([r["locality"] for r in rows], [r["ratio"] for r in rows], style, color=colour, label=label)
    left.axhline(1, color="#8a8a8a", linewidth=0.8)
    left.set(xscale="log", yscale="log", xlabel="locality", ylabel="error of mean / error of gated")
    left.legend(frameon=False, fontsize=8)
    for name, colour in (("mean", "#8a8a8a"), ("gated", "#0072b2")):
        right.plot([s["n"] for s in sizes], [s[name] for s in sizes], "o-", color=colour, label=name)
    right.set(xscale="log", yscale="log", xlabel="training bags", ylabel="mean absolute error")
    right.legend(frameon=False)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "locality.png", dpi=110)


if __name__ == "__main__":
    main()
