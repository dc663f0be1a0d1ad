"""A route in numbers: of each place the number of its step, from 1, then its parameters; zeros behind the end.

Of a parameter this is the number itself, or the place of its word in the list of words, from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from campaign.spaces.base import Floats, Ints
from campaign.spaces.route.text import Route, Step


class RouteCode:
    """The code of routes of a vocabulary.

    Args:
        vocabulary: steps that may occur.
        length: greatest number of steps.
    """

    def __init__(self, vocabulary: Sequence[Step], length: int) -> None:
        self.vocabulary = tuple(vocabulary)
        self.length = length
        self.slots = max(len(step.parameters) for step in vocabulary)
        self.number = {step.name: s for s, step in enumerate(vocabulary)}
        parts = ("step", *(str(j + 1) for j in range(self.slots)))
        self.columns = tuple(f"{place + 1}.{part}" for place in range(length) for part in parts)

    def packed(self, steps: Ints, values: Floats) -> Floats:
        """X [n, d] of steps [n, length], -1 behind the end, and values [n, length, slots]."""
        return np.concatenate([steps[..., None] + 1.0, values], axis=2).reshape(len(steps), len(self.columns))

    def numbers(self, route: Route) -> Floats:
        """X [d] of one route."""
        x = np.zeros((self.length, 1 + self.slots))
        for place, (name, values) in enumerate(route):
            s = self.number[name]
            x[place, 0] = s + 1
            for j, v in enumerate(self.vocabulary[s].parameters):
                value = values[v.name]
                x[place, 1 + j] = v.words.index(value) if isinstance(value, str) else value
        return x.reshape(-1)

    def route(self, x: Floats) -> Route:
        """The route of X [d]."""
        found = []
        for number, *values in x.reshape(self.length, 1 + self.slots).tolist():
            if number:
                step = self.vocabulary[round(number) - 1]
                read = zip(step.parameters, values, strict=False)
                found.append((step.name, {v.name: v.words[round(value)] if v.words else value for v, value in read}))
        return tuple(found)

    @cached_property
    def features(self) -> dict[tuple[int, int], tuple[str, ...]]:
        """(step, slot) -> names of the features of a parameter: one of a number, one for each word.

        A number that several steps share, in the same unit, is one feature, and so is a word; what has the same name
        and another unit is named with its step.
        """
        kinds: dict[str, set[str | None]] = {}
        for step in self.vocabulary:
            for v in step.parameters:
                kinds.setdefault(v.name, set()).add(None if v.words else v.unit)
        found = {}
        for s, step in enumerate(self.vocabulary):
            for j, v in enumerate(step.parameters):
                name = v.name if len(kinds[v.name]) == 1 else f"{step.name}.{v.name}"
                found[s, j] = tuple(f"{name}={word}" for word in v.words) if v.words else (name,)
        return found

    @cached_property
    def parameters(self) -> dict[str, tuple[float, float]]:
        """Feature of a parameter -> (least, range) of its numbers; (0, 1) for a word."""
        levels: dict[str, list[float]] = {}
        for (s, j), names in self.features.items():
            for name in names:
                levels.setdefault(name, []).extend(self.vocabulary[s].parameters[j].levels or (0.0, 1.0))
        return {name: (min(found), max(found) - min(found) or 1.0) for name, found in levels.items()}

    def tokens(self, X: Floats) -> Floats:
        """Of each place [n, length, f]: its step as columns of 0 or 1, and its parameters over their ranges."""
        code = X.reshape(len(X), self.length, 1 + self.slots)
        steps = code[..., 0].astype(np.int64)
        columns = {name: len(self.vocabulary) + i for i, name in enumerate(self.parameters)}
        found = np.zeros((len(X), self.length, len(self.vocabulary) + len(columns)))
        for s in range(len(self.vocabulary)):
            found[..., s] = steps == s + 1
        for (s, j), names in self.features.items():
            here = steps == s + 1
            for word, name in enumerate(names):
                low, extent = self.parameters[name]
                values = code[here, 1 + j]
                is_word = bool(self.vocabulary[s].parameters[j].words)
                found[here, columns[name]] = values == word if is_word else (values - low) / extent
        return found
