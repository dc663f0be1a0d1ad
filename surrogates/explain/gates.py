"""Gates: checks that must pass before an explanation is shown as reliable.

A failing gate either withholds the explanation, because what it says would be empty or wrong, or marks it indicative,
because it may be right and nothing shows it. The thresholds are those of the attention study on doped slabs, unless
said otherwise.

- **skill**: the model beats a constant out of fold by 2 standard errors (our own). Else withheld: it explains a model
  that knows nothing, and a network trained on shuffled labels has an attention map too.
- **domain**: inside, by the caller's domain guard. Else effects in target units are withheld, as they go with the
  prediction, whose error grew 17-fold under transfer; attention, which still found 96 % of the sites, is indicative.
- **concentration**, low: at least 2 times uniform. Else withheld: the signal is spread, a mean pool explains as well,
  and instances are ranked by small differences.
- **concentration**, high: at most 5 times uniform. Else indicative: sharper maps came with twice the error, but a
  signal that truly sits on one site of twenty is as sharp.
- **agreement**: rank correlation with another method at least 0.5 (our own). Else indicative, as methods ask different
  questions of the model and may differ and be right; at or below 0 withheld, as they contradict one another.
- **measured**: at least 40 samples. Else indicative: accuracy needs 40, but maps were right before it, and skill is
  checked by itself.

The concentration gate does not apply to bags of up to 5 instances: 5 times uniform is out of their reach, and 2 times
is all of it on one of two instances but little more than chance on five.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from surrogates.explain.attributions import Unit

MEASURED = 40
"""Measured samples from which attention pooling overtakes the mean."""
CONCENTRATION = (2.0, 5.0)
"""Times uniform: from where attention beats the mean pool, and up to where it did not overfit."""
AGREEMENT = 0.5
"""Least rank correlation of two methods."""
SKILL_MARGIN = 2.0
"""Standard errors by which the model must beat a constant: 1 in 40 models without skill does."""

State = Literal["reliable", "indicative", "withheld"]


@dataclass(frozen=True)
class Skill:
    """How much better than a constant a model predicts what it has not seen."""

    score: float
    """1 - mean squared error / that of a constant; out-of-fold R2. At most 1, and 0 for a constant."""
    margin: float
    """Mean gain over the constant in its standard errors."""
    count: int
    """Rows compared."""


@dataclass(frozen=True)
class Check:
    """One gate and how it went."""

    gate: str
    verdict: State
    """What this gate alone allows."""
    text: str
    """The number and the threshold."""


@dataclass(frozen=True)
class Verdict:
    """Whether an explanation may be shown, and as what."""

    checks: tuple[Check, ...]

    @property
    def state(self) -> State:
        """The strictest of the gates."""
        found = {check.verdict for check in self.checks}
        return "withheld" if "withheld" in found else "indicative" if "indicative" in found else "reliable"

    @property
    def reasons(self) -> tuple[str, ...]:
        """What the gates that failed have to say, those that withhold first."""
        failed = [check for check in self.checks if check.verdict != "reliable"]
        return tuple(check.text for check in sorted(failed, key=lambda check: check.verdict != "withheld"))


def skill(predicted: Tensor, value: Tensor) -> Skill:
    """Skill of out-of-fold predictions of one target against a constant.

    The constant of a row is the mean of all other rows, which has not seen it either. The margin is the paired
    difference of squared errors over rows (Diebold and Mariano 1995, without lags).

    Args:
        predicted: medians, or probabilities of a class, `m`, each by models that did not see the row.
        value: what was measured, `m`; NaN if it was not, and such rows do not count.

    Raises:
        ValueError: shapes disagree.
    """
    if predicted.ndim != 1 or predicted.shape != value.shape:
        raise ValueError(f"predicted and value must be m each, not {tuple(predicted.shape)} and {tuple(value.shape)}")
    known = ~(value.isnan() | predicted.isnan())
    y, p = value[known].double(), predicted[known].double()
    m = len(y)
    if m < 3 or not bool((y != y[0]).any()):
        return Skill(math.nan, math.nan, m)
    constant = ((y - y.mean()) * m / (m - 1)).square()
    gain = constant - (y - p).square()
    return Skill(
        score=float(gain.mean() / constant.mean()),
        margin=float(gain.mean() / (gain.std() / m**0.5)),
        count=m,
    )


def judge(
    *,
    measured: int,
    skill: Skill,
    concentration: float | None,
    instances: float,
    agreement: float | None,
    distance: float,
    unit: Unit = "target",
) -> Verdict:
    """Whether an attribution may be shown: of one bag, or of many with the means over them.

    A number that is NaN fails its gate: what could not be checked has not passed. A gate that does not apply is None:
    concentration to effects of single changes, each with its own sd; agreement where fewer than three can be ranked.

    Args:
        measured: samples with an exact value that the model has learned from.
        skill: out of fold, see `skill`.
        concentration: times uniform, see `measures.concentration`: of the model's attention, on which the band was
            found, or of the attribution shown if there is none. Effects differ in size where attention is even, which
            alone makes them about 1.6 times as concentrated.
        instances: in the bag, or the mean over bags.
        agreement: rank correlation of the attribution with one that asks the same by other means, such as occlusion
            with integrated_gradients, see `measures.agreement`. Occlusion and leave_one_out agree by construction;
            attention has no sign and asks something else.
        distance: to the training data, over the largest distance that counts as inside; at most 1 is inside.
        unit: that of the attribution.
    """
    low, high = CONCENTRATION
    checks = [
        _check(
            "skill",
            skill.margin >= SKILL_MARGIN,
            "withheld",
            f"out of fold the model beats a constant by {skill.margin:.1f} standard errors (R2 {skill.score:.2f} on "
            f"{skill.count} samples); at least {SKILL_MARGIN:g} are needed",
        ),
        _check(
            "domain",
            distance <= 1,
            "withheld" if unit == "target" else "indicative",
            f"{distance:.2f} times the distance that counts as inside the training data; at most 1 is inside",
        ),
        *([] if concentration is None else [_concentration(concentration, instances, low, high)]),
        *([] if agreement is None else [_agreement(agreement)]),
        _check(
            "measured",
            measured >= MEASURED,
            "indicative",
            f"{measured} measured samples; at least {MEASURED} are needed",
        ),
    ]
    return Verdict(tuple(checks))


def _check(gate: str, passed: bool, otherwise: State, text: str) -> Check:
    return Check(gate, "reliable" if passed else otherwise, text)


def _agreement(found: float) -> Check:
    text = f"rank correlation with another method {found:.2f}; at least {AGREEMENT:g} is agreement"
    if found > 0:
        return _check("agreement", found >= AGREEMENT, "indicative", text)
    return Check("agreement", "withheld", f"{text}, and this is none")


def _concentration(found: float, instances: float, low: float, high: float) -> Check:
    """The gate with two sides; a bag of few instances passes it."""
    if instances <= high:
        text = f"{instances:g} instances; concentration tells nothing up to {high:g}"
        return Check("concentration", "reliable", text)
    if found > high:
        text = f"concentration {found:.1f} times uniform; above {high:g} it may have collapsed onto few instances"
        return Check("concentration", "indicative", text)
    text = f"concentration {found:.1f} times uniform; below {low:g} the signal is spread and a mean explains as well"
    return _check("concentration", found >= low, "withheld", text)
