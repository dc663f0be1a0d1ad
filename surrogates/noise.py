"""What is noise in measurements, and what batches, operators and labs add to them: value and variance of each sample.

    y = f(design) + batch + operator + offset of the lab + making the sample + reading it

f is a fixed effect of each design, so that nothing of a surrogate's signal is taken for noise; what tells the rest is
designs that were measured more than once: controls and replicates. Batches and operators are random effects whose sds
are estimated with those of making and reading; labs differ by offsets under a prior `LAB_WIDTH` spreads wide, which is
as good as none. Effects are best linear unbiased predictions (Henderson 1975; Searle, Casella and McCulloch 1992, ch.
7) beside the median level, so that one batch that went wrong moves no other; they are taken off every measurement of
their level. A factor that no design was measured in two levels of stays without an effect and without a variance, and
the result says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from surrogates.levels import LAB, Levels, numbered
from surrogates.mixed import Array, Ints, Prior, Rows, estimate, solve, variances
from surrogates.offsets import signal_offsets

READING, MAKING = "reading", "making"
"""Sources of variance beside the factors."""
SHARE, WIDTH = 0.1, 1.5
"""Prior of every sd: its median in spreads of the data, and the sd of its logarithm (a factor of 4.5 either way)."""
FLOOR_WIDTH = 0.5
"""The same width where the noise floor is the median of one reading's sd."""
LAB_WIDTH = 10.0
"""Sd of the prior of a lab's offset, in spreads of the data."""
ENOUGH = 5
"""Degrees of freedom from which an estimated noise is taken for the whole of it."""
MOST_ROWS = 3000
"""Measurements of repeated designs that sds are estimated from; the effects follow from all."""


@dataclass(frozen=True)
class Component:
    """One source of noise."""

    name: str
    """`reading`, `making`, or a factor."""
    sd: float
    error: float
    """Its own uncertainty; large where little more than the prior tells it."""
    freedom: int
    """Degrees of freedom that tell it."""


@dataclass(frozen=True)
class Effect:
    """What one level of a factor adds to every measurement, and what was therefore taken off."""

    factor: str
    level: str
    shift: float
    """Beside the median of all levels; of a lab, beside the reference lab."""
    sd: float
    """Of the difference from the mean of all levels; of a lab, from the reference lab."""
    shared: int
    """Designs that were measured here and in another level; 0 where only the signal of the surrogate's inputs tells."""


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Noise and effects of one metric, and what follows for each sample."""

    samples: tuple[str, ...]
    """In the order in which they came."""
    value: Array
    """Less the effects, the mean weighted by the precision of each reading, one a sample."""
    variance: Array | None
    """Of `value` about the noise-free value of the design; None where nothing tells the whole of the noise."""
    shift: Array
    """What was taken off each measurement."""
    components: tuple[Component, ...] = ()
    effects: tuple[Effect, ...] = ()
    unidentified: Mapping[str, str] = field(default_factory=dict)
    """Factor -> why it has no effect here."""
    reference: str = ""
    """The lab on whose scale all values are; empty where there is one lab."""
    part: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """For each sample the number of the set of labs that shared designs join; 0 is that of the reference."""
    parts: tuple[tuple[str, ...], ...] = ()
    """The labs of each such set."""
    rows: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Place of each measurement's sample in `samples`."""
    floor: float = 0.0

    def joined(self, X: Array) -> NoiseModel:
        """The same with the offsets of labs that share no design with the reference, as the signal over designs tells.

        Args:
            X: coordinates of the samples' designs, `samples x p`.
        """
        if len(self.parts) < 2:
            return self
        offset, sd = signal_offsets(self.value, X, self.part)
        variance = None if self.variance is None else self.variance + sd[self.part] ** 2
        known = {e.level: e for e in self.effects if e.factor == LAB}
        added = []
        for number, labs in enumerate(self.parts[1:], start=1):
            for lab in labs:
                within = known.pop(lab, Effect(LAB, lab, 0.0, 0.0, 0))
                total = float(np.hypot(within.sd, sd[number]))
                added.append(replace(within, shift=within.shift + float(offset[number]), sd=total, shared=0))
        others = tuple(e for e in self.effects if e.factor != LAB or e.level in known)
        return replace(
            self,
            value=self.value - offset[self.part],
            variance=variance,
            shift=self.shift + offset[self.part][self.rows],
            effects=(*others, *added),
        )


