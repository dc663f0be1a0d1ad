"""Planted sites: does the rationale of a doped slab name the dopant that was made to matter?

CoOOH slabs, 4 x 3 cells of one layer, 12 Co sites. The planted target of a slab is a sum over its dopants: each active
atom (Zn) gives FLOOR + (1 - FLOOR) exp(-(d - d_nn) / LENGTH), with d the periodic distance to the nearest Ti and d_nn
that of neighbours, and FLOOR where there is no Ti; every other dopant gives a small amount of its own. Without the
floor, taking the Ti away would cost as much as taking the Zn away, and no dopant would be the one that matters. A
measurement adds noise, sd 5 % of the range of the target.

Learned from: 400 slabs of 3 dopants. Tested: 200 slabs of compositions that were not learned from, all with one Zn,
drawn from two compositions with Ti and one without. Rationale as in a campaign: each dopant swapped for every other one
(mean) or turned back into Co, under the joint posterior, largest effect first. Slabs of 2 dopants were never measured,
so the swaps come first in a campaign (*). Hit: the first dopant is the Zn; of 3 dopants, so 33 % at random.

Counted are slabs in which Zn has the largest effect on the noise-free target, in the same way of asking; of the others
it is told how many there are and how often the dopant named is the one of the noise-free target. Sign: that of the
first effect, beside the noise-free target with the dopant turned back; and that of all effects which are larger than
the noise, beside the noise-free target changed in the same way. Element-only: the same recipes on compositions.

Which of two Zn: slabs Zn2 Ti1 whose arrangement, not composition, was not learned from; the Zn of the larger
effect, 50 % at random. Transfer: learned from slabs of 2 dopants, tested on others of them and on slabs of 3.

Nothing is tuned: encoder, recipes and their settings are those of `model: auto`. Features are kept in
`$SITELOOP_ARTIFACTS/features`, or else in `siteloop/features` of the user's cache folder ($XDG_CACHE_HOME, ~/.cache).
"""

from __future__ import annotations

import math
import multiprocessing
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common import RESULTS, finish, options
from planted_slabs import ACTIVE, FLOOR, LENGTH, OWN, SECOND, Plan, Size, Slabs, actives, slabs_of

SEEDS = 5
FULL = Size(("Fe", "Ni", "Ti", "Zn"), 400, 200, (2, 1), 40, (300, 20))
QUICK = Size(("Ni", "Ti", "Zn"), 40, 1, (1, 0), 0, (12, 1))
NOISE = 0.05
AIM, MARGIN = 0.90, 0.10
LEVEL = 0.90
"""Of intervals."""
Z = 1.645
"""Sds within which 90 % of a normal variable lie."""
WAYS = ("swaps", "reversion")
VIEWS = {"sites": "sites", "elements": "element-only"}


@dataclass(frozen=True)
class Explained:
    """Effects of the dopants of one slab in one way, as believed and as they are."""

    sites: list[str]
    change: Any
    sd: Any
    truth: Any

    @property
    def first(self) -> str:
        return self.sites[int(abs(self.change).argmax())]

    @property
    def true_first(self) -> str:
        return self.sites[int(abs(self.truth).argmax())]


def explain(slabs: Slabs, view: str, model: Any, x: int) -> dict[str, Explained]:
    """The rationale of one slab, both ways."""
    import torch

    from campaign.site_rationale import contrast

    sites, numbers, contrasts = slabs.changes(x)
    with torch.no_grad():
        posterior = model.posterior(slabs.designs(view, numbers))
        mean, covariance = posterior.mean.squeeze(-1).numpy(), posterior.distribution.covariance_matrix.numpy()
    truth = slabs.targets(numbers).numpy()
    return {way: Explained(sites, *contrast(w, mean, covariance), w @ truth) for way, w in contrasts.items()}


def judged(slabs: Slabs, view: str, fitted: Any, test: list[int], measured: Any, noise: float) -> dict[str, Any]:
    """Error, intervals, flags and rationales of one fit on slabs with one active atom each."""
    from surrogates.conformal import Withheld
    from surrogates.quantiles import MEDIAN

    bags, truth = slabs.bags(view, test), slabs.targets(test)
    interval = fitted.interval(bags, 1 - LEVEL)
    inside = None if isinstance(interval, Withheld) else (interval.lower <= measured) & (measured <= interval.upper)
    model = fitted.botorch_model(slabs.encoders[view])
    explained = [explain(slabs, view, model, x) for x in test]
    fewer = slabs.space.candidate_of(slabs.space.reversion(test[0])[0].x).stratum
    effects: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for x, ways in zip(test, explained, strict=True):
        (active,) = actives(slabs, x)
        told = ways["reversion"]
        at, d = told.sites.index(active), slabs.distance(x, active)
        effects["no " + SECOND if math.isinf(d) else f"{d:.2f} Å"].append(
            (float(told.change[at]), float(told.truth[at]))
        )
    return {
        "mae": float((fitted.quantiles(bags)[:, 0, MEDIAN] - truth).abs().mean()),
        "coverage": None if inside is None else float(inside.double().mean()),
        "flagged": float((~fitted.domain(bags).inside).double().mean()),
        "primary": "reversion" if fewer in fitted.problem.bags.stratum else "swaps",
        "ways": {way: shares(slabs, test, [ways[way] for ways in explained], explained, noise) for way in WAYS},
        "active_effect": {
            key: {"believed": mean([b for b, _ in pairs]), "true": mean([t for _, t in pairs]), "n": len(pairs)}
            for key, pairs in sorted(effects.items())
        },
    }


