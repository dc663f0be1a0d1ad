"""The space of a `ProcessSequence`: routes counted, numbered and coded without being listed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from campaign.spaces.base import Floats, Ints, design_id, index_chunks
from campaign.spaces.limits import Limit, smallest_conflict
from campaign.spaces.radix import digits, strides
from campaign.spaces.route import rules, text
from campaign.spaces.route.automaton import Routes, TooManyStatesError
from campaign.spaces.route.code import RouteCode
from campaign.spaces.route.moves import changed
from campaign.spaces.route.spec import ProcessSequence
from campaign.spaces.route.text import Route
from campaign.words import listed, shown, suggestion
from db.errors import InvalidInput, Problem
from db.records import Candidate, Design
from lab_io.schema import Column
from lab_io.words import count


class SequenceSpace:
    """The routes of a `ProcessSequence`, the shortest first, then step by step in the order of the names of steps.

    A design is one column of text, which `campaign.spaces.route.text` writes and reads. X is the route in numbers, as
    `campaign.spaces.route.code` says.

    Raises:
        InvalidInput: no route obeys all rules (a smallest set that leaves nothing is named), or the rules combine in
            too many ways to count.
    """

    components: tuple[str, ...] = ()

    def __init__(self, spec: ProcessSequence) -> None:
        self.spec = spec
        self.vocabulary = spec.steps
        self.code = RouteCode(self.vocabulary, spec.length.max)
        self.columns = tuple(f"{spec.column}.{name}" for name in self.code.columns)
        self._sizes = [[v.size for v in step.parameters] for step in self.vocabulary]
        try:
            self._routes = self._under(spec.rules)
        except TooManyStatesError as error:
            fix = "use fewer rules, or smaller numbers in them"
            raise InvalidInput(Problem("space.rules", str(error), fix)) from error
        if not self._routes.count:
            raise InvalidInput(self._nothing_left())

    @property
    def count(self) -> int:
        """Exact number of routes."""
        return self._routes.count

    def __len__(self) -> int:
        return self.count

    def strata(self) -> dict[str, int]:
        """Number of routes by number of steps: `{"2 steps": 24, "3 steps": 312}`."""
        return {count(n, "step"): routes for n, routes in self._routes.by_length.items()}

    def X(self, indices: Ints) -> Floats:  # noqa: N802 - the field's word for a design matrix
        """The routes at `indices` [n] in numbers, [n, d].

        Raises:
            InvalidInput: there are more routes than can be numbered.
        """
        steps, settings = self._routes.unrank(indices)
        values = np.zeros((*steps.shape, self.code.slots))
        for s, step in enumerate(self.vocabulary):
            here = steps == s
            chosen = digits(settings[here], self._sizes[s])
            for j, v in enumerate(step.parameters):
                levels = np.arange(v.size, dtype=np.float64) if v.words else np.array(v.levels)
                values[here, j] = levels[chosen[:, j]]
        return self.code.packed(steps, values)

    def stratum(self, indices: Ints) -> list[str]:
        """`3 steps` for each index."""
        return [count(int(n), "step") for n in (self._routes.unrank(indices)[0] >= 0).sum(axis=1)]

    def candidate(self, index: int) -> Candidate:
        """The route at a position."""
        return self._candidate(self.code.route(self.X(np.array([index]))[0]))

    def chunks(self, size: int = 65_536) -> Iterator[Ints]:
        """All positions, in order, `size` at a time."""
        return index_chunks(self.count, size)

    def sample(self, n: int, rng: np.random.Generator) -> Ints:
        """Positions [n] of routes drawn evenly, with replacement."""
        return self._routes.sample(n, rng)

    def locate(self, design: Design) -> int | None:
        """Position of a route as text, numbers typed to within 0.002 of a step; None where the space has none."""
        try:
            route = self._read(design)
        except InvalidInput:
            return None
        index = int(self._rank([route])[0])
        return None if index < 0 else index

    def design_candidate(self, design: Design) -> Candidate:
        """The candidate of any route of these steps, whether it obeys the rules or not.

        Raises:
            InvalidInput: the route is missing or cannot be read; all problems at once.
        """
        return self._candidate(self._read(design))

    def x_of(self, design: Design) -> Floats:
        """Any route of these steps in numbers, [d].

        Raises:
            InvalidInput: as `design_candidate`.
        """
        return self.code.numbers(self._read(design))

    def neighbours(self, index: int) -> Ints:
        """Positions, ascending, of the routes one change away.

        A parameter moves to its next number or another word; a step goes, comes, gives way to another one, or changes
        places with the next. A step that comes has each of its settings, or the middle one where there are over 100.
        """
        route = self.code.route(self.X(np.array([index]))[0])
        ranks = np.unique(self._rank(list(changed(route, self.vocabulary))))
        return ranks[(ranks >= 0) & (ranks != index)]

    def side_scale(self) -> tuple[Floats, Floats]:
        """Zeros and ones: the numbers of a route are a code, which only its encoder reads."""
        return np.zeros(len(self.columns)), np.ones(len(self.columns))

    def coordinates(self, X: Floats) -> Floats:
        """What steps a route has, with which parameters, and where: one step more is a distance of up to 2 / length."""
        tokens = self.code.tokens(X)
        place = (np.arange(self.code.length) + 1) / self.code.length
        return np.hstack([tokens.sum(axis=1), (tokens * place[:, None]).sum(axis=1)]) / self.code.length

    def constituents(self, x: Floats) -> tuple[str, ...]:
        """The steps of a route and the words of its parameters, as `quench medium=water`."""
        found = []
        for name, values in self.code.route(x):
            found += [name, *(f"{name} {p}={value}" for p, value in values.items() if isinstance(value, str))]
        return tuple(dict.fromkeys(found))

    def side_columns(self) -> tuple[Column, ...]:
        """The one column that holds the route."""
        return (Column(self.spec.column, "category"),)

    def numeric_ranges(self) -> tuple[tuple[str, float, float], ...]:
        """Empty: a route is no number."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """The steps that no route has, as a warning."""
        unused = [step.name for s, step in enumerate(self.vocabulary) if not self._occurs(s)]
        return (f"warning: the rules leave no route with {listed(unused, 'or')}",) if unused else ()

    def fingerprint(self) -> str:
        """SHA-256 of the space as specified."""
        return hashlib.sha256(json.dumps(self.spec.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    def _under(self, written: Sequence[str], *, without: int | None = None) -> Routes:
        names = [step.name for step in self.vocabulary]
        read = [rules.parse(rule, names) for rule in written]
        if without is not None:
            read.append(rules.Rule("max", without))
        settings = [prod(sizes) for sizes in self._sizes]
        return Routes(settings, read, self.spec.length.min, self.spec.length.max)

    def _occurs(self, step: int) -> bool:
        return self._under(self.spec.rules, without=step).count < self.count

    def _nothing_left(self) -> Problem:
        """Names a smallest set of rules that no route obeys."""
        limits = [Limit(f"rules[{i}]", rule) for i, rule in enumerate(self.spec.rules)]
        core = smallest_conflict(limits, lambda some: not self._under([limit.words for limit in some]).count)
        length = self.spec.length
        what = f"no route of {length.min} to {length.max} steps obeys {listed([f'{c.key} ({c.words})' for c in core])}"
        return Problem("space", what, "loosen or remove one of them, or allow another length")

    def _candidate(self, route: Route) -> Candidate:
        design = {self.spec.column: text.write(route, self.vocabulary)}
        return Candidate(design_id(design, (), self.side_columns()), design, count(len(route), "step"))

    def _read(self, design: Design) -> Route:
        name = self.spec.column
        if wrong := [key for key in design if key != name]:
            raise InvalidInput(
                [Problem(key, f"{shown(key)} is not a column of the space", suggestion(key, [name])) for key in wrong]
            )
        if design.get(name) is None:
            raise InvalidInput(Problem(name, "is missing from the design", "write its steps, joined by >"))
        return text.parse(str(design[name]), self.vocabulary, self.code.length, name)

    def _rank(self, routes: Sequence[Route]) -> Ints:
        """Positions of routes, -1 for those that the space does not have."""
        steps = np.full((len(routes), self.code.length), -1, dtype=np.int64)
        settings = np.full((len(routes), self.code.length), -1, dtype=np.int64)
        for row, route in enumerate(routes):
            if len(route) > self.code.length:
                continue
            for place, (name, values) in enumerate(route):
                s = self.code.number[name]
                steps[row, place] = s
                places = [v.place(values[v.name]) for v in self.vocabulary[s].parameters]
                if None not in places:
                    worths = strides(self._sizes[s])
                    settings[row, place] = sum(p * w for p, w in zip(places, worths, strict=True) if p)
        return self._routes.rank(steps, settings)
