"""What is noise in measurements, and what batches, operators and labs add to them: value and variance of each sample.

    y = f(design) + batch + operator + offset of the lab + making the sample + reading it

f is a fixed effect of each design, so that nothing of a surrogate's signal is taken for noise; what tells the rest is
designs that were measured more than once: controls and replicates. Batches and operators are random effects whose sds
are estimated with those of making and reading; labs differ by offsets under a prior `LAB_WIDTH` spreads wide, which is
as good as none. Effects are best linear unbiased predictions (Henderson 1975; Searle, Casella and McCulloch 1992, ch.
7), taken off every measurement of the level. A factor that no design was measured in two levels of stays without an
effect and without a variance; the result says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from surrogates.mixed import Array, Ints, Prior, Rows, estimate, solve
from surrogates.offsets import signal_offsets

READING, MAKING, LAB = "reading", "making", "lab"
"""The sources of variance that always have these names; factors have their own."""
SHARE, WIDTH = 0.1, 1.5
"""Prior of every sd: its median in spreads of the data, and the sd of its logarithm (a factor of 4.5 either way)."""
FLOOR_WIDTH = 0.5
"""The same width where the noise floor is the median of one reading's sd."""
LAB_WIDTH = 10.0
"""Sd of the prior of a lab's offset, in spreads of the data."""
ENOUGH = 5
"""Degrees of freedom from which an estimated noise is taken for the whole of it."""
MOST_LEVELS = 400
"""Levels of a factor beyond which its effects are not estimated."""
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
    """Beside the mean of all levels; of a lab, beside the reference lab."""
    sd: float
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
    names, rows = _numbers(sample)
    spread = float(y.std()) or 1.0
    centre = float(y.mean())
    known = np.zeros(len(y)) if own is None else _filled(np.asarray(own, dtype=float)) / spread
    least = None if floor is None else floor / spread
    found = _Standard((y - centre) / spread, rows, _numbers(design)[1], known**2, least, stated)
    found.add_labs(lab, len(names))
    for name, levels in (factors or {}).items():
        found.add_factor(name, levels)
    told = found.solved(len(names))
    variance = None if told.variance is None else spread**2 * told.variance
    if variance is not None and floor is not None:
        variance = np.maximum(variance, floor**2)
    return NoiseModel(
        samples=names,
        value=centre + spread * told.value,
        variance=variance,
        shift=spread * told.shift,
        components=tuple(Component(n, spread * sd, spread * error, df) for n, sd, error, df in told.components),
        effects=tuple(Effect(f, level, spread * u, spread * sd, n) for f, level, u, sd, n in told.effects),
        unidentified=found.unidentified,
        reference=found.reference,
        part=found.part,
        parts=found.parts,
        rows=rows,
        floor=floor or 0.0,
    )