def shares(
    slabs: Slabs, test: list[int], asked: list[Explained], explained: list[dict[str, Explained]], noise: float
) -> dict[str, Any]:
    """How often the first dopant and the signs are right, one way of asking."""
    hits, others, first_sign, signs, covered = [], [], [], [], []
    for x, e, ways in zip(test, asked, explained, strict=True):
        if [e.true_first] == actives(slabs, x):
            hits.append(e.first == e.true_first)
        else:
            others.append(e.first == e.true_first)
        at = e.sites.index(e.first)
        first_sign.append(e.change[at] * ways["reversion"].truth[at] > 0)
        signs += [c * t > 0 for c, t in zip(e.change, e.truth, strict=True) if abs(t) > noise]
        covered += (abs(e.change - e.truth) <= Z * e.sd).tolist()
    return {
        "counted": len(hits),
        "hit": mean(hits),
        "others": len(others),
        "others_right": mean(others),
        "sign": mean(first_sign),
        "sign_of_all": mean(signs),
        "within_90": mean(covered),
    }


def which_of_two(slabs: Slabs, view: str, fitted: Any, pairs: list[int]) -> float | None:
    """Share of slabs with two active atoms in which the one of the larger effect is known; a tie counts half."""
    model = fitted.botorch_model(slabs.encoders[view])
    right = []
    for x in pairs:
        e = explain(slabs, view, model, x)["swaps"]
        one, other = (e.sites.index(site) for site in actives(slabs, x))
        believed, true = (abs(effect[one]) - abs(effect[other]) for effect in (e.change, e.truth))
        right.append(0.5 if abs(believed) < 1e-6 else float(believed * true > 0))
    return mean(right)


def mean(values: Sequence[float]) -> float | None:
    """None where there are no values."""
    return float(sum(values)) / len(values) if values else None


def run(job: tuple[Size, int]) -> dict[str, Any]:
    """All figures of one seed."""
    import torch

    from campaign.belief import AUTO_RECIPES
    from surrogates import Targets, choose
    from surrogates.recipes import recipe_from
    from surrogates.splits import generator

    torch.set_num_threads(1)
    size, seed = job
    slabs = slabs_of(size)
    plan = Plan.draw(slabs, size, seed)
    whole = slabs.targets(slabs.of(3))
    noise = NOISE * float(whole.max() - whole.min())

    def measured(name: str, numbers: list[int]) -> Any:
        rng = generator("planted noise", name, seed)
        return slabs.targets(numbers) + noise * torch.randn(len(numbers), generator=rng, dtype=torch.float64)

    def chosen(view: str, numbers: list[int], y: Any) -> Any:
        designs = numbers if view == "sites" else map(slabs.composition, numbers)
        targets = Targets.exact(y, groups=[str(design) for design in designs])
        return choose([recipe_from(tag) for tag in AUTO_RECIPES], slabs.bags(view, numbers), targets, seed=seed)

    y, tested = measured("train", plan.train), measured("test", plan.test)
    found: dict[str, Any] = {
        "seed": seed,
        "noise": noise,
        "held_out": sorted({" ".join(slabs.composition(x)) for x in plan.test}),
        "tested": len(plan.test),
        "pairs": len(plan.pairs),
        "views": {},
    }
    for view in VIEWS:
        choice = chosen(view, plan.train, y)
        rows = {}
        for fitted in choice.fits.values():
            rows[fitted.recipe.type] = judged(slabs, view, fitted, plan.test, tested, noise)
            rows[fitted.recipe.type]["of_two"] = which_of_two(slabs, view, fitted, plan.pairs)
        found["views"][view] = {**rows, "auto": {**rows[choice.recipe.type], "recipe": choice.recipe.type}}
    choice = chosen("sites", plan.train_two, measured("two", plan.train_two))
    found["transfer"] = {
        "learned_from": len(plan.train_two),
        "recipe": choice.recipe.type,
        "2 dopants": judged(slabs, "sites", choice.fitted, plan.test_two, measured("tested two", plan.test_two), noise),
        "3 dopants": judged(slabs, "sites", choice.fitted, plan.test, tested, noise),
    }
    return found


