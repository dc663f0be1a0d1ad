"""Our surrogates inside Ax: a model that Ax constructs from its data and fits.

    from ax.generators.torch.botorch_modular.surrogate import SurrogateSpec
    from ax.generators.torch.botorch_modular.utils import ModelConfig

    from surrogates.ax import SurrogateModel

    ModelConfig(SurrogateModel, {"recipe": "gp", "encoder": encoder}, input_transform_classes=None)

Importing this module registers the class with Ax, whose import takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ax.generators.torch.botorch_modular.utils import fit_botorch_model
from botorch.exceptions.errors import UnsupportedError
from botorch.models.model import Model
from botorch.posteriors import Posterior
from botorch.utils.datasets import SupervisedDataset
from torch import Tensor

from surrogates.bags import Targets
from surrogates.encoders.base import Encoder
from surrogates.fitted import fit
from surrogates.recipes import recipe_from


class SurrogateModel(Model):
    """A recipe over designs as Ax wants it: data first, fitted later.

    Args:
        train_X: designs, `n x d`, in the columns of the encoder; Ax must not transform them
            (`input_transform_classes=None`).
        train_Y: `n x m`, larger is better.
        train_Yvar: `n x m` if variances are known.
        recipe: as `recipe_from` takes it.
        encoder: of the designs.
        seed: of the fit.
    """

    def __init__(
        self,
        train_X: Tensor,
        train_Y: Tensor,
        train_Yvar: Tensor | None = None,
        *,
        recipe: str | Mapping[str, Any],
        encoder: Encoder,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.train_inputs = (train_X,)
        self.targets = Targets.exact(train_Y.double(), variance=None if train_Yvar is None else train_Yvar.double())
        self.recipe, self.encoder, self.seed = recipe_from(recipe), encoder, seed
        self._belief: Model | None = None

    @classmethod
    def construct_inputs(
        cls,
        training_data: SupervisedDataset,
        *,
        recipe: str | Mapping[str, Any],
        encoder: Encoder,
        seed: int = 0,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Arguments of the class from a BoTorch data set.

        Args:
            training_data: designs, values and, where known, variances.
            recipe: as for the class.
            encoder: as for the class.
            seed: as for the class.
            **kwargs: what Ax knows of the search space, which the encoder knows already.
        """
        return {
            "train_X": training_data.X,
            "train_Y": training_data.Y,
            "train_Yvar": training_data.Yvar,
            "recipe": recipe,
            "encoder": encoder,
            "seed": seed,
        }

    def fit(self) -> None:
        """Fit and calibrate the recipe."""
        (X,) = self.train_inputs
        fitted = fit(self.recipe, self.encoder(X.double()), self.targets, seed=self.seed)
        self._belief = fitted.botorch_model(self.encoder)

    @property
    def belief(self) -> Model:
        """The fitted model.

        Raises:
            UnsupportedError: it is not fitted yet.
        """
        if self._belief is None:
            raise UnsupportedError("the model is not fitted yet; call fit()")
        return self._belief

    @property
    def num_outputs(self) -> int:
        """One for each target."""
        return self.targets.value.shape[1]

    @property
    def batch_shape(self) -> torch.Size:
        """Empty: one model."""
        return torch.Size()

    def posterior(self, X: Tensor, *args: Any, **kwargs: Any) -> Posterior:
        """The belief at designs `batch_shape x q x d`."""
        return self.belief.posterior(X.double(), *args, **kwargs)

    def subset_output(self, idcs: list[int]) -> Model:
        """The belief about some outputs."""
        return self.belief.subset_output(idcs)

    def condition_on_observations(self, X: Tensor, Y: Tensor, **kwargs: Any) -> Model:
        """The belief after further observations."""
        return self.belief.condition_on_observations(X, Y, **kwargs)

    def fantasize(self, X: Tensor, *args: Any, **kwargs: Any) -> Model:
        """The beliefs after measurements drawn from the present one."""
        return self.belief.fantasize(X, *args, **kwargs)


@fit_botorch_model.register(SurrogateModel)
def _fit(model: SurrogateModel, mll_class: type | None = None, mll_options: dict[str, Any] | None = None) -> None:
    model.fit()
