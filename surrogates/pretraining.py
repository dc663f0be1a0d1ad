"""Masked-instance modelling: what a network can learn from bags that nobody has measured.

Some instances of every bag are hidden or swapped, and the network tells from the rest what their features were, as
tokens are in Devlin et al. (2019). What it learned of instances and bags is where training on few measured bags starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from botorch.exceptions.errors import UnsupportedError
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import silu

from surrogates.bags import Bags, content_hash
from surrogates.ensemble import STOPPING_SHARE, as_numbers
from surrogates.recipes.bag import BagRecipe, PooledNetwork, weight
from surrogates.recipes.base import Recipe
from surrogates.recipes.transformer import TransformerNetwork
from surrogates.splits import generator, hold_back
from surrogates.training import TRAINED, Member, Parameters, Schedule, train

CHUNK = 2048
"""Bags that are told together."""
NEARLY_CONSTANT = 1e-6
"""An sd of a feature up to which it is not scaled."""
READ_OUT = ("mix", "mix_bias", "head", "head_bias")
"""Parameters of a pooled network that belong to its targets, and are not pretrained."""
TELLING = ("hidden", "tell", "tell_bias", "say", "say_bias")
"""Parameters of the pretraining alone."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Where the members of an ensemble start: encoder and pooling of one network, and how it scales features.

    Side information, targets and head may be others than in pretraining; the number of features and the settings of
    encoder and pooling are the same.
    """

    recipe: str
    """Type tag of the recipe whose network it is."""
    tensors: Mapping[str, Tensor]
    """Parameters of one member by name, `features_mean` and `features_sd` (`d`) among them."""
    explained: float
    """Share of the variance of altered features that was told right in bags held back; 0 is telling the mean."""

    def check(self, recipe: Recipe) -> None:
        """Whether a recipe can start from it.

        Raises:
            ValueError: it is of another recipe.
        """
        if recipe.type != self.recipe:
            raise ValueError(f"the network was pretrained for {self.recipe}; it cannot start {recipe.type}")

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content."""
        return content_hash(
            self.recipe, *(part for name in sorted(self.tensors) for part in (name, self.tensors[name]))
        )

    def save(self, path: Path | str) -> None:
        """Write a safetensors file."""
        tensors = {name: tensor.detach().clone().contiguous() for name, tensor in self.tensors.items()}
        save_file(tensors, path, metadata={"recipe": self.recipe, "explained": repr(self.explained)})

    @classmethod
    def load(cls, path: Path | str) -> Pretrained:
        """What `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds something else.
        """
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
            if not {"recipe", "explained"} <= set(about):
                raise ValueError(f"{path} holds no pretrained network")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return cls(about["recipe"], tensors, float(about["explained"]))


@dataclass(frozen=True)
class Reconstruction:
    """A pooled network that tells each instance's features: (features, mask, weights, hidden) to `P x b x k x d`."""

    network: PooledNetwork

    def start(self, rng: torch.Generator) -> Parameters:
        """Initial parameters of one member: encoder and pooling, the sign for a hidden instance, and the read-out."""
        network, d = self.network, self.network.features
        kept = {name: tensor for name, tensor in network.start(rng).items() if name not in READ_OUT}
        told = network.hidden if isinstance(network, TransformerNetwork) else network.width + network.pooled
        return {
            **kept,
            "hidden": torch.zeros(d, dtype=TRAINED),
            "tell": weight(rng, told, network.hidden),
            "tell_bias": torch.zeros(network.hidden, dtype=TRAINED),
            "say": weight(rng, network.hidden, d, gain=0.1),
            "say_bias": torch.zeros(d, dtype=TRAINED),
        }

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """Scaled features as told, of scaled features as shown."""
        p, network = parameters, self.network
        features, mask, weights, hidden = inputs
        shown = torch.where(hidden.unsqueeze(-1), p["hidden"][:, None, None], features)
        instances = network.encode(p, shown)
        if isinstance(network, TransformerNetwork):
            known = network.contextualise(p, instances, mask, weights)
        else:
            pooled, _ = network.pool(p, instances, mask, weights)
            known = torch.cat([instances, pooled.unsqueeze(2).expand(*instances.shape[:-1], -1)], dim=-1)
        flat = torch.baddbmm(p["tell_bias"].unsqueeze(1), known.flatten(1, 2), p["tell"])
        told = torch.baddbmm(p["say_bias"].unsqueeze(1), silu(flat), p["say"])
        return told.unflatten(1, known.shape[1:3])