def _numbers(names: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    """Names in the order of their first appearance, and the place of each in it."""
    place: dict[str, int] = {}
    rows = np.array([place.setdefault(name, len(place)) for name in names], dtype=np.int64)
    return tuple(place), rows


def _filled(sd: Array) -> Array:
    """Sds with the root mean square of the known ones where none is known."""
    missing = ~np.isfinite(sd)
    typical = float(np.sqrt(np.square(sd[~missing]).mean())) if not missing.all() else 0.0
    return np.where(missing, typical, sd)


@dataclass(frozen=True, eq=False)
class _Told:
    value: Array
    variance: Array | None
    shift: Array
    components: tuple[tuple[str, float, float, int], ...]
    effects: tuple[tuple[str, str, float, float, int], ...]


class _Standard:
    """The model of values of mean 0 and spread 1."""

    def __init__(self, y: Array, sample: Ints, design: Ints, own: Array, floor: float | None, stated: bool) -> None:
        self.y, self.sample, self.design, self.own = y, sample, design, own
        self.floor, self.stated = floor, stated and bool((own > 0).all())
        self.unidentified: dict[str, str] = {}
        self.reference, self.parts = "", tuple[tuple[str, ...], ...]()
        self.part = np.zeros(int(sample.max()) + 1, dtype=np.int64)
        self._levels: list[tuple[str, str]] = []
        self._columns: list[Array] = []
        self._partitions: dict[str, Ints] = {}
        repeated = np.bincount(design)[design] > 1
        self.order = np.lexsort((sample, design))
        self.order = self.order[repeated[self.order]]
        """Measurements of repeated designs, those of one design and one sample together."""

    def add_labs(self, lab: Sequence[str] | None, samples: int) -> None:
        """An offset for each lab that shares designs, beside the largest lab that it is joined with."""
        if lab is None or len(names := _numbers(lab)[0]) < 2:
            return
        place = _numbers(lab)[1]
        self._partitions[LAB] = place
        size = [len(np.unique(self.sample[place == k])) for k in range(len(names))]
        ranked = sorted(range(len(names)), key=lambda k: (-size[k], names[k]))
        self.reference = names[ranked[0]]
        joined = _joined(self.design, place, len(names))
        sets = [[k for k in ranked if joined[k] == head] for head in dict.fromkeys(joined[k] for k in ranked)]
        self.parts = tuple(tuple(names[k] for k in group) for group in sets)
        number = np.empty(len(names), dtype=np.int64)
        for i, group in enumerate(sets):
            number[group] = i
            for k in group[1:]:
                self._levels.append((LAB, names[k]))
                self._columns.append((place == k).astype(float))
        self.part = np.zeros(samples, dtype=np.int64)
        self.part[self.sample[::-1]] = number[place[::-1]]

    def add_factor(self, name: str, levels: Sequence[str]) -> None:
        """The effects of a factor, where some design was measured in two of its levels."""
        names, place = _numbers(levels)
        same = [n for n, other in self._partitions.items() if len(set(zip(place, other, strict=True))) == len(names)]
        same = [n for n in same if len(np.unique(self._partitions[n])) == len(names)]
        self._partitions[name] = place
        if len(names) < 2:
            return
        if same:
            self.unidentified[name] = f"it changes only where the {same[0]} does"
        elif len(names) > MOST_LEVELS:
            self.unidentified[name] = f"it has more than {MOST_LEVELS} levels"
        elif not _shared(self.design, place, len(names)).any():
            self.unidentified[name] = f"no design was measured in two of the {len(names)}"
        else:
            self._levels += [(name, each) for each in names]
            self._columns += list((place == np.arange(len(names))[:, None]).astype(float))

    def solved(self, samples: int) -> _Told:
        """Estimate the sds, predict the effects, and take them off."""
        n, q = len(self.y), len(self._columns)
        Z = np.column_stack(self._columns) if q else np.zeros((n, 0))
        factor = [name for name, _ in self._levels]
        random = [name for name in dict.fromkeys(factor) if name != LAB]
        masks = [np.array([f == name for f in factor], dtype=bool) for name in random]
        wide = np.full(q, LAB_WIDTH**2)
        if not len(self.order):
            return self._combined(samples, Z, np.zeros(q), np.diag(wide), None, 0.0, 0.0, False, ())
        rows = self._rows(self.order, Z)
        of_sample, of_design = (rows.rank(np.ones(q, dtype=bool), within=w) for w in ("sample", "group"))
        readings = len(rows.y) - len(rows.sample) - of_sample
        total = len(rows.y) - len(rows.group) - of_design
        making = total - readings if readings else 0
        prior = Prior(SHARE, WIDTH)
        excess = not self.stated or total >= ENOUGH
        typical = float(np.sqrt(self.own.mean())) if self.stated else self.floor
        reading = Prior(typical, WIDTH if self.stated else FLOOR_WIDTH) if typical else prior
        estimable = excess and (total > 0 or q > 0)
        priors = [reading if estimable else None, prior if excess and making else None, *[prior] * len(random)]
        if not any(priors):
            noise, sample = 0.0, 0.0
            components: tuple[tuple[str, float, float, int], ...] = ()
        else:
            some = self._rows(_first(self.order, self.design, MOST_ROWS), Z)
            found = estimate(some, masks, wide, priors)
            noise, sample = float(found.sd[0] ** 2), float(found.sd[1] ** 2)
            for mask, sd in zip(masks, found.sd[2:], strict=True):
                wide[mask] = sd**2
            freedom = [readings or total, making, *(rows.rank(mask, within="group") for mask in masks)]
            told = zip((READING, MAKING, *random), found.sd, found.error, freedom, priors, strict=True)
            components = tuple((name, float(sd), float(e), df) for name, sd, e, df, prior in told if prior)
        if not making:
            self._say_making(readings, total)
        whole = self.stated or (making if readings else total) >= ENOUGH
        scale = noise if noise > 0 or (self.own > 0).all() else 1.0  # for weights alone, where nothing tells the noise
        solution = solve(rows, scale, sample, wide)
        cross = rows.of_samples(solution.leverage)
        at = self.sample[self.order][rows.sample]
        spread_out = np.zeros((samples, q))
        spread_out[at] = cross
        return self._combined(
            samples, Z, solution.effect, solution.covariance, spread_out, scale, sample, whole, components
        )

    def _say_making(self, readings: int, total: int) -> None:
        if not total:
            self.unidentified[READING] = "nothing was measured twice in one batch: it is told by the prior"
        elif readings:
            self.unidentified[MAKING] = "no design was made twice in one batch"

    def _rows(self, order: Ints, Z: Array) -> Rows:
        sample, design = self.sample[order], self.design[order]
        first = np.flatnonzero(np.diff(sample, prepend=-1) | np.diff(design, prepend=-1))
        group = np.flatnonzero(np.diff(design[first], prepend=-1))
        return Rows(self.y[order], self.own[order], Z[order], first, group)

    def _combined(
        self,
        samples: int,
        Z: Array,
        effect: Array,
        covariance: Array,
        cross: Array | None,
        noise: float,
        making: float,
        whole: bool,
        components: tuple[tuple[str, float, float, int], ...],
    ) -> _Told:
        """Value and variance of each sample: that of its noise, of the effects, and what the two have in common."""
        shift = Z @ effect
        precise = noise > 0 or bool((self.own > 0).all())
        w = 1 / (noise + self.own) if precise else np.ones(len(self.y))
        S = np.bincount(self.sample, w, samples)
        value = np.bincount(self.sample, w * (self.y - shift), samples) / S
        variance = None
        if whole or (self.stated and precise):
            share = (w / S[self.sample])[:, None] * Z
            z = np.stack([np.bincount(self.sample, c, samples) for c in [np.zeros(len(w)), *share.T]], axis=1)[:, 1:]
            variance = 1 / S + making + np.einsum("sq,qr,sr->s", z, covariance, z)
            if cross is not None:
                variance -= 2 * (1 / S + making) * (cross * z).sum(1)
            variance = np.maximum(variance, 1e-12)
        effects = []
        for i, (name, level) in enumerate(self._levels):
            here = Z[:, i] > 0
            shared = len(set(self.design[here]) & set(self.design[~here]))
            effects.append((name, level, float(effect[i]), float(np.sqrt(covariance[i, i])), shared))
        return _Told(value, variance, shift, components, tuple(effects))


def _shared(design: Ints, place: Ints, levels: int) -> Array:
    """Whether each design was measured in two levels."""
    pairs = np.unique(design * levels + place)
    found: Array = np.bincount(pairs // levels) > 1
    return found


def _joined(design: Ints, place: Ints, levels: int) -> list[int]:
    """For each level the least one of those that shared designs join it with."""
    head = list(range(levels))
    pairs = np.unique(design * levels + place)
    by_design: dict[int, int] = {}
    for d, k in zip((pairs // levels).tolist(), (pairs % levels).tolist(), strict=True):
        a, b = head[k], head[by_design.setdefault(d, k)]
        if a != b:
            low, high = min(a, b), max(a, b)
            head = [low if h == high else h for h in head]
    return head


def _first(order: Ints, design: Ints, most: int) -> Ints:
    """Measurements of the designs that were repeated most, whole designs up to so many rows, the first in any case."""
    if len(order) <= most:
        return order
    size = np.bincount(design[order])
    ranked = np.argsort(-size, kind="stable")
    kept = ranked[np.cumsum(size[ranked]) <= most]
    return order[np.isin(design[order], kept if len(kept) else ranked[:1])]
