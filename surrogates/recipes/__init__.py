"""Recipes: frozen configurations of surrogates, by their stable `type` tag."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surrogates.recipes.base import Recipe

RECIPES = {
    "gp": "surrogates.recipes.gp:GP",
    "mean_pool": "surrogates.recipes.plain:MeanPool",
    "max_pool": "surrogates.recipes.plain:MaxPool",
    "gated_attention": "surrogates.recipes.gated:GatedAttention",
    "multihead_attention": "surrogates.recipes.multihead:MultiheadAttention",
    "transformer": "surrogates.recipes.transformer:Transformer",
    "named_pool": "surrogates.recipes.named:NamedPool",
    "forest": "surrogates.recipes.forest:Forest",
    "blend": "surrogates.recipes.blend:Blend",
    "transfer": "surrogates.recipes.transfer:TransferGP",
}
"""Type tag to `module:class`: the process, the poolings (simplest first), the trees, blends, and the process that
begins with histories; imported when made."""


def recipe_from(spec: str | Mapping[str, Any]) -> Recipe:
    """A recipe from its type tag, from `{"type": tag, setting: value}`, or from that as JSON text.

    Raises:
        ValueError: the tag or a setting is unknown, or a value is of the wrong kind or out of range.
    """
    if isinstance(spec, str):
        spec = json.loads(spec) if spec.lstrip().startswith("{") else {"type": spec}
    settings = dict(spec)
    tag = settings.pop("type", None)
    if tag not in RECIPES:
        raise ValueError(f"unknown recipe {tag!r}; expected one of {', '.join(RECIPES)}")
    module, name = RECIPES[tag].split(":")
    kind: type[Recipe] = getattr(import_module(module), name)
    unknown = sorted(set(settings) - set(kind.setting_names()))
    if unknown:
        raise ValueError(
            f"recipe {tag!r} has no setting {', '.join(unknown)}; it has {', '.join(kind.setting_names())}"
        )
    for name, value in settings.items():
        default = kind.__dataclass_fields__[name].default
        if isinstance(default, bool | int | float | str) and not _is_like(value, default):
            raise ValueError(f"{name} of recipe {tag!r} is like {default!r}; {value!r} is not")
    return kind(**settings)


def _is_like(value: Any, default: float | str) -> bool:
    """Whether a value is of the kind of a default; a whole number will do for a fraction."""
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of a recipe's canonical JSON, as a hex string."""
    text = json.dumps(recipe.to_json(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
