"""The routes one change away from a route, whether rules allow them or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

from campaign.spaces.route.text import Route, Step

MAX_SETTINGS = 100
"""A step with more settings than these comes into a route with the middle one of each parameter only."""


def changed(route: Route, vocabulary: Sequence[Step]) -> Iterator[Route]:
    """One parameter moved, one step left out, added or exchanged for another, or two adjacent steps exchanged.

    Args:
        route: whose parameters have settings of the vocabulary.
        vocabulary: steps that may come in.
    """
    steps = {step.name: step for step in vocabulary}
    come = [(step.name, values) for step in vocabulary for values in _settings(step)]
    for place, (name, values) in enumerate(route):
        before, after = route[:place], route[place + 1 :]
        for v in steps[name].parameters:
            now = v.place(values[v.name])
            for other in v.nearby(now) if now is not None else ():
                yield (*before, (name, {**values, v.name: v.value(other)}), *after)
        yield (*before, *after)
        yield from ((*before, new, *after) for new in come if new[0] != name)
        if after:
            yield (*before, after[0], (name, values), *after[1:])
    for place in range(len(route) + 1):
        yield from ((*route[:place], new, *route[place:]) for new in come)


def _settings(step: Step) -> Iterator[dict[str, float | str]]:
    """The settings with which a step comes into a route."""
    few = prod(v.size for v in step.parameters) <= MAX_SETTINGS
    choices = [range(v.size) if few else (v.size // 2,) for v in step.parameters]
    for chosen in product(*choices):
        yield {v.name: v.value(i) for v, i in zip(step.parameters, chosen, strict=True)}
