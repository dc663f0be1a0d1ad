"""Explanations on locality bags: does the prediction hang on what they name, and are they withheld from chance?

Bags of 20 instances of which 10 or 20 % carry the signal; 400 train, 300 test. Masking replaces an instance by the
mean training instance, a quarter of the bag after one another (12 of 48 sites in the attention study); 12 of the 20,
after which most orders have found the signal, are reported beside it. Random: 200 orders. Intervals: 95 % over seeds.

Primary rationale: occlusion. It has a sign, the unit of the target and the ensemble's spread, asks what masking asks,
and needs no reference to be named and neither gradient nor attention of the model.
"""

from __future__ import annotations

import multiprocessing
from typing import Any

from common import RESULTS, finish, options

SEEDS = 5
LOCALITIES = (0.10, 0.20)
BAG, TRAIN, TEST = 20, 400, 300
PRIMARY, SECOND = "occlusion", "integrated_gradients"
QUARTER, LONG = BAG // 4, 12
"""Instances masked: the same share of the bag as in the study, and the same number."""
BAR = 1.5
"""AOPC of the primary rationale over that of random orders."""


def run(job: tuple[float, int, bool]) -> dict[str, Any]:
    """One locality and seed: attributions, curves and verdicts, for the labels and for shuffled labels."""
    import torch
    from studies import locality_bags

    from surrogates import Bags, GatedAttention
    from surrogates.explain import METHODS, aopc, attribute, perturbation_curve, random_curves, reference_instance
    from surrogates.splits import generator

    torch.set_num_threads(1)
    locality, seed, quick = job
    x, _, y = locality_bags(TRAIN, BAG, locality, seed)
    tx, truth, ty = locality_bags(100 if quick else TEST, BAG, locality, 1000 + seed)
    train, test, signal = Bags.of(x), Bags.of(tx), truth.bool()
    recipe = GatedAttention(members=1, instance_encoder=False, batch=32, epochs=100 if quick else 200)
    reference, host = reference_instance(train), torch.zeros(x.shape[2])
    masking = {"reference": reference, "steps": QUARTER if quick else LONG}

    fitted, verdict = judged(recipe, train, y, test, seed)
    found: dict[str, Any] = {"locality": locality, "seed": seed, "verdict": verdict}
    found["mae"] = float((fitted.learned.member_locations(test).mean(0)[:, 0] - ty).abs().mean())
    curves = {"random": random_curves(fitted.learned, test, seed=seed, **masking).mean(0)}
    methods = {}
    for method in METHODS:
        named = host if method == "reversion" else None
        given = attribute(fitted.learned, test, method, reference=named, background=train)
        curves[method] = perturbation_curve(fitted.learned, test, given.value, **masking)
        methods[method] = measured(given, test, signal)
    found["methods"] = methods
    for name, curve in curves.items():
        lengths = (QUARTER,) if quick else (QUARTER, LONG)
        methods.setdefault(name, {})["aopc"] = {n: float(aopc(curve[:, :n]).mean()) for n in lengths}
        methods[name]["curve"] = curve.mean(0).tolist()
    shuffled = y[torch.randperm(TRAIN, generator=generator("shuffled labels", seed))]
    found["verdict_on_shuffled_labels"] = judged(recipe, train, shuffled, test, seed)[1]
    return found


def measured(given: Any, bags: Any, signal: Any) -> dict[str, float]:
    """Measures of one attribution, means over bags."""
    from surrogates.explain import concentration, top_hit, top_recall

    figures = {
        "top_1_hit": top_hit(given.value, bags, signal),
        "top_3_hit": top_hit(given.value, bags, signal, top=3),
        "top_3_recall": top_recall(given.value, bags, signal, top=3),
        "concentration": concentration(given.value, bags, signal),
        "concentration_without_truth": concentration(given.value, bags),
    }
    return {name: float(figure.nanmean()) for name, figure in figures.items()}


def judged(recipe: Any, train: Any, y: Any, test: Any, seed: int) -> tuple[Any, dict[str, Any]]:
    """A fit, and the verdict on its primary rationale over the test bags."""
    from surrogates import Targets, fit
    from surrogates.explain import agreement, attribute, concentration, judge, skill
    from surrogates.quantiles import MEDIAN

    fitted = fit(recipe, train, Targets.exact(y), seed=seed)
    predicted, value, _ = fitted.out_of_fold.of(0)
    attention, shown, other = (
        attribute(fitted.learned, test, method, background=train) for method in ("attention", PRIMARY, SECOND)
    )
    verdict = judge(
        measured=len(train),
        skill=skill(predicted[:, MEDIAN], value),
        concentration=float(concentration(attention.value, test).nanmean()),
        instances=BAG,
        agreement=float(agreement(shown, other, test).nanmean()),
        distance=0.0,  # test bags are drawn from the training distribution
    )
    return fitted, {"state": verdict.state, "checks": {c.gate: [c.verdict, c.text] for c in verdict.checks}}


def over_seeds(values: list[float]) -> tuple[float, float | None, float | None]:
    """Mean, and bounds of its interval if there is more than one seed."""
    from surrogates.explain import interval_over_seeds

    mean, low, high = interval_over_seeds(values)
    return (mean, low, high) if len(values) > 1 else (mean, None, None)


