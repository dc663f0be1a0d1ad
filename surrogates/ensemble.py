"""Ensembles: members trained without a fold each, or on everything, predicting together; and those of networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from botorch.exceptions.errors import UnsupportedError
from torch import Tensor

from surrogates.bags import Bags
from surrogates.networks.heads import HEADS, Head
from surrogates.recipes.base import Problem, Trained
from surrogates.splits import NEVER, generator, hold_back
from surrogates.training import TRAINED, Member, Network, Parameters, Schedule, reuse_memory, train

if TYPE_CHECKING:
    from surrogates.encoders.base import Encoder
    from surrogates.posterior import EnsembleBagModel

STOPPING_SHARE = 0.2
"""Share of the groups of a training fold that decide when a member stops."""
CHUNK = 1 << 22
"""Numbers of the features of bags, over the members, that are predicted together: what a processor's cache holds."""


class BagNetwork(Network, Protocol):
    """A network over (features, mask, weights, side) whose outputs are predictions, `P x b x t x o`."""

    @property
    def head(self) -> Head:
        """What it predicts."""
        ...

    def inputs(self, bags: Bags) -> tuple[Tensor, ...]:
        """What it sees of bags, `n x ...` each."""
        ...

    def prepare(self, parameters: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The same parameters, made ready to be applied many times."""
        ...

    def attention(self, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor | None:
        """Attention over the instances, `P x b x k`; None if the network has none."""
        ...


def _scaling(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and sd over the first dimension, of what is not NaN; an sd that is rounding counts as 1."""
    mean = values.nanmean(0).nan_to_num(0.0)
    sd = (values - mean).square().nanmean(0).sqrt()
    largest = values.nan_to_num(0.0).abs().amax(0) if len(values) else torch.zeros_like(sd)
    return mean, torch.where(sd > 1e-8 * largest, sd, torch.ones_like(sd))


def standardise(parameters: Mapping[str, Tensor], name: str, values: Tensor) -> Tensor:
    """Values `P x b x ... x d` as each member's own training rows scale them, by `name_mean` and `name_sd`, `P x d`."""
    shape = (len(values), *[1] * (values.ndim - 2), -1)
    return (values - parameters[f"{name}_mean"].reshape(shape)) / parameters[f"{name}_sd"].reshape(shape)


class FoldMembers(ABC):
    """Members that left out a fold each, or none, and how they predict together.

    If some members saw everything (refits), these predict; otherwise all do. Out of fold, those predict that left the
    row out.
    """

    problem: Problem
    head: Head = HEADS["quantiles"]

    @property
    @abstractmethod
    def member_fold(self) -> Tensor:
        """The fold that each member left out, `P`; -1 if it saw every row that may be learned from."""

    @abstractmethod
    def member_predictions(self, bags: Bags, members: Tensor) -> Tensor:
        """Predictions of some members, given by number: `P' x n x t x o`, float64."""

    @property
    def predicting(self) -> Tensor:
        """Numbers of the members that predict."""
        refits = self.member_fold == NEVER
        return (refits if refits.any() else ~refits).nonzero().flatten()

    def predictions(self, bags: Bags) -> Tensor:
        """The members' predictions averaged, quantiles level by level (Vincentised), `n x t x o`."""
        return self.member_predictions(bags, self.predicting).mean(0)

    def quantiles(self, bags: Bags) -> Tensor:
        """Nine quantiles, `n x t x 9`.

        Raises:
            UnsupportedError: the head predicts classes.
        """
        if not self.head.numbers:
            raise UnsupportedError("a class head predicts no quantiles; ask for the probability")
        return self.predictions(bags)

    def probability(self, bags: Bags) -> Tensor:
        """Probability of each class, `n x t`.

        Raises:
            UnsupportedError: the head predicts numbers.
        """
        if self.head.numbers:
            raise UnsupportedError("only a class head predicts a probability; this one predicts quantiles")
        return self.predictions(bags)[..., 0]

    def member_locations(self, bags: Bags) -> Tensor:
        """Central predictions of the members that predict, `P x n x t`."""
        return self.head.location(self.member_predictions(bags, self.predicting))

    def fold_predictions(self, bags: Bags) -> Tensor:
        """Predictions of the members that left out each fold, averaged, `K x n x t x o`."""
        found = []
        for fold in range(self.problem.folds):
            members = (self.member_fold == fold).nonzero().flatten()
            found.append(self.member_predictions(bags, members).mean(0))
        return torch.stack(found)

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Predictions for the training rows by the members that left out a fold, `P' x n x t x o`, and whether each of
        them left out each row, `P' x n`.
        """
        members = (self.member_fold != NEVER).nonzero().flatten()
        held = self.member_fold[members].unsqueeze(1) == self.problem.fold
        return self.member_predictions(self.problem.bags, members), held

    def out_of_fold(self) -> Tensor:
        """Predictions for the training rows by the members that left out their fold, `n x t x o`; NaN without any."""
        if not self.problem.folds:
            shape = (
                *self.problem.value.shape,
                self.member_predictions(self.problem.bags[:1], self.predicting).size(-1),
            )
            return torch.full(shape, torch.nan, dtype=torch.float64)
        predictions, held = self.held_out()
        share = held[..., None, None].double()
        return (predictions * share).sum(0) / share.sum(0)

    def botorch_model(self, encoder: Encoder) -> EnsembleBagModel:
        """The belief as a BoTorch model over designs."""
        from surrogates.posterior import EnsembleBagModel

        return EnsembleBagModel(self, encoder)


@dataclass(frozen=True, eq=False)
class Ensemble(FoldMembers):
    """Trained networks, which compute in the dtype of the bags' features."""

    network: BagNetwork
    parameters: Parameters
    """Weights and scales, `P x ...`; weights in float32, and `member_fold`."""
    problem: Problem

    @property
    def head(self) -> Head:  # type: ignore[override]
        """That of the network."""
        return self.network.head

    @property
    def member_fold(self) -> Tensor:
        """The fold that each member left out."""
        return self.parameters["member_fold"]

    def _asked(self, bags: Bags, members: Tensor) -> tuple[Mapping[str, Tensor], Iterator[list[Tensor]]]:
        """Parameters of some members, and inputs of a few bags at a time, `P' x b x ...` each, shared by the members.

        How many bags depends on nothing but shapes, so that results do not depend on the machine's threads.
        """
        reuse_memory()
        dtype = bags.features.dtype
        mine = {name: tensor[members] for name, tensor in self.parameters.items() if name != "member_fold"}
        features, *others = self.network.inputs(bags)
        p, features = centred(mine, features)
        inputs = as_numbers([features, *others], dtype)
        count = max(1, CHUNK // max(1, len(members) * features.shape[1:].numel()))
        chunks = zip(*(tensor.split(count) for tensor in inputs), strict=True)
        shared = ([tensor.expand(len(members), *tensor.shape) for tensor in chunk] for chunk in chunks)
        return self.network.prepare({name: tensor.to(dtype) for name, tensor in p.items()}), shared

    def member_predictions(self, bags: Bags, members: Tensor) -> Tensor:
        """Predictions of some members, `P' x n x t x o`, float64, differentiable in the bags."""
        p, chunks = self._asked(bags, members)
        found = [self.network(p, inputs).double() for inputs in chunks]
        predictions = torch.cat(found, dim=1)
        if not self.head.numbers:
            return predictions
        mean, sd = (self.parameters[f"value_{name}"][members][:, None, :, None] for name in ("mean", "sd"))
        return predictions * sd + mean

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """Mean and sd over members of the attention on each instance, `n x k` each.

        Raises:
            UnsupportedError: the network has none.
        """
        p, chunks = self._asked(bags, self.predicting)
        found = []
        for inputs in chunks:
            attention = self.network.attention(p, inputs)
            if attention is None:
                raise UnsupportedError("this recipe pools without attention")
            found.append(attention.double())
        together = torch.cat(found, dim=1)
        return together.mean(0), together.std(0, correction=int(len(together) > 1))

    def tensors(self) -> dict[str, Tensor]:
        """Weights and scales."""
        return dict(self.parameters)


def centred(parameters: Parameters, features: Tensor) -> tuple[Parameters, Tensor]:
    """Features, and the scaling of each member, moved to lie around 0, where 32 bits are finest; nothing else changes.

    Networks fold their scaling into weights, which is exact only for features that are not far from 0.
    """
    centre = parameters["features_mean"].mean(0).to(features.dtype)
    return {**parameters, "features_mean": parameters["features_mean"] - centre}, features - centre


def as_numbers(inputs: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Inputs of a network with their numbers in one dtype, masks as they are."""
    return [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in inputs]


def train_ensemble(
    network: BagNetwork, problem: Problem, *, members_per_fold: int, refit: bool, schedule: Schedule, seed: int
) -> Trained:
    """Train `members_per_fold` members without each fold and, for a refit or without folds, as many on everything."""
    folds = [*range(problem.folds), *([NEVER] if refit or not problem.folds else [])]
    members, member_fold = [], []
    for fold in folds:
        seen = _seen(problem, fold).nonzero().flatten()
        for member in range(members_per_fold):
            key = (seed, fold, member)
            members.append(Member(key, *hold_back(problem.groups, seen, STOPPING_SHARE, generator("stop", key))))
            member_fold.append(fold)
    constants = _scales(problem, folds, members_per_fold)
    targets = problem.value.expand(len(members), *problem.value.shape)
    if network.head.numbers:
        targets = (targets - constants["value_mean"][:, None]) / constants["value_sd"][:, None]
    features, *others = network.inputs(problem.bags)
    around, features = centred(constants, features)
    weights = train(
        network,
        [tensor.detach() for tensor in as_numbers([features, *others], TRAINED)],
        targets.to(TRAINED),
        members,
        {name: tensor.to(TRAINED) for name, tensor in around.items()},
        lambda prediction, value: _loss(network.head, prediction, value),
        schedule,
        start=problem.start,
    )
    ensemble = Ensemble(network, {**weights, **constants, "member_fold": torch.tensor(member_fold)}, problem)
    return Trained(ensemble, ensemble.out_of_fold().detach())


def _seen(problem: Problem, fold: int) -> Tensor:
    """The rows that members of a fold may see, `n`, bool."""
    return problem.learnable if fold == NEVER else problem.fold != fold


def _loss(head: Head, prediction: Tensor, value: Tensor) -> Tensor:
    """Mean loss over the targets that were measured: predictions `P x b x t x o` and values `P x b x t` to `P x b`."""
    measured = ~value.isnan()
    losses = head.loss(prediction, value.nan_to_num(0.0)) * measured
    return losses.sum(-1) / measured.sum(-1).clamp_min(1)


def _scales(problem: Problem, folds: Sequence[int], members_per_fold: int) -> Parameters:
    """Means and sds of features, side information and targets over each member's training fold, `P x ...`."""
    found: dict[str, list[Tensor]] = {}
    for fold in folds:
        seen = _seen(problem, fold)
        bags = problem.bags[seen]
        values = {"features": bags.features[bags.mask], "side": bags.side, "value": problem.value[seen]}
        for name, tensor in values.items():
            mean, sd = _scaling(tensor.detach().double())
            found.setdefault(f"{name}_mean", []).append(mean)
            found.setdefault(f"{name}_sd", []).append(sd)
    scales = {name: torch.stack(tensors).repeat_interleave(members_per_fold, 0) for name, tensors in found.items()}
    kept = {name: tensor.double() for name, tensor in (problem.start or {}).items() if name in scales}
    for name, tensor in kept.items():
        if tensor.shape != scales[name].shape[1:]:
            expected = tuple(scales[name].shape[1:])
            raise ValueError(f"pretrained {name} is {tuple(tensor.shape)}; that of the data is {expected}")
    return scales | {name: tensor.expand_as(scales[name]).clone() for name, tensor in kept.items()}