def pretrain(
    recipe: Recipe,
    bags: Bags,
    *,
    seed: int,
    share: float = 0.15,
    replaced: float = 1.0,
    copies: int = 4,
    groups: Sequence[str] | None = None,
    schedule: Schedule | None = None,
) -> Pretrained:
    """Pretrain the encoder and the pooling of a recipe's network; a pure function of its arguments.

    The network sees every bag in `copies` ways, each with other instances altered, and tells the original scaled
    features of these from the encoded instance and the pooled bag (a transformer: from the instance's token after the
    last layer), under the squared error. A fifth of the groups decides when to stop.

    Args:
        recipe: one that pools instances by a network.
        bags: `n` of them, measured or not.
        seed: of what is altered, of the start, and of the order of training.
        share: of each bag's instances that are altered, above 0 and up to 1; at least one is.
        replaced: probability that an altered instance is hidden behind a learned sign; otherwise it shows the features
            of another instance, drawn from all bags.
        copies: ways in which every bag is shown.
        groups: of the bags, `n`, kept together by the split; by default every bag is one of its own.
        schedule: by default that of the recipe.

    Raises:
        UnsupportedError: the recipe has no network.
        ValueError: a share is out of range, there are no bags, or groups do not name every bag.
    """
    if not isinstance(recipe, BagRecipe):
        raise UnsupportedError(f"{recipe.type} has no weights that could be pretrained")
    if not 0 < share <= 1 or not 0 <= replaced <= 1:
        raise ValueError(f"share must be above 0 and replaced at least 0, both up to 1, not {share} and {replaced}")
    if copies < 1:
        raise ValueError(f"copies must be at least 1, not {copies}")
    names = tuple(map(str, range(len(bags)))) if groups is None else tuple(groups)
    if not len(bags) or len(names) != len(bags):
        raise ValueError(f"groups must name each bag, of which there must be some: {len(names)} for {len(bags)}")
    network = recipe.network(
        features=bags.features.shape[2],
        side=0,
        targets=1,
        hidden=recipe.hidden,
        instance_encoder=recipe.instance_encoder,
        head_name=recipe.head,
    )
    features, mask, weights, _ = as_numbers([tensor.detach() for tensor in network.inputs(bags)], TRAINED)
    there = mask & (weights > 0)
    mean, sd = features[there].mean(0), features[there].std(0, correction=0)
    sd = torch.where(sd > NEARLY_CONSTANT, sd, torch.ones_like(sd))
    scaled = (features - mean) / sd
    rng = generator("alter", seed)
    altered = _some(there.repeat(copies, 1), share, rng)
    hidden = altered & (torch.rand(altered.shape, generator=rng) < replaced)
    shown = scaled.repeat(copies, 1, 1)
    others = scaled[there]
    swapped = altered & ~hidden
    shown[swapped] = others[torch.randint(len(others), (int(swapped.sum()),), generator=rng)]
    truth = torch.where(altered.unsqueeze(-1), scaled.repeat(copies, 1, 1), torch.nan)
    data = [shown, mask.repeat(copies, 1), weights.repeat(copies, 1), hidden]
    rows = torch.arange(len(bags))
    learn, stop = (
        torch.cat([part + copy * len(bags) for copy in range(copies)])
        for part in hold_back(names, rows, STOPPING_SHARE, generator("stop", seed))
    )
    task = Reconstruction(network)
    found = train(
        task,
        data,
        truth.unsqueeze(0),
        [Member(("pretrain", seed), learn, stop)],
        {},
        lambda told, value: _errors(told, value).sum((-1, -2)) / (~value.isnan()).sum((-1, -2)).clamp_min(1),
        schedule or Schedule(recipe.epochs, recipe.batch, recipe.rate, recipe.decay, recipe.patience),
    )
    told = torch.cat([task(found, [tensor[part].unsqueeze(0) for tensor in data]) for part in stop.split(CHUNK)], dim=1)
    kept = {name: tensor[0] for name, tensor in found.items() if name not in TELLING}
    value = truth[stop].unsqueeze(0)
    explained = 1 - _errors(told, value).sum() / value.nan_to_num(0.0).square().sum().clamp_min(1e-12)
    return Pretrained(
        recipe.type, {**kept, "features_mean": mean.double(), "features_sd": sd.double()}, float(explained)
    )


def _errors(told: Tensor, value: Tensor) -> Tensor:
    """Squared errors where there is a value."""
    return torch.where(value.isnan(), 0.0, told - value.nan_to_num(0.0)).square()


def _some(there: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """A share of the instances of each bag, at random and at least one: `n x k` to `n x k`, bool."""
    rank = torch.rand(there.shape, generator=rng).masked_fill(~there, 2.0).argsort(1).argsort(1)
    count = (share * there.sum(1, keepdim=True)).round().clamp_min(1)
    return there & (rank < count)