def bounds(low: float | None, high: float | None) -> str:
    return "one seed" if low is None else f"{low:.2f} to {high:.2f}"


def summary(runs: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Figures of one locality over its seeds, and the lines of the table."""
    figures: dict[str, Any] = {"mae": over_seeds([r["mae"] for r in runs])}
    lines = [
        f"locality {runs[0]['locality']:.2f}, {len(runs)} seeds; MAE {figures['mae'][0]:.4f}; AOPC of the first "
        f"{QUARTER} of {BAG} instances masked, in units of the target",
        f"  {'':22}{'AOPC':>8}{'/ random':>10}{'95 % interval':>16}{'top-1 hit':>11}{'recall@3':>10}{'conc.':>8}",
    ]
    lengths = list(runs[0]["methods"]["random"]["aopc"])
    for method in runs[0]["methods"]:
        rows = [r["methods"][method] for r in runs]
        ratios = {
            n: over_seeds([r["methods"][method]["aopc"][n] / r["methods"]["random"]["aopc"][n] for r in runs])
            for n in lengths
        }
        means = {name: over_seeds([row[name] for row in rows]) for name in rows[0] if name not in ("aopc", "curve")}
        area = over_seeds([row["aopc"][QUARTER] for row in rows])
        curve = [sum(step) / len(runs) for step in zip(*(row["curve"] for row in rows), strict=True)]
        figures[method] = {"aopc": area, "ratio_to_random": ratios, "curve": curve, **means}
        mean, low, high = ratios[QUARTER]
        line = f"  {method + (' *' if method == PRIMARY else ''):22}{area[0]:>8.4f}"
        if method != "random":
            line += f"{mean:>10.2f}{bounds(low, high):>16}{means['top_1_hit'][0]:>11.3f}"
            line += f"{means['top_3_recall'][0]:>10.3f}{means['concentration'][0]:>8.2f}"
        lines.append(line)
    for n in lengths[1:]:
        mean, low, high = figures[PRIMARY]["ratio_to_random"][n]
        lines.append(f"  * with {n} masked: {mean:.2f} times random ({bounds(low, high)})")
    for name, key in (("labels", "verdict"), ("shuffled labels", "verdict_on_shuffled_labels")):
        states = [r[key]["state"] for r in runs]
        figures[key] = {state: states.count(state) for state in sorted(set(states))}
        reasons = [t for v, t in runs[0][key]["checks"].values() if v != "reliable"]
        counted = ", ".join(f"{count} {state}" for state, count in figures[key].items())
        lines.append(f"  {name}: {counted}" + (f"; at the first seed: {'; '.join(reasons)}" if reasons else ""))
    return figures, lines


def main() -> None:
    arguments = options(__doc__ or "")
    seeds = range(1 if arguments.quick else SEEDS)
    jobs = [(locality, seed, arguments.quick) for seed in seeds for locality in LOCALITIES]
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        runs = workers.map(run, jobs, chunksize=1)
    found: dict[str, Any] = {"seeds": list(seeds), "primary": PRIMARY, "localities": {}, "runs": runs}
    table: list[str] = []
    for locality in LOCALITIES:
        figures, lines = summary([r for r in runs if r["locality"] == locality])
        found["localities"][f"{locality:.2f}"] = figures
        table += lines
    ratios = [figures[PRIMARY]["ratio_to_random"][QUARTER][0] for figures in found["localities"].values()]
    withheld = [r["verdict_on_shuffled_labels"]["state"] == "withheld" for r in runs]
    found["shown"] = {
        f"primary at least {BAR} times random": min(ratios) >= BAR,
        "withheld on shuffled labels": all(withheld),
    }
    table += [f"{claim}: {'yes' if holds else 'NO'}" for claim, holds in found["shown"].items()]
    if not arguments.quick:
        figure(found["localities"])
    finish("explanation", found, "\n".join(table), arguments)


def figure(localities: dict[str, Any]) -> None:
    """Perturbation curves of every method, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from surrogates.explain import METHODS

    drawn, axes = pyplot.subplots(
        1, len(localities), figsize=(4.5 * len(localities), 4), squeeze=False, layout="constrained"
    )
    for axis, (locality, figures) in zip(axes[0], localities.items(), strict=True):
        for method in ("random", *METHODS):
            curve = figures[method]["curve"]
            strong = {"random": ("#8a8a8a", 2.0), PRIMARY: ("#0072b2", 2.0)}
            colour, width = strong.get(method, (None, 0.9))
            axis.plot(range(1, len(curve) + 1), curve, color=colour, linewidth=width, label=method.replace("_", " "))
        axis.axvline(QUARTER, color="#8a8a8a", linewidth=0.6, linestyle=":")
        axis.set(title=f"locality {locality}", xlabel="instances masked", ylim=(0, None))
    axes[0][0].set_ylabel("movement of the prediction")
    drawn.legend(
        *axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=8
    )
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "explanation.png", dpi=110)


if __name__ == "__main__":
    main()
