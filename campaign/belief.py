"""What a campaign believes: its data as training tensors, one calibrated surrogate an objective, and their answers.

Inside, larger is better: a minimised objective is negated on its way in and turned back on its way out, so that
minimising y and maximising -y are the same computation. A matched objective stays as measured. A constraint is believed
like an objective of its own; one with an upper limit only like a minimised one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from botorch.models.model import Model, ModelList
from numpy.typing import NDArray
from torch import Tensor

from acquisition.feasibility import Bound
from acquisition.objectives import Goal
from campaign.answers import AnswerBelief, believe_answer, two_sided
from campaign.classified import Classified
from campaign.encoding import encode_ahead, encoder_of
from campaign.kept_models import KeptModel
from campaign.lessons import Lesson, lessons, with_lessons
from campaign.model_spec import RecipeModel
from campaign.outcomes import OutcomeConstraint
from campaign.routes import ROUTE_RECIPES, route_recipe
from campaign.spaces.product import route_of
from campaign.spec import Objective
from campaign.state import State
from campaign.success import SuccessBelief, believe_success
from surrogates.bags import Bags, Targets
from surrogates.choice import ENOUGH, GROWTH, Choice, choose, needs_rescoring
from surrogates.conformal import Interval as Calibrated
from surrogates.conformal import Withheld, adaptive_alpha
from surrogates.encoders.base import Encoder
from surrogates.recipes import recipe_from

Array = NDArray[np.float64]

AUTO_RECIPES: tuple[Mapping[str, Any], ...] = ({"type": "gp"}, {"type": "mean_pool"}, {"type": "gated_attention"})
"""What `model: auto` chooses from, and from a blend of them, simplest first.

Trees are not among them: they never predict beyond the best value seen, which a search lives on.
"""


def sign(objective: Objective) -> float:
    """Factor between the user's values and "larger is better"."""
    return -1.0 if objective.goal == "minimize" else 1.0


def goal(objective: Objective) -> Goal:
    """The objective as `acquisition` understands it."""
    return Goal(target=objective.target, tolerance=objective.tolerance or 0.0)


@dataclass(frozen=True)
class Training:
    """The measured samples of one objective, oriented to larger is better, censored values marked."""

    X: Array
    """Designs as measured, `n x d`."""
    targets: Targets
    strata: tuple[str, ...]
    labels: tuple[str, ...]
    """Sample labels, row by row."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def exact(self) -> Training:
        """The rows that surrogates learn from: those that are not censored."""
        rows = (self.targets.censor[:, 0] == 0).nonzero().flatten()
        if len(rows) == len(self):
            return self
        kept = rows.tolist()
        t = self.targets
        targets = Targets(
            value=t.value[rows],
            variance=None if t.variance is None else t.variance[rows],
            censor=t.censor[rows],
            groups=tuple(t.groups[i] for i in kept),
        )
        return Training(
            X=self.X[kept],
            targets=targets,
            strata=tuple(self.strata[i] for i in kept),
            labels=tuple(self.labels[i] for i in kept),
        )


def training(state: State, objective: Objective) -> Training:
    """The data of one objective. Samples of one design are one group, so that no split parts them."""
    seen = state.observations(objective.name)
    designs = [state.space.design_candidate(state.composition(o.sample)) for o in seen]
    stated = [o.variance for o in seen]
    known = bool(seen) and all(v is not None and v > 0 for v in stated)
    targets = Targets(
        value=torch.tensor([[sign(objective) * o.value] for o in seen], dtype=torch.float64).reshape(-1, 1),
        variance=torch.tensor(stated, dtype=torch.float64).reshape(-1, 1) if known else None,
        censor=torch.tensor([[int(sign(objective)) * o.censor] for o in seen], dtype=torch.int8).reshape(-1, 1),
        groups=tuple(c.id for c in designs),
    )
    X = np.array([state.space.x_of(c.design) for c in designs]).reshape(len(seen), len(state.space.columns))
    return Training(
        X=X,
        targets=targets,
        strata=tuple(c.stratum for c in designs),
        labels=tuple(o.sample.label for o in seen),
    )


def encoder(state: State) -> Encoder:
    """What turns the campaign's designs into bags."""
    return encoder_of(state.space, state.spec.encoder, state.artifacts)


