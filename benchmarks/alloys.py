"""Strength and elongation of high-entropy alloys: `auto` and its recipes beside the best references, in one run.

Inputs are the raw amounts of the elements and the 14 descriptors of the file. Splits: the paper's own (KFold(5,
shuffle=True, random_state=42)), the same with random states 0 to 4, whole chemical systems left out (GroupKFold over
the sets of elements) and, for elongation, whole compositions. Everything that is chosen, the recipe and the weights of
its blend, is chosen on the training part alone, by folds that keep equal compositions together.
"""

from __future__ import annotations

import csv
import multiprocessing
import re
import time
from collections import Counter
from typing import Any

from alloy_references import embedding, extra_trees, six_models
from common import RESULTS, finish, lent, options

STATES = (42, 0, 1, 2, 3, 4)
SEED = 0
"""Of every fit."""


def candidates(quick: bool) -> list[Any]:
    """What `auto` chooses from, simplest first."""
    from surrogates import GP, Blend, Forest, GatedAttention, MeanPool

    process = GP(additive_side=True)
    simple = [process, Forest(), Blend(recipes=(process, Forest()))]
    return simple if quick else [*simple, MeanPool(), GatedAttention()]


def read(name: str, target: bool = True) -> dict[str, Any]:
    """Compositions, amounts by element, descriptors `n x 14` and their names, and the target `n`."""
    import numpy as np

    with lent("data", f"hea_{name}.csv").open() as file:
        head, *rows = csv.reader(file)
    first = 2 if target else 1
    amounts = [{e: float(v or 1) for e, v in re.findall(r"([A-Z][a-z]?)([\d.]*)", row[0])} for row in rows]
    return {
        "composition": [row[0] for row in rows],
        "amounts": amounts,
        "elements": sorted({e for row in amounts for e in row}),
        "columns": head[first : first + 14],
        "descriptors": np.array([[float(v) for v in row[first : first + 14]] for row in rows]),
        "value": np.array([float(row[1]) for row in rows]) if target else None,
    }


def table_of(amounts: list[dict[str, float]], elements: list[str]) -> Any:
    import numpy as np

    return np.array([[row.get(element, 0.0) for element in elements] for row in amounts])


def splits(data: dict[str, Any], quick: bool) -> dict[str, list[Any]]:
    """Name to pairs of training and test rows."""
    from sklearn.model_selection import GroupKFold, KFold

    rows = data["composition"]
    states = STATES[:1] if quick else STATES
    found = {f"state {state}": list(KFold(5, shuffle=True, random_state=state).split(rows)) for state in states}
    if not quick:
        systems = ["-".join(sorted(row)) for row in data["amounts"]]
        found["leave system out"] = list(GroupKFold(5).split(rows, groups=systems))
        if len(set(rows)) < len(rows):
            found["leave composition out"] = list(GroupKFold(5).split(rows, groups=rows))
    return found


def run(job: dict[str, Any]) -> dict[str, Any]:
    """One test fold: what everything predicts of it from the other rows."""
    import numpy as np
    import torch

    from surrogates import CompositionEncoder, Targets, choose
    from surrogates.recipes import recipe_hash

    torch.set_num_threads(1)
    begun = time.process_time()
    data, train, test, quick = job["data"], job["train"], job["test"], job["quick"]
    elements, y = data["elements"], data["value"]
    amounts = table_of(data["amounts"], elements)
    X = np.hstack([amounts, data["descriptors"]])
    predicted = {"ExtraTrees": extra_trees(X[train], y[train], X[test])}
    if job["embedding"] is not None:
        roots = np.sqrt(amounts / amounts.sum(1, keepdims=True))
        E = np.hstack([roots, job["embedding"]])
        predicted["six models"] = six_models(X[train], y[train], X[test], len(elements), E[train], E[test])
    shift, spread = data["descriptors"][train].mean(0), data["descriptors"][train].std(0)
    encode = CompositionEncoder(tuple(elements), tuple(data["columns"]), (shift.tolist(), spread.tolist()))
    bags = encode(torch.tensor(X))
    seen, asked = bags[torch.tensor(train)], bags[torch.tensor(test)]
    targets = Targets.exact(torch.tensor(y[train]), groups=[data["composition"][i] for i in train])
    recipes = candidates(quick)
    choice = choose(recipes, seen, targets, seed=SEED)
    for recipe in recipes:
        predicted[recipe.type] = choice.fits[recipe_hash(recipe)].quantiles(asked)[:, 0, 4].detach().numpy()
    predicted["auto"] = choice.fitted.quantiles(asked)[:, 0, 4].detach().numpy()
    told = {"chosen": choice.recipe.type, "reason": choice.reason, "notes": list(choice.fitted.notes)}
    return {**{k: job[k] for k in ("target", "split", "test")}, "predicted": predicted, **told,
            "cpu_seconds": time.process_time() - begun}  # fmt: skip


