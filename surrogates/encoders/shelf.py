"""Bags of candidates that were made before, so that a structure need not be built again to see its sites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from surrogates.encoders.cache import named_by_content, read_named, write_named
from surrogates.encoders.sites import SiteBag


class BagShelf:
    """Bags of sites by the number of their candidate, in a folder of safetensors files that may be deleted at any time.

    The folder is of one space, one potential and one choice of sites. Files are written and read as those of
    `FeatureCache`: many processes may write, and a torn file counts as absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> dict[int, SiteBag]:
        """Everything on the shelf; features of one file share their memory."""
        found: dict[int, SiteBag] = {}
        for path in named_by_content(self.folder):
            content = read_named(path)
            if content is not None:
                found |= _unpacked(load(content))
        return found

    def add(self, bags: Mapping[int, SiteBag]) -> None:
        """Put bags on the shelf, all in one file."""
        if bags:
            write_named(self.folder, save(_packed(bags)))


def _packed(bags: Mapping[int, SiteBag]) -> dict[str, Tensor]:
    held = list(bags.values())
    labels = json.dumps([bag.labels for bag in held]).encode()
    return {
        "number": torch.tensor(list(bags)),
        "sites": torch.tensor([len(bag.labels) for bag in held]),
        "features": torch.cat([bag.features for bag in held]),
        "part": torch.cat([bag.part for bag in held]),
        "weight": torch.tensor([bag.weight for bag in held], dtype=torch.float64),
        "energy": torch.tensor([bag.energy for bag in held], dtype=torch.float64),
        "labels": torch.frombuffer(bytearray(labels), dtype=torch.uint8),
    }


def _unpacked(tensors: Mapping[str, Tensor]) -> dict[int, SiteBag]:
    sizes = tensors["sites"].tolist()
    labels = json.loads(tensors["labels"].numpy().tobytes())
    parts = zip(
        tensors["number"].tolist(),
        tensors["features"].split(sizes),
        tensors["weight"].tolist(),
        labels,
        tensors["energy"].tolist(),
        tensors["part"].split(sizes),
        strict=True,
    )
    return {
        number: SiteBag(features, weight, tuple(names), energy, part)
        for number, features, weight, names, energy, part in parts
    }
