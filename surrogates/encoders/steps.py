"""Processing routes as bags of ordered step tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from surrogates.bags import Bags

Step = tuple[str, Mapping[str, float]]
"""Name of a step, and its parameters by name."""
Route = Sequence[Step]
"""Steps in the order in which they are done."""


@dataclass(frozen=True)
class StepEncoder:
    """Processing routes as bags: one token for each step, in order, padded to `length`.

    A token's features are the step as one-hot, the scaled parameters (0 for one that is not given), and for each
    parameter whether it is given: `len(steps) + 2 len(parameters)` of them. Every step weighs 1. Labels are the steps
    in words, as in "2 anneal", and "" where there is none.

    Raises:
        ValueError: there is no step, a name occurs twice, the length is below 1, or shift and scale do not fit.
    """

    steps: tuple[str, ...]
    """Names of the steps that a route may have."""
    parameters: tuple[str, ...] = ()
    """Names of the parameters that a step may have; one that several steps share means the same in each."""
    length: int = 8
    """Most steps of a route."""
    parameter_scale: tuple[Sequence[float], Sequence[float]] | None = None
    """Shift and scale of each parameter: feature = (value - shift) / scale. By default 0 and 1."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("routes need the name of at least one step")
        for what, names in (("steps", self.steps), ("parameters", self.parameters)):
            if len(set(names)) != len(names):
                raise ValueError(f"{what} must have distinct names, not {', '.join(names)}")
        if self.length < 1:
            raise ValueError(f"length must be at least 1, not {self.length}")
        count = len(self.parameters)
        given = ((0.0,) * count, (1.0,) * count) if self.parameter_scale is None else self.parameter_scale
        shift, scale = (tuple(float(v) for v in values) for values in given)
        if not len(shift) == len(scale) == count:
            raise ValueError(f"{count} parameters need as many shifts and scales, not {len(shift)}, {len(scale)}")
        if not all(math.isfinite(v) for v in shift) or not all(math.isfinite(v) and v > 0 for v in scale):
            raise ValueError(f"shifts must be finite and scales positive, not {shift} and {scale}")
        object.__setattr__(self, "parameter_scale", (shift, scale))

    @property
    def width(self) -> int:
        """Number of features of a token."""
        return len(self.steps) + 2 * len(self.parameters)

    def __call__(
        self, routes: Sequence[Route], side: Tensor | None = None, stratum: Sequence[str] | None = None
    ) -> Bags:
        """Encode `n` routes.

        Args:
            routes: each at least one and at most `length` steps.
            side: what else is known of each sample, `n x s`; by default nothing.
            stratum: of each route; by default all are in "".

        Raises:
            ValueError: with all problems at once, by route and step, both counted from 1: a step or a parameter is
                unknown, a number is not finite, or a route is empty or too long.
        """
        problems = [problem for number, route in enumerate(routes, 1) for problem in self._problems(number, route)]
        if problems:
            raise ValueError("\n".join([f"{len(problems)} problems in {len(routes)} routes:", *problems]))
        step_column = {name: i for i, name in enumerate(self.steps)}
        value_column = {name: i for i, name in enumerate(self.parameters, len(self.steps))}
        flag = len(self.parameters)
        rows, places, columns, values = [], [], [], []
        shift, scale = (dict(zip(self.parameters, part, strict=True)) for part in self.parameter_scale or ((), ()))
        for row, route in enumerate(routes):
            for place, (name, parameters) in enumerate(route):
                cells = [(step_column[name], 1.0)]
                for parameter, value in parameters.items():
                    column = value_column[parameter]
                    cells += [(column, (float(value) - shift[parameter]) / scale[parameter]), (column + flag, 1.0)]
                for column, number in cells:
                    rows.append(row)
                    places.append(place)
                    columns.append(column)
                    values.append(number)
        features = torch.zeros(len(routes), self.length, self.width, dtype=torch.float64)
        features[rows, places, columns] = torch.tensor(values, dtype=torch.float64)
        counts = torch.tensor([len(route) for route in routes], dtype=torch.long)
        return Bags.of(
            features,
            mask=torch.arange(self.length) < counts.unsqueeze(1),
            side=side,
            labels=tuple(self._labels(route) for route in routes),
            stratum=stratum,
            kind="route",
        )

    def _labels(self, route: Route) -> tuple[str, ...]:
        words = tuple(f"{place} {name}" for place, (name, _) in enumerate(route, 1))
        return words + ("",) * (self.length - len(words))

    def _problems(self, number: int, route: Route) -> Iterator[str]:
        if not route:
            yield f"route {number} is empty"
        if len(route) > self.length:
            yield f"route {number} has {len(route)} steps; there may be {self.length}"
        for place, (name, parameters) in enumerate(route, 1):
            where = f"route {number}, step {place}"
            if name not in self.steps:
                yield f"{where}: unknown step {name!r}; expected one of {', '.join(self.steps)}"
            for parameter, value in parameters.items():
                if parameter not in self.parameters:
                    known = f"expected one of {', '.join(self.parameters)}" if self.parameters else "there are none"
                    yield f"{where}: unknown parameter {parameter!r}; {known}"
                if not isinstance(value, Real) or not math.isfinite(value):
                    yield f"{where}: {parameter} must be a finite number, not {value!r}"