def summary(done: list[dict[str, Any]], y: Any, reference: str) -> dict[str, Any]:
    """R2 of every method over the folds, and paired differences to the reference."""
    import numpy as np
    from sklearn.metrics import r2_score

    found: dict[str, Any] = {"folds": len(done), "reference": reference, "methods": {}}
    found["chosen"] = dict(Counter(fold["chosen"] for fold in done))
    truth = np.concatenate([y[fold["test"]] for fold in done])
    against = np.array([r2_score(y[fold["test"]], fold["predicted"][reference]) for fold in done])
    for method in done[0]["predicted"]:
        r2 = np.array([r2_score(y[fold["test"]], fold["predicted"][method]) for fold in done])
        difference = r2 - against
        found["methods"][method] = {
            "r2_mean_over_folds": float(r2.mean()),
            "r2_pooled": float(r2_score(truth, np.concatenate([fold["predicted"][method] for fold in done]))),
            "minus_reference": float(difference.mean()),
            "standard_error": float(difference.std(ddof=1) / len(difference) ** 0.5),
        }
    return found


def main() -> None:
    arguments = options(__doc__ or "")
    jobs, values = [], {}
    for target in ("uts",) if arguments.quick else ("uts", "elongation"):
        data = read(target)
        values[target] = data["value"]
        known = None
        if target == "elongation":
            synthetic = read("synthetic_6k", target=False)
            elements = sorted({*synthetic["elements"], *data["elements"]})
            learned_from = table_of(synthetic["amounts"], elements)
            known = embedding(learned_from, synthetic["descriptors"], table_of(data["amounts"], elements))
        for split, parts in splits(data, arguments.quick).items():
            for train, test in parts:
                jobs.append({"target": target, "split": split, "train": train, "test": test, "data": data,
                             "embedding": known, "quick": arguments.quick})  # fmt: skip
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        done = workers.map(run, jobs, chunksize=1)
    recipes = [recipe.to_json() for recipe in candidates(arguments.quick)]
    found: dict[str, Any] = {"seed": SEED, "recipes": recipes, "targets": {}}
    lines = []
    for target, y in values.items():
        reference = "six models" if target == "elongation" else "ExtraTrees"
        names = {fold["split"] for fold in done if fold["target"] == target}
        groups = {"split 42": {"state 42"}, "splits 0-4": {f"state {s}" for s in STATES[1:]}}
        groups |= {name: {name} for name in sorted(names) if name.startswith("leave")}
        found["targets"][target] = {}
        for name, members in groups.items():
            folds = [fold for fold in done if fold["target"] == target and fold["split"] in members]
            if not folds:
                continue
            result = summary(folds, y, reference)
            found["targets"][target][name] = result
            lines.append(f"{target}, {name}: {len(folds)} folds; auto chose {result['chosen']}")
            lines.append(f"  {'':18}{'R2, mean of folds':>18}{'R2, pooled':>12}{'minus ' + reference:>26}")
            for method, row in result["methods"].items():
                versus = f"{row['minus_reference']:+.4f} ± {row['standard_error']:.4f}"
                cells = f"{row['r2_mean_over_folds']:>18.3f}{row['r2_pooled']:>12.3f}"
                lines.append(f"  {method:18}{cells}{versus if method != reference else '':>26}")
    found["choices"] = [{k: fold[k] for k in ("target", "split", "chosen", "reason", "notes")} for fold in done]
    found["cpu_seconds_per_fold"] = sum(fold["cpu_seconds"] for fold in done) / len(done)
    lines.append(f"{found['cpu_seconds_per_fold']:.1f} CPU s a fold")
    if not arguments.quick:
        figure(found["targets"])
    finish("alloys", found, "\n".join(lines), arguments)


def figure(targets: dict[str, Any]) -> None:
    """Difference in R2 to the reference, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(1, len(targets), figsize=(4.8 * len(targets), 3.4), squeeze=False)
    shown = (("#0072b2", "auto", 0.2), ("#d55e00", "forest", 0.0), ("#8a8a8a", "gp", -0.2))
    for axis, (target, by_split) in zip(axes[0], targets.items(), strict=True):
        for colour, method, lift in shown:
            found = [result["methods"][method] for result in by_split.values()]
            difference, error = ([f[name] for f in found] for name in ("minus_reference", "standard_error"))
            heights = [row + lift for row in range(len(found))]
            axis.errorbar(difference, heights, xerr=error, fmt="o", color=colour, label=method)
        reference = next(iter(by_split.values()))["reference"]
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set(title=f"{target}, against {reference}", xlabel="difference in R2", ylim=(-0.6, len(by_split) - 0.4))
        axis.set_yticks(range(len(by_split)), list(by_split))
    axes[0][-1].legend(frameon=False, fontsize=8)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "alloys.png", dpi=110)


if __name__ == "__main__":
    main()