def noise_model(
    value: Array,
    sample: Sequence[str],
    design: Sequence[str],
    factors: Mapping[str, Sequence[str]] | None = None,
    *,
    lab: Sequence[str] | None = None,
    own: Array | None = None,
    stated: bool = False,
    floor: float | None = None,
) -> NoiseModel:
    """Tell noise from effects.

    Args:
        value: measured, `n`.
        sample: which sample each is of.
        design: what that sample is.
        factors: name -> level of each measurement; `batch`, `operator`.
        lab: where each was measured.
        own: sd of each reading, a lower bound of its noise; NaN where it is not known.
        stated: whether `own` was stated by the lab for every measurement: it is then all the noise, unless at least
            `ENOUGH` repeats tell of more.
        floor: noise floor; no sample's variance is below its square.

    Returns:
        Effects, components, and value and variance of each sample. Adding a constant to all values adds it to the
        result, and scaling scales it.

    Raises:
        ValueError: there are no values, they are not finite, or columns differ in length.
    """
    y = np.asarray(value, dtype=float)
    columns = [sample, design, *(factors or {}).values(), *([] if lab is None else [lab])]
    if not len(y) or not np.isfinite(y).all():
        raise ValueError(f"measurements must be finite numbers, at least one; there are {len(y)}")
    if any(len(column) != len(y) for column in columns) or (own is not None and len(own) != len(y)):
        raise ValueError(f"every column must have {len(y)} rows")
    names, rows = numbered(sample)
    spread = float(y.std()) or 1.0
    centre = float(y.mean())
    known = np.zeros(len(y)) if own is None else _filled(np.asarray(own, dtype=float)) / spread
    seen = Levels(rows, numbered(design)[1])
    seen.add_labs(lab)
    for name, levels in (factors or {}).items():
        seen.add_factor(name, levels)
    told = _told(seen, (y - centre) / spread, known**2, None if floor is None else floor / spread, stated)
    variance = None if told.variance is None else spread**2 * told.variance
    if variance is not None and floor is not None:
        variance = np.maximum(variance, floor**2)
    return NoiseModel(
        samples=names,
        value=centre + spread * told.value,
        variance=variance,
        shift=spread * told.shift,
        components=tuple(replace(c, sd=spread * c.sd, error=spread * c.error) for c in told.components),
        effects=tuple(
            Effect(name, level, spread * float(u), spread * float(sd), seen.shared(i))
            for i, ((name, level), u, sd) in enumerate(zip(seen.levels, told.effect, told.sd, strict=True))
        ),
        unidentified={**seen.unidentified, **told.unidentified},
        reference=seen.reference,
        part=seen.part,
        parts=seen.parts,
        rows=rows,
        floor=floor or 0.0,
    )


def _filled(sd: Array) -> Array:
    """Sds with the root mean square of the known ones where none is known."""
    missing = ~np.isfinite(sd)
    typical = float(np.sqrt(np.square(sd[~missing]).mean())) if not missing.all() else 0.0
    return np.where(missing, typical, sd)


@dataclass(frozen=True, eq=False)
class _Told:
    """The model of values of mean 0 and spread 1."""

    value: Array
    variance: Array | None
    shift: Array
    effect: Array
    sd: Array
    components: tuple[Component, ...] = ()
    unidentified: Mapping[str, str] = field(default_factory=dict)


def _told(seen: Levels, y: Array, own: Array, floor: float | None, stated: bool) -> _Told:
    """Estimate the sds, predict the effects, and take them off."""
    stated = stated and bool((own > 0).all())
    wide = np.full(seen.Z.shape[1], LAB_WIDTH**2)
    rows, at = seen.means(seen.repeated, y, own)
    readings, total = seen.freedom(rows)
    making = total - readings if readings else 0
    masks = {name: seen.of(name) for name in seen.factors if name != LAB}
    prior = Prior(SHARE, WIDTH)
    excess = not stated or total >= ENOUGH
    typical = float(np.sqrt(own.mean())) if stated else floor
    reading = Prior(typical, WIDTH if stated else FLOOR_WIDTH) if typical else prior
    estimable = excess and (total > 0 or seen.Z.shape[1] > 0)
    priors = [reading if estimable else None, prior if excess and making else None, *[prior] * len(masks)]
    points, weights, components = np.zeros((1, 2)), np.ones(1), tuple[Component, ...]()
    if any(priors):
        some, _ = seen.means(seen.first(MOST_ROWS), y, own)
        found = estimate(some, list(masks.values()), wide, priors)
        points, weights = found.points, found.weights
        freedom = [readings or total, making, *(rows.rank(mask, within="group") for mask in masks.values())]
        sources = zip((READING, MAKING, *masks), found.sd, found.error, freedom, priors, strict=True)
        components = tuple(Component(name, float(sd), float(e), df) for name, sd, e, df, p in sources if p)
    each = [_predicted(seen, y, own, rows, at, *variances(sds, list(masks.values()), wide)) for sds in points]
    value, variance, effect, spread = (
        np.einsum("k,k...->...", weights, np.array(found)) for found in zip(*each, strict=True)
    )
    values, _, effects, _ = (np.array(found) for found in zip(*each, strict=True))
    variance += np.einsum("k,ks->s", weights, np.square(values - value))
    spread += np.einsum("k,kq->q", weights, np.square(effects - effect))
    unidentified = {}
    if READING in {c.name for c in components} and not total:
        unidentified[READING] = "nothing was measured twice in one batch: the prior tells the noise of a reading"
    elif readings and not making:
        unidentified[MAKING] = "no design was made twice in one batch"
    whole = stated or (making if readings else total) >= ENOUGH
    return _Told(value, variance if whole else None, seen.Z @ effect, effect, np.sqrt(spread), components, unidentified)


def _predicted(
    seen: Levels, y: Array, own: Array, rows: Rows, at: Ints, noise: float, making: float, wide: Array
) -> tuple[Array, Array, Array, Array]:
    """Value and variance of each sample, and effects with their variances, for given variances.

    The variance is that of its noise, of the effects, and twice what the two have in common.
    """
    samples, Z = len(seen.part), seen.Z
    noise = noise if noise > 0 or (own > 0).all() else 1.0  # for weights alone, where nothing tells the noise
    solution = solve(rows, noise, making, wide)
    effect = seen.beside_the_median(solution.effect)
    w = 1 / (noise + own)
    S = np.bincount(seen.sample, w, samples)
    value = np.bincount(seen.sample, w * (y - Z @ effect), samples) / S
    z = np.zeros((samples, Z.shape[1]))
    np.add.at(z, seen.sample, (w / S[seen.sample])[:, None] * Z)
    common = np.zeros_like(z)
    common[at] = rows.of_samples(solution.leverage)
    variance = 1 / S + making + np.einsum("sq,qr,sr->s", z, solution.covariance, z)
    variance -= 2 * (1 / S + making) * (common * z).sum(1)
    return value, np.maximum(variance, 1e-12), effect, seen.spread(solution.covariance)
