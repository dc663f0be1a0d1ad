"""Which site of a structure carries its prediction: every dopant turned back into the host, or swapped for another.

The changed structures are encoded again, so that an effect is the difference of two predictions of real structures
under the joint posterior, and its ± the standard deviation of that difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from botorch.exceptions.errors import UnsupportedError

from campaign.belief import Array, ObjectiveBelief, belief_score, sign
from campaign.filters import Sieve
from campaign.spaces.slab.decorated import DecorationSpace
from campaign.spaces.slab.space import Change, SlabSpace
from campaign.state import State
from surrogates.bags import Bags
from surrogates.explain import Attribution, Verdict, agreement, concentration, judge, skill
from surrogates.quantiles import MEDIAN

SUBSTITUTIONS = 3
SHOWN = 6
"""Sites whose attention is told."""
RANKED = 3
"""Fewest dopants of which an order says anything."""


def explain_sites(
    state: State, sieve: Sieve, space: SlabSpace, belief: ObjectiveBelief, x: int, stratum: str
) -> dict[str, Any]:
    """What one objective's prediction of a candidate hangs on, as plain values in the objective's unit.

    Args:
        state: the campaign.
        sieve: its filters; no substitution is told that a hard one takes out.
        space: its space.
        belief: the objective's surrogate.
        x: of the candidate.
        stratum: of the candidate.

    Returns:
        The signed effect of each dopant, largest first, and whether it may be shown; the best substitutions; attention
        and leave-one-site-out beside them.
    """
    back, swaps = space.reversion(x), _swaps(space, x)
    if not back:
        none = {"gate": "withheld", "reason": "there is no dopant"}
        unit = belief.objective.unit
        return {"unit": unit, "effects": [], **none, "substitutions": [], "leave_one_out": None, "attention": none}
    changes = [*back, *swaps]
    mean, covariance = belief.joint(np.array([[x], *([change.x] for change in changes)], dtype=float))
    single = np.eye(len(changes), 1 + len(changes), k=1)
    single[:, 0] = -1
    change, sd = contrast(single, mean, covariance)
    sites = list(dict.fromkeys((c.site, c.old) for c in back))
    groups = [[i for i, c in enumerate(changes[len(back) :], len(back)) if (c.site, c.old) == site] for site in sites]
    means = np.stack([single[group].mean(axis=0) if group else np.full(1 + len(changes), np.nan) for group in groups])
    swapped, swapped_sd = contrast(means, mean, covariance)
    measured = set(belief.data.exact.strata)
    effects: list[dict[str, Any]] = []
    for i, reverted in enumerate(back):
        ways: dict[str, dict[str, Any]] = {}
        ways["reversion"] = {"to": reverted.new, "change": float(change[i]), "sd": float(sd[i])}
        if groups[i]:
            ways["swaps"] = {"to": "others", "change": float(swapped[i]), "sd": float(swapped_sd[i])}
        inside = space.candidate_of(reverted.x).stratum in measured
        kind = "reversion" if inside or not groups[i] else "swaps"
        effects.append(
            {**_place(space, x, reverted), "kind": kind, **ways[kind], "ways": ways, "leaves_data": not inside}
        )
    effects.sort(key=lambda effect: -abs(effect["change"]))
    bags = belief.bags(np.array([[x]], dtype=float), [stratum])
    left_out, shares = _attributed(belief, bags, "leave_one_out"), _attributed(belief, bags, "attention")
    verdict = _verdict(belief, bags, effects, left_out)
    return {
        "unit": belief.objective.unit,
        "effects": effects,
        "gate": verdict.state,
        "reason": "; ".join(verdict.reasons) or "every gate passed",
        "substitutions": _substitutions(state, sieve, space, belief, swaps, mean, change[len(back) :], sd[len(back) :]),
        "leave_one_out": _of_dopants(left_out, bags, effects, sign(belief.objective)),
        "attention": _attention(belief, bags, shares, left_out),
    }


def changed(space: SlabSpace, X: Array) -> Array:
    """All that candidates `n x 1` become by one change, with themselves, `m x 1`: what explaining them asks for."""
    found = [number for x in X[:, 0] for number in (int(x), *_changes(space, int(x)))]
    return np.array(list(dict.fromkeys(found)), dtype=float).reshape(-1, 1)


def _changes(space: SlabSpace, x: int) -> list[int]:
    return [change.x for change in (*space.reversion(x), *_swaps(space, x))]


def _swaps(space: SlabSpace, x: int) -> list[Change]:
    """One dopant exchanged for another, where the space allows what comes of it."""
    return [change for change in space.swaps(x) if space.allows(change.x)]


def contrast(weights: Array, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """Mean and sd of linear combinations, `c x n`, of jointly Gaussian values, `n`."""
    variance = np.einsum("ci,ij,cj->c", weights, covariance, weights)
    return weights @ mean, np.sqrt(np.clip(variance, 0, None))


def _place(space: SlabSpace, x: int, change: Change) -> dict[str, Any]:
    """A dopant by name, where it sits and beside which other dopants; a composition's dopants have no place."""
    if change.site is None:
        return {"name": change.old, "site": None, "element": change.old, "surface": None, "beside": []}
    label = f"{change.old}@{change.site}"
    assert isinstance(space, DecorationSpace)  # only its dopants have sites
    beside = [f"{element}@{site}" for site, element in space.neighbourhood(x, change.site) if element != change.new]
    surface = space.host.is_surface(change.site)
    return {"name": label, "site": change.site, "element": change.old, "surface": surface, "beside": beside}


