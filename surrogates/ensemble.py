"""Ensembles: K x M members, each trained without its fold, predicting together; and those of networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from botorch.exceptions.errors import UnsupportedError
from torch import Tensor

from surrogates.bags import Bags
from surrogates.quantiles import pinball
from surrogates.recipes.base import Problem, Trained
from surrogates.splits import generator, hold_back
from surrogates.training import TRAINED, Member, Network, Parameters, Schedule, train

if TYPE_CHECKING:
    from surrogates.encoders.elements import CompositionEncoder
    from surrogates.posterior import EnsembleBagModel

STOPPING_SHARE = 0.2
"""Share of the groups of a training fold that decide when a member stops."""
CHUNK = 2048
"""Bags that are predicted together."""


class BagNetwork(Network, Protocol):
    """A network over (features, mask, weights, side) whose outputs are quantiles, `P x b x t x 9`."""

    def attention(self, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor | None:
        """Attention over the instances, `P x b x k`; None if the network has none."""
        ...


def _inputs(bags: Bags) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return bags.features, bags.mask, bags.weights, bags.side


def _scaling(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and sd over the first dimension; an sd of (nearly) 0 counts as 1."""
    mean = values.mean(0)
    sd = (values - mean).square().mean(0).sqrt()
    return mean, torch.where(sd > 1e-8, sd, torch.ones_like(sd))


def scale(parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Features and side information as each member's own training rows scale them, `P x b x ...`."""
    features, _, _, side = inputs
    features = (features - parameters["features_mean"][:, None, None]) / parameters["features_sd"][:, None, None]
    return features, (side - parameters["side_mean"][:, None]) / parameters["side_sd"][:, None]


class FoldMembers(ABC):
    """Members trained without a fold each, fold 0's first and equally many of every fold; how they predict together."""

    problem: Problem

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of members P."""

    @abstractmethod
    def member_quantiles(self, bags: Bags) -> Tensor:
        """Each member's quantiles, `P x n x t x 9`, float64."""

    def held_out(self) -> Tensor:
        """Whether each member's training left out each training row, `P x n`."""
        folds = self.problem.folds
        return self.problem.fold == torch.arange(folds).repeat_interleave(self.count // folds).unsqueeze(1)

    def quantiles(self, bags: Bags) -> Tensor:
        """The members' quantiles averaged level by level (Vincentised), `n x t x 9`."""
        return self.member_quantiles(bags).mean(0)

    def out_of_fold(self) -> Tensor:
        """Quantiles of the training rows, averaged over the members that did not see their group, `n x t x 9`."""
        held = self.held_out()[..., None, None].double()
        return (self.member_quantiles(self.problem.bags) * held).sum(0) / held.sum(0)

    def botorch_model(self, encoder: CompositionEncoder) -> EnsembleBagModel:
        """The belief as a BoTorch model over designs."""
        from surrogates.posterior import EnsembleBagModel

        return EnsembleBagModel(self, encoder)


@dataclass(frozen=True, eq=False)
class Ensemble(FoldMembers):
    """Trained networks. Fold f's members are rows f M to (f + 1) M - 1 of every parameter."""

    network: BagNetwork
    parameters: Parameters
    """Weights and scales, `P x ...`; weights in float32."""
    problem: Problem

    @property
    def count(self) -> int:
        """Number of members P."""
        return len(self.parameters["value_mean"])

    def member_quantiles(self, bags: Bags) -> Tensor:
        """Each member's quantiles, `P x n x t x 9`, float64, differentiable in the bags."""
        parameters = {name: tensor.double() for name, tensor in self.parameters.items()}
        members = self.count
        found = []
        for rows in torch.arange(len(bags)).split(CHUNK):
            inputs = [tensor[rows].expand(members, *tensor[rows].shape) for tensor in _inputs(bags)]
            found.append(
                self.network(parameters, [inputs[0].double(), inputs[1], inputs[2].double(), inputs[3].double()])
            )
        scaled = torch.cat(found, dim=1)
        return scaled * parameters["value_sd"][:, None, :, None] + parameters["value_mean"][:, None, :, None]

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """Mean and sd over members of the attention on each instance, `n x k` each.

        Raises:
            UnsupportedError: the network has none.
        """
        parameters = {name: tensor.double() for name, tensor in self.parameters.items()}
        members = self.count
        inputs = [tensor.expand(members, *tensor.shape) for tensor in _inputs(bags)]
        found = self.network.attention(parameters, inputs)
        if found is None:
            raise UnsupportedError("this recipe pools without attention")
        return found.mean(0), found.std(0)

    def tensors(self) -> dict[str, Tensor]:
        """Weights and scales."""
        return dict(self.parameters)


def train_ensemble(
    network: BagNetwork, problem: Problem, *, members_per_fold: int, schedule: Schedule, seed: int
) -> Trained:
    """Train `members_per_fold` members without each fold; each predicts, and together they predict out of fold.

    Raises:
        ValueError: all rows are of one group.
    """
    if problem.folds < 2:
        raise ValueError("an ensemble over folds needs samples of at least two groups; use the gp recipe")
    members = []
    for fold in range(problem.folds):
        seen = (problem.fold != fold).nonzero().flatten()
        for member in range(members_per_fold):
            key = (seed, fold, member)
            members.append(Member(key, *hold_back(problem.groups, seen, STOPPING_SHARE, generator("stop", key))))
    constants = _scales(problem, members_per_fold)
    targets = (problem.value - constants["value_mean"][:, None]) / constants["value_sd"][:, None]
    data = [tensor.to(TRAINED) if tensor.is_floating_point() else tensor for tensor in _inputs(problem.bags)]
    single = {name: tensor.to(TRAINED) for name, tensor in constants.items()}
    weights = train(
        network,
        [tensor.detach() for tensor in data],
        targets.to(TRAINED),
        members,
        single,
        lambda outputs, value: pinball(outputs, value).mean(-1),
        schedule,
    )
    ensemble = Ensemble(network, {**weights, **constants}, problem)
    return Trained(ensemble, ensemble.out_of_fold().detach())


def _scales(problem: Problem, members_per_fold: int) -> Parameters:
    """Means and sds of features, side information and targets over each member's training fold, `P x ...`."""
    found: dict[str, list[Tensor]] = {}
    for fold in range(problem.folds):
        bags = problem.bags[problem.fold != fold]
        values = {"features": bags.features[bags.mask], "side": bags.side, "value": problem.value[problem.fold != fold]}
        for name, tensor in values.items():
            mean, sd = _scaling(tensor.detach().double())
            found.setdefault(f"{name}_mean", []).append(mean)
            found.setdefault(f"{name}_sd", []).append(sd)
    return {name: torch.stack(tensors).repeat_interleave(members_per_fold, 0) for name, tensors in found.items()}
