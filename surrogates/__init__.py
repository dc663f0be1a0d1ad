"""What is believed: encode the instances, aggregate them, read out a head; trained, calibrated and explained once.

    from surrogates import GP, CompositionEncoder, Targets, fit

    encode = CompositionEncoder(("Ni", "Fe", "Co"))
    fitted = fit(GP(), encode(X), Targets.exact(y), seed=7)
    fitted.interval(encode(X_new), alpha=0.2)

The names below are imported when they are first used, so that `import surrogates` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surrogates.bags import Bags, Targets
    from surrogates.choice import choose
    from surrogates.encoders.cache import FeatureCache
    from surrogates.encoders.chgnet import CHGNetPotential
    from surrogates.encoders.elements import CompositionEncoder
    from surrogates.encoders.routes import RouteEncoder
    from surrogates.encoders.sites import SiteChoice, encode_sites, site_bags, stream_sites
    from surrogates.encoders.steps import StepEncoder
    from surrogates.encoders.structures import SiteEncoder
    from surrogates.encoders.uma import UMAPotential
    from surrogates.fitted import Fitted, fit, load
    from surrogates.pretraining import Pretrained, pretrain
    from surrogates.recipes.blend import Blend
    from surrogates.recipes.forest import Forest
    from surrogates.recipes.gated import GatedAttention
    from surrogates.recipes.gp import GP
    from surrogates.recipes.multihead import MultiheadAttention
    from surrogates.recipes.named import NamedPool
    from surrogates.recipes.plain import MaxPool, MeanPool
    from surrogates.recipes.transformer import Transformer

__all__ = [
    "GP",
    "Bags",
    "Blend",
    "CHGNetPotential",
    "CompositionEncoder",
    "FeatureCache",
    "Fitted",
    "Forest",
    "GatedAttention",
    "MaxPool",
    "MeanPool",
    "MultiheadAttention",
    "NamedPool",
    "Pretrained",
    "RouteEncoder",
    "SiteChoice",
    "SiteEncoder",
    "StepEncoder",
    "Targets",
    "Transformer",
    "UMAPotential",
    "choose",
    "encode_sites",
    "fit",
    "load",
    "pretrain",
    "site_bags",
    "stream_sites",
]

_HOMES = {
    "Bags": "surrogates.bags",
    "Blend": "surrogates.recipes.blend",
    "CHGNetPotential": "surrogates.encoders.chgnet",
    "CompositionEncoder": "surrogates.encoders.elements",
    "FeatureCache": "surrogates.encoders.cache",
    "Fitted": "surrogates.fitted",
    "Forest": "surrogates.recipes.forest",
    "GP": "surrogates.recipes.gp",
    "GatedAttention": "surrogates.recipes.gated",
    "MaxPool": "surrogates.recipes.plain",
    "MeanPool": "surrogates.recipes.plain",
    "MultiheadAttention": "surrogates.recipes.multihead",
    "NamedPool": "surrogates.recipes.named",
    "Pretrained": "surrogates.pretraining",
    "RouteEncoder": "surrogates.encoders.routes",
    "SiteChoice": "surrogates.encoders.sites",
    "SiteEncoder": "surrogates.encoders.structures",
    "StepEncoder": "surrogates.encoders.steps",
    "Targets": "surrogates.bags",
    "Transformer": "surrogates.recipes.transformer",
    "UMAPotential": "surrogates.encoders.uma",
    "choose": "surrogates.choice",
    "encode_sites": "surrogates.encoders.sites",
    "fit": "surrogates.fitted",
    "load": "surrogates.fitted",
    "pretrain": "surrogates.pretraining",
    "site_bags": "surrogates.encoders.sites",
    "stream_sites": "surrogates.encoders.sites",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'surrogates' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