@dataclass(frozen=True)
class Interval:
    """A calibrated interval in the user's unit for one candidate, or the reason why there is none."""

    level: float
    """Nominal coverage asked for."""
    working_level: float
    """Level at which it was computed, after following the coverage realised so far."""
    lower: float | None = None
    upper: float | None = None
    method: str = ""
    n_calibration: int = 0
    stratum: str = ""
    guarantee: str = ""
    outside: str = ""
    """Why the candidate lies outside the training data, where the guarantee does not hold; empty inside."""
    withheld: str | None = None
    """Why there is no interval: `needs 7 more measurements`."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for the ledger."""
        if self.withheld:
            return {"level": self.level, "working_level": self.working_level, "withheld": self.withheld}
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "withheld"}


@dataclass(frozen=True)
class ObjectiveBelief:
    """One objective's calibrated surrogate, answering in the user's unit."""

    objective: Objective
    data: Training
    choice: Choice
    scored_at: int
    """Number of measurements when the recipes were last compared."""
    model: Model
    encode: Encoder
    alphas: Mapping[float, float]
    """Nominal level -> working miscoverage, which follows the coverage realised so far."""
    lessons: tuple[Lesson, ...] = ()
    """What was learnt from histories."""
    without: Mapping[str, Any] = field(default_factory=dict)
    """Recipe that would be believed without histories, and which later rounds start from, as plain values."""

    def bags(self, X: Array, strata: Sequence[str]) -> Bags:
        """Designs `n x d` as bags."""
        return self.encode(torch.as_tensor(X, dtype=torch.float64), stratum=tuple(strata))

    def median(self, X: Array, strata: Sequence[str]) -> Array:
        """Predicted median of a measurement, `n`, in the user's unit."""
        quantiles = self.choice.fitted.quantiles(self.bags(X, strata))
        return sign(self.objective) * quantiles[:, 0, quantiles.shape[-1] // 2].detach().numpy()

    def intervals(self, X: Array, strata: Sequence[str], level: float) -> list[Interval]:
        """Calibrated intervals of a measurement at a nominal level, one a row, in the user's unit."""
        alpha = self.alphas[level]
        found = self.choice.fitted.interval(self.bags(X, strata), alpha)
        if isinstance(found, Withheld):
            why = f"needs {found.needs} more measurement{'s' if found.needs > 1 else ''}"
            return [Interval(level=level, working_level=1 - alpha, withheld=why)] * len(X)
        ends = self.ends(found)
        return [
            Interval(
                level=level,
                working_level=round(1 - alpha, 6),
                lower=float(ends[i, 0]),
                upper=float(ends[i, 1]),
                method=found.method,
                n_calibration=found.n_calibration[i],
                stratum=found.stratum[i],
                guarantee=found.guarantee,
                outside=found.outside[i],
            )
            for i in range(len(X))
        ]

    def ends(self, found: Calibrated) -> Array:
        """Lower and upper ends of intervals, `n x 2`, in the user's unit."""
        ends = sign(self.objective) * torch.stack([found.lower, found.upper], dim=-1).detach().numpy()
        return np.sort(ends, axis=-1)

    def joint(self, X: Array) -> tuple[Array, Array]:
        """Belief about the noise-free values of designs `n x d`, in the user's unit: mean `n`, covariance `n x n`."""
        with torch.no_grad():
            posterior = self.model.posterior(torch.as_tensor(X, dtype=torch.float64))
            mean = sign(self.objective) * posterior.mean.squeeze(-1)
            return mean.numpy(), posterior.distribution.covariance_matrix.numpy()

    def noise_variance(self) -> float:
        """Variance of one measurement about its noise-free value, as the surrogate estimates it."""
        X = torch.as_tensor(self.data.X, dtype=torch.float64)
        with torch.no_grad():
            noisy = self.model.posterior(X, observation_noise=True).variance
            return float((noisy - self.model.posterior(X).variance).mean().clamp_min(0))


@dataclass(frozen=True)
class ConstraintBelief:
    """What is believed about an outcome constraint that is a number."""

    constraint: OutcomeConstraint
    believed: ObjectiveBelief
    """Its metric, as if it were an objective."""

    @property
    def model(self) -> Model:
        """The noise-free value over designs, oriented as `bound`."""
        return self.believed.model

    @property
    def bound(self) -> Bound:
        """As `acquisition` takes it, oriented like the model: an upper limit is a lower one of the negative."""
        c = self.constraint
        if c.min is None and c.max is not None:
            return Bound(low=-c.max, least=c.min_probability)
        return Bound(c.min, c.max, c.min_probability)

    def probability(self, X: Array) -> Array:
        """Probability that the noise-free values of designs `n x d` lie within the bounds, `n`."""
        with torch.no_grad():
            posterior = self.believed.model.posterior(torch.as_tensor(X, dtype=torch.float64).unsqueeze(-2))
            sd = posterior.variance.clamp_min(0).sqrt()
            return self.bound.log_probability(posterior.mean, sd).exp().reshape(len(X)).numpy()

    def eligible(self, X: Array) -> NDArray[np.bool_]:
        """Whether designs `n x d` meet it rather than not, `n`."""
        return self.probability(X) >= 0.5


def as_objective(constraint: OutcomeConstraint) -> Objective:
    """The objective whose surrogate a constraint is believed with: only its orientation, name and unit matter."""
    upper_only = constraint.min is None
    return Objective(name=constraint.name, unit=constraint.unit, goal="minimize" if upper_only else "maximize")


@dataclass(frozen=True)
class Belief:
    """What is believed about all objectives and constraints."""

    objectives: tuple[ObjectiveBelief, ...]
    constraints: tuple[ConstraintBelief | AnswerBelief, ...] = ()
    """Those of which enough is known to learn from."""
    success: SuccessBelief | None = None
    """Which designs can be made; None where nothing is known of that."""

    @property
    def quantities(self) -> tuple[ConstraintBelief, ...]:
        """The constraints that are numbers."""
        return tuple(c for c in self.constraints if isinstance(c, ConstraintBelief))

    @property
    def answers(self) -> tuple[AnswerBelief, ...]:
        """The constraints that are yes or no."""
        return tuple(c for c in self.constraints if isinstance(c, AnswerBelief))

    @property
    def all(self) -> tuple[ObjectiveBelief, ...]:
        """The objectives, then the constraints that are numbers: what has a value."""
        return (*self.objectives, *(c.believed for c in self.quantities))

    @property
    def classified(self) -> tuple[Classified, ...]:
        """What is yes or no: constraints, then success."""
        return (*self.answers, *([self.success] if self.success else []))

    @property
    def bounds(self) -> list[Bound]:
        """One for each constraint, and one for success."""
        return [c.bound for c in self.constraints] + ([self.success.bound] if self.success else [])

    def feasibility(self, X: Array) -> Array:
        """Probability that designs `n x d` meet each constraint, `n x constraints`."""
        return np.stack([c.probability(X) for c in self.constraints], axis=1).reshape(len(X), -1)

    def likely(self, X: Array) -> NDArray[np.bool_]:
        """Whether designs `n x d` meet every constraint, and are made, with the least probabilities, `n`."""
        late = [c.probability(X) < c.constraint.min_probability for c in self.constraints]
        met = ~np.any([np.zeros(len(X), dtype=bool), *late], axis=0)
        return met & self.success.likely(X) if self.success else met

    def eligible(self, X: Array) -> NDArray[np.bool_]:
        """Whether designs `n x d` may be the incumbent, `n`: each constraint is met rather than not."""
        return np.all([np.ones(len(X), dtype=bool), *(c.eligible(X) for c in self.constraints)], axis=0)

    def best_measured(self) -> float:
        """Best measured score of the first objective among the eligible designs; -inf where none is."""
        first = self.objectives[0]
        data = first.data.exact
        scores = goal(first.objective).score(data.targets.value).reshape(-1)
        return max(scores[torch.from_numpy(self.eligible(data.X))].tolist(), default=-math.inf)

    @property
    def encode(self) -> Encoder:
        """What turns designs into bags."""
        return self.objectives[0].encode

    @property
    def model(self) -> Model:
        """One BoTorch model with an output per objective, then one per constraint and, last, one for success."""
        models = [b.model for b in (*self.objectives, *self.constraints, *([self.success] if self.success else []))]
        return models[0] if len(models) == 1 else ModelList(*models)

    @property
    def goals(self) -> list[Goal]:
        """One goal an output."""
        return [goal(b.objective) for b in self.objectives]

    def observed(self) -> Tensor:
        """Designs of which some objective is measured, `n x d`: the baseline of noisy improvements."""
        by_label = {label: x for b in self.objectives for label, x in zip(b.data.labels, b.data.X, strict=True)}
        return torch.as_tensor(np.stack([by_label[label] for label in sorted(by_label)]), dtype=torch.float64)


MINIMUM_TO_LEARN = 2
"""Measured designs below which nothing is fitted and a batch only fills the space."""


def learnable(state: State) -> bool:
    """Whether every objective has exact values of enough different designs to fit a surrogate."""
    return all(_enough(state, objective.name) for objective in state.objectives)


def unlearnt(state: State) -> list[OutcomeConstraint]:
    """The constraints of which too little is known to fit a surrogate; they cannot weigh on a choice yet."""
    return [c for c in state.constraints if c.learned and not _tells(state, c)]


def _tells(state: State, constraint: OutcomeConstraint) -> bool:
    return two_sided(state, constraint) if constraint.boolean else _enough(state, constraint.name)


def _enough(state: State, metric: str) -> bool:
    made = (state.composition(o.sample) for o in state.observations(metric) if o.censor == 0)
    return len({state.space.design_candidate(design).id for design in made}) >= MINIMUM_TO_LEARN


def believe(
    state: State,
    *,
    seed: int,
    stage: Callable[[str], None] = lambda _: None,
    kept: Mapping[str, KeptModel] | None = None,
) -> Belief:
    """Fit and calibrate one surrogate for each objective and constraint that can be learnt, and learn from failures.

    Args:
        state: the campaign; every objective must be `learnable`.
        seed: of every random choice inside the fits.
        stage: called with a name when a stage begins.
        kept: by objective or constraint, the surrogates to take instead of fitting them.
    """
    objectives = tuple(_believe(state, objective, seed, stage, kept or {}) for objective in state.objectives)
    encode, skipped = objectives[0].encode, unlearnt(state)
    constraints = tuple(
        believe_answer(state, c, encode)
        if c.boolean
        else ConstraintBelief(c, _believe(state, as_objective(c), seed, stage, kept or {}))
        for c in state.constraints
        if c.learned and c not in skipped
    )
    return Belief(objectives, constraints, believe_success(state, encode))


def _believe(
    state: State, objective: Objective, seed: int, stage: Callable[[str], None], kept: Mapping[str, KeptModel]
) -> ObjectiveBelief:
    stage(f"fit {objective.name}")
    data = training(state, objective)
    encode = encoder(state)
    encode_ahead(encode, data.X, stage)
    bags = encode(torch.as_tensor(data.X, dtype=torch.float64), stratum=data.strata)
    if objective.name in kept:
        return _restored(state, objective, data, encode, kept[objective.name])
    n = len(data.exact)
    before = last_choice(state, objective)
    wanted = state.spec.model
    incumbent = recipe_from(before["without_history"]) if before else None
    each = ROUTE_RECIPES if route_of(state.space) else AUTO_RECIPES
    auto = [recipe_from(r) for r in (*each, {"type": "blend", "recipes": each, "safe": "first"})]
    if isinstance(wanted, RecipeModel):
        recipes, scored_at = [recipe_from(route_recipe(state.space, wanted.recipe))], n
    elif before is None or incumbent not in auto or needs_rescoring(before["scored_at"], n):
        recipes, scored_at = auto, n  # another one was chosen by a spec that has been revised since
    else:
        recipes, scored_at = [incumbent], before["scored_at"]
    choice = choose(recipes, bags, data.targets, strata=data.strata, seed=seed, incumbent=incumbent)
    if isinstance(wanted, RecipeModel):
        choice = replace(choice, reason=f"{wanted.type}, as the spec says")
    elif len(recipes) == 1:
        again = math.ceil(max(scored_at * GROWTH, ENOUGH))
        reason = f"{choice.recipe.type}, as chosen at {scored_at} measurements; compared again at {again}"
        choice = replace(choice, reason=reason)
    without = choice.recipe.to_json()
    learnt = lessons(state, objective, sign(objective)) if objective in state.objectives else ()
    if learnt:
        stage(f"learn from history: {objective.name}")
        choice, learnt = with_lessons(choice, learnt, bags, data.targets, data.strata, seed)
    return ObjectiveBelief(
        objective=objective,
        data=data,
        choice=choice,
        scored_at=scored_at,
        model=choice.fitted.botorch_model(encode),
        encode=encode,
        alphas={level: working_alpha(state, objective, level) for level in state.spec.intervals.levels},
        lessons=learnt,
        without=without,
    )


def _restored(state: State, objective: Objective, data: Training, encode: Encoder, kept: KeptModel) -> ObjectiveBelief:
    """What was believed with a surrogate that was kept."""
    return ObjectiveBelief(
        objective=objective,
        data=data,
        choice=kept.choice,
        scored_at=kept.told["scored_at"],
        model=kept.fitted.botorch_model(encode),
        encode=encode,
        alphas={level: working_alpha(state, objective, level) for level in state.spec.intervals.levels},
        lessons=kept.lessons(state, objective, sign(objective)),
        without=kept.told.get("without_history", ""),
    )


def last_choice(state: State, objective: Objective) -> Mapping[str, Any] | None:
    """The model choice stored with the latest batch that was computed from data, which later rounds start from."""
    for batch in reversed(state.batches):
        if objective.name in batch.settings.get("models", {}):
            stored = batch.settings["models"][objective.name]
            return {"without_history": {**stored["settings"], "type": stored["recipe"]}, **stored}
    return None


def misses(state: State, objective: Objective, level: float) -> list[list[bool]]:
    """Per batch in order: whether each measured recommendation fell outside the interval stored before it was made."""
    values = {o.sample.id: o.value for o in state.observations(objective.name) if o.censor == 0}
    rounds: list[list[bool]] = []
    for batch in state.batches:
        found = []
        for r in (r for r in state.recommendations if r.batch == batch.id):
            sample = state.sample_of.get(r.id)
            interval = stored_interval(r.prediction, objective.name, level)
            if sample is not None and sample.id in values and interval is not None:
                found.append(not interval[0] <= values[sample.id] <= interval[1])
        if found:
            rounds.append(found)
    return rounds


def stored_interval(prediction: Mapping[str, Any], objective: str, level: float) -> tuple[float, float] | None:
    """Lower and upper end of a stored prediction's interval, or None where it was withheld or never made."""
    interval = prediction.get(objective, {}).get("intervals", {}).get(f"{level:g}", {})
    return (interval["lower"], interval["upper"]) if "lower" in interval else None


def working_alpha(state: State, objective: Objective, level: float) -> float:
    """Miscoverage to work at so that coverage on coming rounds is `level` (Gibbs and Candès 2021, eq. 2)."""
    alpha = round(1 - level, 12)
    return adaptive_alpha(alpha, misses(state, objective, level)) if state.spec.intervals.adaptive else alpha


def belief_score(belief: ObjectiveBelief, values: Array) -> Array:
    """Values in the user's unit as scores, larger is better."""
    oriented = torch.as_tensor(sign(belief.objective) * values, dtype=torch.float64)
    return goal(belief.objective).score(oriented).numpy()