def over_seeds(values: Sequence[float | None]) -> tuple[float | None, float | None, float | None]:
    """Mean, and 95 % bounds if there is more than one seed; None where no seed has a value."""
    from surrogates.explain import interval_over_seeds

    known = [value for value in values if value is not None]
    if len(known) < 2:
        return mean(known), None, None
    return interval_over_seeds(known)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of one model over the seeds."""
    found: dict[str, Any] = {
        key: over_seeds([row.get(key) for row in rows]) for key in ("mae", "coverage", "flagged", "of_two")
    }
    found["primary"] = rows[0]["primary"]
    if "recipe" in rows[0]:
        found["recipes"] = [row["recipe"] for row in rows]
    for way in WAYS:
        parts = [row["ways"][way] for row in rows]
        counts = {key: sum(part[key] for part in parts) for key in ("counted", "others")}
        rates = ("hit", "others_right", "sign", "sign_of_all", "within_90")
        found[way] = counts | {key: over_seeds([part[key] for part in parts]) for key in rates}
    found["active_effect"] = {}
    for key in sorted({key for row in rows for key in row["active_effect"]}):
        seen = [row["active_effect"][key] for row in rows if key in row["active_effect"]]
        n = sum(each["n"] for each in seen)
        means = {name: sum(each[name] * each["n"] for each in seen) / n for name in ("believed", "true")}
        found["active_effect"][key] = {**means, "n": n}
    return found


def main() -> None:
    import torch

    arguments = options(__doc__ or "")
    size, seeds = (QUICK, range(1)) if arguments.quick else (FULL, range(SEEDS))
    slabs = slabs_of(size)
    asked = sorted(set().union(*(Plan.draw(slabs, size, seed).asked(slabs) for seed in seeds)))
    slabs.encoders["sites"].encode(torch.tensor(asked, dtype=torch.float64).unsqueeze(1))
    jobs = [(size, seed) for seed in seeds]
    if len(jobs) > 1:
        with multiprocessing.get_context("spawn").Pool(2) as workers:
            runs = workers.map(run, jobs, chunksize=1)
    else:
        runs = [run(job) for job in jobs]

    models = {
        (view, name): summary([r["views"][view][name] for r in runs])
        for view in VIEWS
        for name in runs[0]["views"][view]
    }
    transfer = {stratum: summary([r["transfer"][stratum] for r in runs]) for stratum in ("2 dopants", "3 dopants")}
    gains = {stratum: gain(figures, int(stratum[0])) for stratum, figures in transfer.items()}
    auto = models["sites", "auto"]
    first = auto[auto["primary"]]
    found: dict[str, Any] = {
        "seeds": list(seeds),
        "elements": size.elements,
        "planted": {"active": ACTIVE, "second": SECOND, "floor": FLOOR, "length": LENGTH, "own": OWN},
        "structures_encoded": len(asked),
        "learned_from": size.train,
        "tested": sum(r["tested"] for r in runs),
        "models": {f"{VIEWS[view]} {name}": figures for (view, name), figures in models.items()},
        "transfer": {"learned_from": runs[0]["transfer"]["learned_from"], **transfer, "hit_minus_random": gains},
        "shown": {
            f"hit at least {AIM:.0%}": first["hit"][0] >= AIM,
            f"sign of the first at least {AIM:.0%}": first["sign"][0] >= AIM,
            f"sign of all at least {AIM:.0%}": first["sign_of_all"][0] >= AIM,
            f"transfer: hit minus random holds within {100 * MARGIN:.0f} points": gains["3 dopants"]
            >= gains["2 dopants"] - MARGIN,
            f"transfer: at least {AIM:.0%} flagged": transfer["3 dopants"]["flagged"][0] >= AIM,
        },
        "runs": runs,
    }
    if not arguments.quick:
        figure(found)
    finish("planted_sites", found, "\n".join(table(found)), arguments)


def gain(figures: dict[str, Any], dopants: int) -> float:
    """Hit minus random, of the way that a campaign shows."""
    return float(figures[figures["primary"]]["hit"][0]) - 1 / dopants


def cell(triple: Sequence[float | None], bounds: bool = False) -> str:
    """A share in per cent."""
    middle, low, high = triple
    if middle is None:
        return "-"
    return f"{100 * middle:.1f}" + (f" ({100 * low:.0f}–{100 * high:.0f})" if bounds and low is not None else "")


def table(found: dict[str, Any]) -> list[str]:
    """The figures in lines, with what was missed."""
    runs = found["runs"]
    noise, dopants = runs[0]["noise"], ", ".join(found["elements"])
    counted = found["models"]["sites auto"]
    lines = [
        f"dopants {dopants}; {found['learned_from']} slabs learned from, {found['tested']} tested over {len(runs)} "
        f"seeds, every one with one {ACTIVE}; noise sd {noise:.3f}; {found['structures_encoded']:,} structures encoded",
        f"counted, as {ACTIVE} matters most in the noise-free target: "
        + ", ".join(f"{counted[way]['counted']} by {way}" for way in WAYS),
        "%; 95 % intervals over seeds in brackets; random hit 33, of two 50; MAE against the noise-free target",
        f"{'':31}{'MAE':>7}{'cover':>7}{'hit *':>19}{'hit, reverted':>19}{'sign':>7}{'all':>7}{'effects in':>12}"
        f"{'of two':>16}",
    ]
    for name, figures in found["models"].items():
        swaps, back = figures["swaps"], figures["reversion"]
        lines.append(
            f"{name:31}{figures['mae'][0]:>7.3f}{cell(figures['coverage']):>7}{cell(swaps['hit'], True):>19}"
            f"{cell(back['hit'], True):>19}{cell(swaps['sign']):>7}{cell(swaps['sign_of_all']):>7}"
            f"{cell(swaps['within_90']):>12}{cell(figures['of_two'], True):>16}"
        )
        if "recipes" in figures:
            used = figures["recipes"]
            lines.append("  chosen: " + ", ".join(f"{recipe} {used.count(recipe)}" for recipe in sorted(set(used))))
    lines.append(
        f"cover: of {LEVEL:.0%} intervals of a measurement; sign and all: of the first effect, of all larger than the "
        "noise, by swaps; effects in: true effects within 1.645 sd"
    )
    lines += [
        f"apart, by {way}: {counted[way]['others']} slabs in which another dopant matters most; sites auto names that "
        f"one in {cell(counted[way]['others_right'])} %"
        for way in WAYS
        if counted[way]["others"]
    ]
    lines.append(f"turning {ACTIVE} back, by distance to {SECOND}: true / sites auto / element-only auto")
    blind = found["models"]["element-only auto"]["active_effect"]
    for key, effect in counted["active_effect"].items():
        values = (effect["true"], effect["believed"], blind[key]["believed"])
        lines.append(f"  {key:10} n {effect['n']:>4}: " + " / ".join(f"{value:+.3f}" for value in values))
    t = found["transfer"]
    lines.append(f"transfer, learned from {t['learned_from']} slabs of 2 dopants, auto")
    for stratum in ("2 dopants", "3 dopants"):
        figures = t[stratum]
        way = figures[figures["primary"]]
        lines.append(
            f"  {stratum}: MAE {figures['mae'][0]:.3f}, cover {cell(figures['coverage'])} %, flagged "
            f"{cell(figures['flagged'])} %, hit by {figures['primary']} {cell(way['hit'], True)} %, minus random "
            f"{100 * t['hit_minus_random'][stratum]:+.1f} points, sign {cell(way['sign'])} %"
        )
    return lines + [f"{claim}: {'yes' if holds else 'NO'}" for claim, holds in found["shown"].items()]


def figure(found: dict[str, Any]) -> None:
    """Hits of every model, and the active effect by distance, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    names = list(found["models"])
    for place, (way, colour) in enumerate({"swaps": "#0072b2", "reversion": "#e69f00"}.items()):
        triples = [found["models"][name][way]["hit"] for name in names]
        middles = [100 * triple[0] for triple in triples]
        half = [100 * (triple[2] - triple[0]) for triple in triples]
        down = [i + 0.36 * (place - 0.5) for i in range(len(names))]
        left.barh(down, middles, 0.34, xerr=half, color=colour, label=f"hit, {way}", error_kw={"elinewidth": 0.8})
    left.axvline(100 / 3, color="#8a8a8a", linewidth=0.8, linestyle=":", label="random")
    left.axvline(100 * AIM, color="#d55e00", linewidth=0.8, linestyle="--", label="aim")
    left.set(yticks=range(len(names)), yticklabels=names, xlim=(0, 105), xlabel=f"{ACTIVE} named first, %")
    left.invert_yaxis()
    lines = {"true": ("true", "sites auto", "black"), "sites": ("believed", "sites auto", "#0072b2")}
    lines["element-only"] = ("believed", "element-only auto", "#8a8a8a")
    for label, (key, model, colour) in lines.items():
        effects = found["models"][model]["active_effect"]
        right.plot(list(effects), [effect[key] for effect in effects.values()], "o-", color=colour, label=label)
    right.set(xlabel=f"distance of {ACTIVE} to {SECOND}", ylabel=f"change when {ACTIVE} is turned back", ylim=(None, 0))
    for axis in (left, right):
        axis.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "planted_sites.png", dpi=110)


if __name__ == "__main__":
    main()
