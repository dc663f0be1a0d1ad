"""Routes as text: `arc_melt(remelts=3, atmosphere=Ar) > homogenize(T=1273 K, t=24 h) > quench(medium=water)`.

    route = step { ">" step }      step = name [ "(" [ name "=" value { "," name "=" value } ] ")" ]

A value is a number, with or without its unit, or a word. What is written is read back exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from campaign.spaces.settings import Level, Variable, level_text
from campaign.words import listed, suggestion
from db.errors import InvalidInput, Problem
from lab_io.findings import CellError
from lab_io.words import normalise

MAX_LENGTH = 10_000
_TOKEN = re.compile(r"\s*(?:(?P<sign>[>(),=])|(?P<text>[^\s>(),=][^>(),=]*))")

Route = tuple[tuple[str, Mapping[str, Level]], ...]
"""Steps in the order in which they are done, each with its parameters."""


@dataclass(frozen=True)
class Step:
    """A step of the vocabulary and its parameters."""

    name: str
    parameters: tuple[Variable, ...] = ()


def write(route: Route, vocabulary: Sequence[Step]) -> str:
    """A route as text."""
    units = {(step.name, v.name): v.unit for step in vocabulary for v in step.parameters}
    parts = []
    for name, values in route:
        given = ", ".join(f"{p}={level_text(value, units[name, p])}" for p, value in values.items())
        parts.append(f"{name}({given})" if given else name)
    return " > ".join(parts)


def parse(text: str, vocabulary: Sequence[Step], most: int, where: str) -> Route:
    """Read a route; it need not obey the rules of a space, nor have its levels.

    Args:
        text: as typed.
        vocabulary: steps that may occur.
        most: greatest number of steps.
        where: what to call it in messages.

    Raises:
        InvalidInput: it does not follow the grammar (the first place where), or steps and values are unknown, missing
            or repeated (all of them).
    """
    if len(text) > MAX_LENGTH:
        raise InvalidInput(Problem(where, f"a route of {len(text):,} characters", f"at most {MAX_LENGTH:,} can be"))
    written = _Text(normalise(text), where).route()
    problems: list[Problem] = []
    if len(written) > most:
        problems.append(Problem(where, f"{len(written)} steps are too many", f"at most {most} can be"))
    known = {step.name: step for step in vocabulary}
    route = []
    for place, (name, given) in enumerate(written, 1):
        at = f"{where}, step {place}"
        if name not in known:
            problems.append(Problem(at, f"{name!r} is not a step of the vocabulary", suggestion(name, known)))
        else:
            route.append((name, _values(known[name], given, at, problems)))
    if problems:
        raise InvalidInput(problems)
    return tuple(route)


def _values(step: Step, given: Sequence[tuple[str, str]], at: str, problems: list[Problem]) -> dict[str, Level]:
    """The parameters of a step in the order of their names; what is wrong is added to `problems`."""
    names = [v.name for v in step.parameters]
    texts: dict[str, str] = {}
    for name, text in given:
        if name not in names:
            fix = suggestion(name, names) if names else f"write {step.name} alone"
            problems.append(Problem(at, f"{name!r} is not a parameter of {step.name}", fix))
        elif name in texts:
            problems.append(Problem(at, f"{name} is given twice", "keep one of the two"))
        texts[name] = text
    if missing := [name for name in names if name not in texts]:
        fix = f"write {step.name}({', '.join(f'{name}=...' for name in names)})"
        problems.append(Problem(at, f"{step.name} has no {listed(missing, 'or')}", fix))
    found: dict[str, Level] = {}
    for v in step.parameters:
        try:
            found |= {v.name: v.read(texts[v.name])} if v.name in texts else {}
        except CellError as error:
            problems.append(Problem(at, f"{v.name}: {error.what}", error.fix))
    return found


class _Text:
    """Recursive descent over the tokens of one route."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        found = ((m[m.lastgroup or 0].rstrip(), m.start(m.lastgroup or 0) + 1) for m in _TOKEN.finditer(text))
        self.tokens = [*found, ("", len(text) + 1)]
        self.at = 0

    def route(self) -> list[tuple[str, list[tuple[str, str]]]]:
        steps = [self._step()]
        while self._take(">"):
            steps.append(self._step())
        if self._token:
            raise self._unexpected("'>' or the end")
        return steps

    def _step(self) -> tuple[str, list[tuple[str, str]]]:
        name, given = self._words("a step"), []
        if self._take("(") and not self._take(")"):
            given.append(self._parameter())
            while self._take(","):
                given.append(self._parameter())
            if not self._take(")"):
                raise self._unexpected("',' or ')'")
        return name, given

    def _parameter(self) -> tuple[str, str]:
        name = self._words("a parameter")
        if not self._take("="):
            raise self._unexpected("'='")
        return name, self._words("a value")

    @property
    def _token(self) -> str:
        return self.tokens[self.at][0]

    def _words(self, expected: str) -> str:
        if not self._token or self._token in ">(),=":
            raise self._unexpected(expected)
        self.at += 1
        return self.tokens[self.at - 1][0]

    def _take(self, sign: str) -> bool:
        found = self._token == sign
        self.at += found
        return found

    def _unexpected(self, expected: str) -> InvalidInput:
        found = f"found {self._token!r}" if self._token else "it ends"
        what = f"{found} at column {self.tokens[self.at][1]}, where {expected} should be"
        return InvalidInput(Problem(self.where, what, "write a route such as 'melt(T=1700 K) > quench(medium=water)'"))
