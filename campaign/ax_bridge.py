"""Mixed continuous spaces with linear constraints, handed to Ax with our surrogate as its BoTorch model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from campaign.belief import believe, encoder, learnable
from campaign.spaces.grid import CompositionGrid
from campaign.state import State, batch_seed
from db.errors import InvalidInput, Problem
from db.records import Design
from surrogates.encoders.base import Encoder

if TYPE_CHECKING:
    from surrogates.bags import Bags


class Completed:
    """The encoder of a space for designs without their last fraction, which is what the others leave of 1.

    Args:
        encoder: of whole designs.
        components: how many leading columns of a whole design are fractions; 0 leaves designs as they are.
    """

    def __init__(self, encoder: Encoder, components: int) -> None:
        self.encoder, self.components = encoder, components

    def whole(self, X: Tensor) -> Tensor:
        """Designs `... x (d - 1)` with the fraction that is missing: `... x d`."""
        if not self.components:
            return X
        free = X[..., : self.components - 1]
        last = (1 - free.sum(-1, keepdim=True)).clamp_min(0)
        return torch.cat([free, last, X[..., self.components - 1 :]], dim=-1)

    def __call__(self, X: Tensor, stratum: Sequence[str] | None = None) -> Bags:
        """Bags of designs `... x (d - 1)`."""
        return self.encoder(self.whole(X), stratum)

    def designs(self, bags: Bags) -> Tensor:
        """The designs that these bags encode, `n x (d - 1)`."""
        X = self.encoder.designs(bags)
        k = self.components
        return torch.cat([X[..., : k - 1], X[..., k:]], dim=-1) if k else X


def suggest(state: State, n: int) -> list[Design]:
    """Designs that Ax proposes with the campaign's own surrogate, for `Campaign.recommend(pin=...)` to record.

    Ax sees every fraction but the last as a range, the number columns as ranges, and the limits of the space as linear
    constraints. What is pending is told to it. Its own acquisition chooses, whatever the spec says.

    Args:
        state: the campaign, with one objective that is minimised or maximised.
        n: how many.

    Raises:
        InvalidInput: the space has categories, structures or a limited number of elements, a constraint has
            alternatives, there are several objectives, a target or outcome constraints, or too little is measured.
    """
    _refuse(state)
    from ax.adapter.registry import Generators
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig
    from ax.generation_strategy.generation_node import GenerationNode
    from ax.generation_strategy.generation_strategy import GenerationStrategy
    from ax.generation_strategy.generator_spec import GeneratorSpec
    from ax.generators.torch.botorch_modular.surrogate import SurrogateSpec
    from ax.generators.torch.botorch_modular.utils import ModelConfig

    from surrogates.ax import SurrogateModel

    space, seed = state.space, batch_seed(state, len(state.batches) + 1)
    (believed,) = believe(state, seed=seed).objectives
    k = len(space.components)
    completed = Completed(encoder(state), k)
    ranges = _ranges(state)
    options = {"recipe": believed.choice.recipe.to_json(), "encoder": completed, "seed": seed}
    config = ModelConfig(SurrogateModel, options, input_transform_classes=None)
    ours = GeneratorSpec(Generators.BOTORCH_MODULAR, generator_kwargs={"surrogate_spec": SurrogateSpec([config])})
    client = Client(random_seed=seed)
    client.configure_experiment(
        [RangeParameterConfig(name=f"x{j}", bounds=r, parameter_type="float") for j, r in enumerate(ranges)],
        parameter_constraints=_constraints(state),
    )
    client.configure_optimization("y")
    client.set_generation_strategy(GenerationStrategy(name="siteloop", nodes=[GenerationNode("siteloop", [ours])]))
    data = believed.data.exact
    for x, y in zip(data.X, data.targets.value[:, 0].tolist(), strict=True):
        client.complete_trial(client.attach_trial(_parameters(x, k)), raw_data={"y": y})
    for r in state.awaited:
        client.attach_trial(_parameters(space.x_of(r.design), k))
    found: list[Design] = []
    for parameters in client.get_next_trials(n).values():
        free = torch.tensor([float(parameters[f"x{j}"]) for j in range(len(ranges))], dtype=torch.float64)
        x = completed.whole(free).tolist()
        named = {name: round(v, 6) for name, v in zip(space.columns, x, strict=True)}
        found.append({name: v for name, v in named.items() if v or name not in space.components})
    return found


def _ranges(state: State) -> list[tuple[float, float]]:
    """Least and greatest value of each column that Ax sees."""
    space, spec = state.space, state.spec.space
    bounds = spec.bounds if isinstance(spec, CompositionGrid) else {}
    found = []
    for name in space.components[:-1]:
        bound = bounds.get(name)
        found.append((bound.min or 0.0, 1.0 if bound.max is None else bound.max) if bound else (0.0, 1.0))
    return found + [(low, high) for _, low, high in space.numeric_ranges()]


def _constraints(state: State) -> list[str]:
    """The limits as Ax writes them, the last fraction replaced by what the others leave of 1."""
    space, spec = state.space, state.spec.space
    k = len(space.components)
    if k < 2:
        return []
    last = [0.0] * (k - 1) + [1.0]
    rows = [([-c for c in last], 0.0)]
    if isinstance(spec, CompositionGrid):
        for limit in spec.limits():
            if limit.lower and limit.lower[0] == space.components[-1]:
                rows.append(([-c for c in last], -limit.lower[1]))
            if limit.upper and limit.upper[0] == space.components[-1]:
                rows.append((last, limit.upper[1]))
            if limit.constraint:
                rows += [
                    ([float(half.coefficients.get(c, 0)) for c in space.components], float(half.bound))
                    for half in limit.constraint.alternatives[0]
                ]
    return [_written([c - row[-1] for c in row[:-1]], bound - row[-1]) for row, bound in rows]


def _written(coefficients: Sequence[float], bound: float) -> str:
    terms = [f"{c!r}*x{j}" for j, c in enumerate(coefficients) if c]
    return f"{' + '.join(terms)} <= {bound!r}"


def _parameters(x: np.ndarray[Any, Any], components: int) -> dict[str, float]:
    free = [*x[: max(components - 1, 0)], *x[components:]]
    return {f"x{j}": float(v) for j, v in enumerate(free)}


def _refuse(state: State) -> None:
    spec, space = state.spec.space, state.space
    only_numbers = len(space.components) + len(space.numeric_ranges()) == len(space.columns)
    grid = spec if isinstance(spec, CompositionGrid) else None
    limited = grid is not None and (grid.max_elements or len(grid.elements)) < len(grid.elements)
    either = grid is not None and any(x.constraint and len(x.constraint.alternatives) > 1 for x in grid.limits())
    asked = (
        ("the space has columns that are no numbers", not only_numbers),
        ("the number of elements is limited, which is no linear constraint", limited),
        ("a constraint has alternatives, which is no linear constraint", either),
        ("there are several objectives", len(state.objectives) > 1),
        ("the objective is to match a target", state.objectives[0].goal == "match"),
        ("there are outcome constraints", bool(state.constraints)),
        ("too little is measured to learn from", not learnable(state)),
    )
    fix = "use `siteloop recommend`"
    if found := [Problem(f"campaign {state.name}", what, fix) for what, wrong in asked if wrong]:
        raise InvalidInput(found)
