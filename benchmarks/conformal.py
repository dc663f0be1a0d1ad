"""Calibration: cross-conformal intervals beside split-conformal ones and K-fold trees; levels before and after.

Heteroscedastic set: 160 labelled, 1,000 test samples; tensile strengths of alloys: 120 labelled, 38 test; seeds 0-19.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
from typing import Any

from common import RESULTS, finish, lent, options

SEEDS = 20
ALPHAS = (0.05, 0.1, 0.2)
NETWORK = {"decay": 0.3}
"""Best of ten settings by out-of-fold pinball loss on the labelled parts of seeds 100-109, and best for the ensemble
with a split by the loss on the part that it keeps for calibration."""
TREES, TREES_QUICK = 200, 60
FWER = 0.01
"""Probability of one false alarm or more among the tests of coverage."""
OURS = {"synthetic": "K-fold x ensemble", "uts": "forest K-fold"}
SPLITS = ("split", "ensemble + split")
REFERENCES = ("trees K-fold", "trees K-fold, refit")
"""Trees of the folds predict, as in the reference rows; or trees grown on all labelled samples, for comparison."""
FIGURES = ("coverage", "width", "score")
CURVES = {"head": "#d55e00", "recalibrated": "#009e73", "conformal": "#0072b2"}
"""Reliability curves and their colours."""


def synthetic(seed: int) -> tuple[Any, ...]:
    """Labelled bags and values, test bags and values; a bag is one instance, the group its stratum."""
    import torch
    from studies import heteroscedastic

    from surrogates import Bags

    X, y, group, X_test, y_test, group_test = heteroscedastic(seed)

    def bags(x: Any, groups: Any) -> Bags:
        return Bags.of(torch.tensor(x).float().unsqueeze(1), stratum=[f"group {g}" for g in groups])

    return bags(X, group), torch.tensor(y), bags(X_test, group_test), torch.tensor(y_test)


def uts(seed: int) -> tuple[Any, ...]:
    """The same for tensile strengths, in sds of the labelled part: amounts of the elements and 14 columns beside."""
    import numpy as np
    import pandas as pd
    import torch
    from pymatgen.core import Composition
    from studies import REFRACTORY

    from surrogates import Bags

    table = pd.read_csv(lent("data", "hea_uts.csv"))
    amounts = pd.DataFrame([Composition(text).as_dict() for text in table.pop("composition")]).fillna(0.0)
    value = torch.tensor(table.pop("hardness").to_numpy(dtype=float))
    weights = torch.tensor(amounts.to_numpy())
    refractory = (amounts[[e for e in REFRACTORY if e in amounts]] > 0).any(axis=1)
    bags = Bags.of(
        torch.ones(*weights.shape, 1, dtype=torch.float64),
        mask=weights > 0,
        weights=weights,
        side=torch.tensor(table.to_numpy(dtype=float)),
        labels=tuple(amounts.columns),
        stratum=["refractory" if each else "other" for each in refractory],
    )
    order = torch.tensor(np.random.RandomState(seed).permutation(len(value)))
    test, labelled = order[:38], order[38:]
    value = (value - value[labelled].mean()) / value[labelled].std(correction=0)
    return bags[labelled], value[labelled], bags[test], value[test]


def recipes(study: str, quick: bool) -> dict[str, Any]:
    """The methods of a study; quick leaves out those that no bar is about."""
    from surrogates import Forest, MeanPool

    if study == "uts":
        trees = TREES_QUICK if quick else TREES
        return {"forest K-fold": Forest(trees=trees), "forest split": Forest(trees=trees, calibration="split")}
    found = {
        "K-fold x ensemble": MeanPool(**NETWORK),
        "ensemble + split": MeanPool(**NETWORK, calibration="split"),
        "split": MeanPool(**NETWORK, members=1, calibration="split"),
    }
    if not quick:
        found["K-fold"] = MeanPool(**NETWORK, members=1)
        found["K-fold x ensemble, refit"] = MeanPool(**NETWORK, refit=True)
    return found


def kfold_trees(labelled: Any, y: Any, test: Any, y_test: Any, seed: int, count: int) -> dict[str, Any]:
    """The reference: K-fold residuals over (sd of the trees + b), b the mean sd of the trees out of fold."""
    import numpy as np
    import torch
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.model_selection import KFold

    from surrogates.conformal import conformal_rank

    def inputs(bags: Any) -> Any:
        return torch.cat([bags.weights, bags.side], dim=1).numpy()

    def predict(rows: Any, x: Any, key: int) -> Any:
        forest = ExtraTreesRegressor(count, random_state=6 * seed + key).fit(inputs(labelled)[rows], y.numpy()[rows])
        trees = np.stack([tree.predict(x) for tree in forest.estimators_])
        return np.stack([trees.mean(0), trees.std(0)])

    seen, folds = np.empty((2, len(y))), []
    for key, (rows, held) in enumerate(KFold(5, shuffle=True, random_state=seed).split(y)):
        both = predict(rows, np.concatenate([inputs(labelled)[held], inputs(test)]), key)
        seen[:, held] = both[:, : len(held)]
        folds.append(both[:, len(held) :])
    b = seen[1].mean()
    scores = np.sort(abs(y.numpy() - seen[0]) / (seen[1] + b))
    found = {}
    for name, new in zip(REFERENCES, (np.mean(folds, 0), predict(np.arange(len(y)), inputs(test), 5)), strict=True):
        mean, sd = torch.tensor(new)
        reach = {alpha: scores[conformal_rank(len(y), alpha) - 1] * (sd + b) for alpha in ALPHAS}
        found[name] = {"scores": [judged(mean - r, mean + r, y_test, alpha) for alpha, r in reach.items()]}
    return found


def judged(lower: Any, upper: Any, value: Any, alpha: float) -> list[float]:
    from surrogates.reliability import coverage, mean_width, winkler_score

    return [coverage(lower, upper, value), mean_width(lower, upper), winkler_score(lower, upper, value, alpha)]


def run(job: tuple[str, int, bool]) -> tuple[str, int, dict[str, Any]]:
    """One seed of one study, method by method."""
    import torch

    from surrogates import Targets, fit
    from surrogates.reliability import reliability

    torch.set_num_threads(1)
    study, seed, quick = job
    data = {"synthetic": synthetic, "uts": uts}[study](seed)
    labelled, y, test, y_test = data
    found = kfold_trees(*data, seed, TREES_QUICK if quick else TREES) if study == "uts" else {}
    for name, recipe in recipes(study, quick).items():
        fitted = fit(recipe, labelled, Targets.exact(y), seed=seed)
        told = reliability(fitted, test, Targets.exact(y_test), ALPHAS)
        found[name] = {
            "scores": [[each.coverage, each.width, each.winkler] for each in told.overall.intervals],
            "strata": {key: [each.coverage for each in part.intervals] for key, part in told.strata.items()},
            "curves": {key: getattr(told.overall, key) for key in ("head", "recalibrated", "conformal")},
        }
    return study, seed, found


def paired(ours: Any, theirs: Any) -> tuple[float, float]:
    """Mean and standard error of the paired difference."""
    difference = ours - theirs
    return float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(len(difference)))


def summarise(study: str, by_seed: list[dict[str, Any]]) -> dict[str, Any]:
    """Means, sds, errors and paired differences of each method."""
    import numpy as np

    # seeds x alphas x (coverage, width, score)
    scores = {name: np.array([each[name]["scores"] for each in by_seed]) for name in by_seed[0]}
    ours = scores[OURS[study]]
    methods = {}
    for name, values in scores.items():
        first = by_seed[0][name]
        methods[name] = {
            "mean": {f: values[:, :, i].mean(0).tolist() for i, f in enumerate(FIGURES)},
            "coverage_sd": values[:, :, 0].std(0, ddof=1).tolist(),
            "ours_minus_it": [paired(ours[:, i, 2], values[:, i, 2]) for i in range(len(ALPHAS))],
            "strata": {
                key: np.nanmean([each[name]["strata"].get(key, [np.nan] * len(ALPHAS)) for each in by_seed], 0).tolist()
                for key in first.get("strata", ())
            },
            "curves": {
                key: {
                    "nominal": curve.nominal,
                    "observed": np.mean([each[name]["curves"][key].observed for each in by_seed], 0).tolist(),
                    "error": float(np.mean([each[name]["curves"][key].error for each in by_seed])),
                }
                for key, curve in first.get("curves", {}).items()
            },
            "by_seed": values.tolist(),
        }
    return methods


def bars(found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """What must hold, what was found, and whether it holds."""
    import numpy as np
    from scipy.stats import t

    held = []
    for study, methods in found.items():
        ours = methods[OURS[study]]
        coverage = np.array(ours["by_seed"])[:, :, 0]
        for i, alpha in enumerate(ALPHAS):
            name, mean, target = f"{study} {alpha:.2f}", coverage[:, i].mean(), 1 - alpha
            held.append((f"{name}: mean coverage >= {target - 0.005:.3f}", f"{mean:.3f}", bool(mean >= target - 0.005)))
            # MAPIE's test of validity (test_coverage_validity of its test_regression.py): a one-sided t-test that mean
            # coverage over repeats is not below the target, Bonferroni over all tests
            below, se = paired(coverage[:, i], np.full(len(coverage), target))
            p = float(t.cdf(below / se, len(coverage) - 1)) if se else float(below >= 0)
            bound = FWER / (len(found) * len(ALPHAS))
            held.append((f"{name}: one-sided t-test of coverage, p > {bound:.4f}", f"{p:.3f}", p > bound))
            if study == "synthetic":
                sd = ours["coverage_sd"][i]
                held.append((f"{name}: sd of coverage over seeds <= 0.04", f"{sd:.3f}", sd <= 0.04))
                best = min(methods[split]["mean"]["score"][i] for split in SPLITS)
                gain = 1 - ours["mean"]["score"][i] / best
                held.append((f"{name}: score below the best split's by >= 4 %", f"{100 * gain:.1f} %", gain >= 0.04))
            else:
                difference, se = methods[REFERENCES[0]]["ours_minus_it"][i]
                told = f"{difference:+.3f} ± {se:.3f}"
                held.append((f"{name}: score less {REFERENCES[0]}'s <= one standard error", told, difference <= se))
    return held


def table(found: dict[str, Any], held: list[tuple[str, str, bool]], seeds: int) -> str:
    lines = []
    for study, methods in found.items():
        lines.append(f"{study}, {seeds} seeds: coverage / width / interval score; ours minus it, paired, ± one s. e.")
        heads = "".join(f"{f'alpha {alpha:.2f}':>21}" for alpha in ALPHAS)
        lines.append(f"  {'':26}{heads}   ours minus it")
        for name, each in methods.items():
            rows = zip(*(each["mean"][f] for f in FIGURES), strict=True)
            cells = "".join(f"{f'{c:.3f} / {w:.2f} / {s:.2f}':>21}" for c, w, s in rows)
            versus = "  ".join(f"{d:+.3f} ± {se:.3f}" for d, se in each["ours_minus_it"])
            lines.append(f"  {name:26}{cells}   {'' if name == OURS[study] else versus}".rstrip())
        lines.append("  calibration error: of the head / after isotonic recalibration / of the intervals' ends")
        for name, each in methods.items():
            if each["curves"]:
                errors = " / ".join(f"{each['curves'][key]['error']:.3f}" for key in CURVES)
                parts = "; ".join(f"{key} " + " ".join(f"{c:.3f}" for c in v) for key, v in each["strata"].items())
                lines.append(f"  {name:26}{errors}   coverage of {parts}")
    return "\n".join(lines + [f"{'holds ' if ok else 'MISSED'} {name}: {value}" for name, value, ok in held])


def figure(found: dict[str, Any]) -> None:
    """Reliability curves, and how far each method's interval score lies above ours, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(2, len(found), figsize=(4.6 * len(found), 6.6), squeeze=False)
    for (above, below), (study, methods) in zip(axes.T, found.items(), strict=True):
        above.plot([0, 1], [0, 1], color="#8a8a8a", linewidth=0.8)
        for key, colour in CURVES.items():
            curve = methods[OURS[study]]["curves"][key]
            label = f"{key} ({curve['error']:.3f})"
            above.plot(curve["nominal"], curve["observed"], "o-", markersize=3, linewidth=1, color=colour, label=label)
        above.set(title=f"{study}: {OURS[study]}", xlabel="nominal level", ylabel="observed share")
        above.legend(frameon=False, fontsize="small", title="curve (its error)", title_fontsize="small")
        others = [name for name in methods if name != OURS[study]]
        for j, (alpha, marker) in enumerate(zip(ALPHAS, "os^", strict=True)):
            ours = methods[OURS[study]]["mean"]["score"][j]
            points = [methods[name]["ours_minus_it"][j] for name in others]
            places = [i + 0.2 * (j - 1) for i in range(len(others))]
            x, error = [-100 * d / ours for d, _ in points], [100 * se / ours for _, se in points]
            below.errorbar(x, places, xerr=error, fmt=marker, markersize=4, linewidth=1, label=f"alpha {alpha:.2f}")
        below.axvline(0, color="#8a8a8a", linewidth=0.8)
        below.set(yticks=range(len(others)), yticklabels=others, xlabel="interval score above ours, % (± one s. e.)")
        below.invert_yaxis()
        below.legend(frameon=False, fontsize="small")
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "conformal.png", dpi=100)


def main() -> None:
    arguments = options(__doc__ or "")
    seeds = range(2 if arguments.quick else SEEDS)
    jobs = [(study, seed, arguments.quick) for seed in seeds for study in OURS]
    done: dict[str, list[dict[str, Any]]] = {study: [] for study in OURS}
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        for count, (study, seed, found) in enumerate(workers.imap(run, jobs), 1):
            done[study].append(found)
            print(f"{count} of {len(jobs)}: {study}, seed {seed}", file=sys.stderr, flush=True)
    summaries = {study: summarise(study, by_seed) for study, by_seed in done.items()}
    held = bars(summaries)
    if not arguments.quick:
        figure(summaries)
    found = {"seeds": list(seeds), "alphas": ALPHAS, "studies": summaries, "bars": held}
    finish("conformal", found, table(summaries, held, len(seeds)), arguments)


if __name__ == "__main__":
    main()
