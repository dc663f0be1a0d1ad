"""How a spec says what the predictions come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from campaign.grammar import Choice, Frozen, faults


class AutoModel(Frozen):
    """Whichever surrogate, or blend of them, predicts unseen samples better, compared again as data arrive."""

    type: Literal["auto"] = "auto"


class RecipeModel(Frozen):
    """One recipe, by its name.

    `gp`: a Gaussian process. `forest`: extremely randomised trees, strong on small tables, blind beyond the best value
    measured. `mean_pool`, `max_pool`, `gated_attention`, `multihead_attention`, `transformer`: ensembles of networks
    that read a composition as a weighted bag of elements and pool it in that way. `blend`: several recipes, weighted by
    what they predicted unseen.
    """

    type: Literal[
        "gp", "forest", "mean_pool", "max_pool", "gated_attention", "multihead_attention", "transformer", "blend"
    ]
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the recipe other than its own, such as `{members: 5, refit: true}` or `{trees: 400}`."""

    @model_validator(mode="after")
    def _settings_fit(self) -> RecipeModel:
        if self.settings:
            from surrogates.recipes import recipe_from

            try:
                recipe_from(self.recipe)
            except (TypeError, ValueError) as error:
                faults([(("settings",), str(error), "correct or remove it")])
            refused = {
                "type": ("the recipe is named by the model's own `type`", "remove it"),
                "head": ("a class head predicts no number, and an objective is one", "write quantiles or normal"),
                "calibration": ("without calibration nothing can be recommended", "write cross or split"),
            }
            wrong = {"head": "class", "calibration": "none", "type": self.settings.get("type")}
            faults(
                (("settings", key), *refused[key])
                for key in refused
                if key in self.settings and self.settings[key] == wrong[key]
            )
        return self

    @property
    def recipe(self) -> dict[str, Any]:
        """As `surrogates.recipes.recipe_from` takes it."""
        return {**self.settings, "type": self.type}

    @property
    def averages(self) -> bool:
        """Whether it can learn the mean of what it says of an ensemble's structures."""
        from surrogates.recipes import recipe_from

        return recipe_from(self.recipe).averages


AnyModel = Annotated[AutoModel | RecipeModel, Field(discriminator="type"), Choice()]