def _substitutions(
    state: State,
    sieve: Sieve,
    space: SlabSpace,
    belief: ObjectiveBelief,
    swaps: Sequence[Change],
    mean: Array,
    change: Array,
    sd: Array,
) -> list[dict[str, Any]]:
    """The swaps of one dopant that are predicted to be best, those tried before left out."""
    tried = state.tried()
    gain = belief_score(belief, mean[0] + change) - belief_score(belief, mean[:1])
    options = {}
    for i, swap in enumerate(swaps):
        candidate = space.candidate_of(swap.x)
        new = candidate.id not in tried and candidate.id not in options
        if new and not sieve.takes_out(np.array([float(swap.x)])):
            options[candidate.id] = (i, swap, candidate)
    best = sorted(options.values(), key=lambda option: (-gain[option[0]], option[2].id))[:SUBSTITUTIONS]
    return [
        {
            "candidate": candidate.id,
            "design": dict(candidate.design),
            "swap": f"{swap.old}@{swap.site} -> {swap.new}" if swap.site else f"one {swap.old} -> {swap.new}",
            "change": float(change[i]),
            "sd": float(sd[i]),
            "better": bool(gain[i] > 0),
            "in_space": space.find(swap.x) is not None,
        }
        for i, swap, candidate in best
    ]


def _attributed(belief: ObjectiveBelief, bags: Bags, method: str) -> Attribution | str:
    """An attribution of the one bag, or why there is none."""
    try:
        return belief.choice.fitted.attribute(bags, method)
    except UnsupportedError as error:
        return str(error)


def _verdict(
    belief: ObjectiveBelief, bags: Bags, effects: Sequence[Mapping[str, Any]], left_out: Attribution | str
) -> Verdict:
    """Whether the effects may be shown: the model has skill, the candidate is inside, leaving sites out agrees."""
    fitted = belief.choice.fitted
    quantiles, value, _ = fitted.out_of_fold.of(0)
    size = {effect["name"]: -sign(belief.objective) * effect["change"] for effect in effects}
    here = torch.tensor([[label in size for label in bags.labels[0]]]) & bags.mask
    agreed = None
    if isinstance(left_out, Attribution) and int(here.sum()) >= RANKED:
        effect = torch.tensor([[size.get(label, 0.0) for label in bags.labels[0]]], dtype=torch.float64)
        agreed = float(agreement(replace(left_out, value=effect), left_out, replace(bags, mask=here)))
    return judge(
        measured=len(belief.data.exact),
        skill=skill(quantiles[:, MEDIAN], value),
        concentration=None,
        instances=int(bags.mask.sum()),
        agreement=agreed,
        distance=_distance(belief, bags),
    )


def _distance(belief: ObjectiveBelief, bags: Bags) -> float:
    place = belief.choice.fitted.domain(bags)
    return math.inf if bool(place.new_stratum) else float(place.distance)


def _attention(
    belief: ObjectiveBelief, bags: Bags, shares: Attribution | str, left_out: Attribution | str
) -> dict[str, Any]:
    """Attention of the sites behind its gates, the largest first."""
    if not isinstance(shares, Attribution) or not isinstance(left_out, Attribution):
        return {"gate": "withheld", "reason": next(a for a in (shares, left_out) if isinstance(a, str))}
    quantiles, value, _ = belief.choice.fitted.out_of_fold.of(0)
    verdict = judge(
        measured=len(belief.data.exact),
        skill=skill(quantiles[:, MEDIAN], value),
        concentration=float(concentration(shares.value, bags)),
        instances=int(bags.mask.sum()),
        agreement=float(agreement(shares, left_out, bags)),
        distance=_distance(belief, bags),
        unit="share",
    )
    shown: dict[str, Any] = {"gate": verdict.state, "reason": "; ".join(verdict.reasons) or "every gate passed"}
    if verdict.state == "withheld":
        return shown
    order = shares.value[0].argsort(descending=True, stable=True).tolist()
    weights = {
        bags.labels[0][i]: {"weight": float(shares.value[0, i]), "sd": float(shares.sd[0, i])}
        for i in order
        if bags.mask[0, i]
    }
    return {**shown, "weights": dict(list(weights.items())[:SHOWN])}


def _of_dopants(
    found: Attribution | str, bags: Bags, effects: Sequence[Mapping[str, Any]], factor: float
) -> dict[str, Any] | None:
    """What leaving out each dopant's site changes, in the objective's unit; None where that cannot be asked."""
    if not isinstance(found, Attribution):
        return None
    at = {label: i for i, label in enumerate(bags.labels[0])}
    names = [effect["name"] for effect in effects if effect["name"] in at]
    return {
        name: {"change": -factor * float(found.value[0, at[name]]), "sd": float(found.sd[0, at[name]])}
        for name in names
    }
