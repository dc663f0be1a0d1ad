"""What the alloy study is measured against: extremely randomised trees, and the mean of six models.

The six: random forest, extremely randomised trees, gradient boosting, slower boosting, a Gaussian process with two
Matern-3/2 kernels (amounts and descriptors; amounts), and one on square roots of fractions beside the embedding of a
small set transformer that has learned the descriptors of synthetic alloys.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

EPOCHS = 50
WIDTH = 64


def extra_trees(x: Any, y: Any, new: Any) -> Any:
    """200 trees on raw amounts and descriptors."""
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(200, random_state=0).fit(x, y).predict(new)


def six_models(x: Any, y: Any, new: Any, amounts: int, embedded: Any, embedded_new: Any) -> Any:
    """Their plain mean: inputs are raw amounts (the first columns) and descriptors, and the last model's own."""
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

    slow = GradientBoostingRegressor(n_estimators=250, learning_rate=0.05, subsample=0.6, random_state=0)
    trees = (RandomForestRegressor(200, random_state=0), GradientBoostingRegressor(random_state=0), slow)
    found = [
        extra_trees(x, y, new),
        *(model.fit(x, y).predict(new) for model in trees),
        process(x, y, new, [range(x.shape[1]), range(amounts)]),
        process(embedded, y, embedded_new, [range(embedded.shape[1])]),
    ]
    return np.mean(found, axis=0)


def process(x: Any, y: Any, new: Any, groups: list[range]) -> Any:
    """A Gaussian process with an isotropic Matern-3/2 kernel on each group of columns, standardised on the rows."""
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from gpytorch.kernels import AdditiveKernel, MaternKernel, ScaleKernel
    from gpytorch.mlls import ExactMarginalLogLikelihood

    mean, sd = x.mean(0), x.std(0)
    sd[sd < 1e-9] = 1
    kernels = []
    for columns in groups:
        kernel = MaternKernel(nu=1.5, active_dims=tuple(columns))
        kernel.lengthscale = len(columns) ** 0.5
        kernels.append(ScaleKernel(kernel))
    model = SingleTaskGP(
        torch.tensor((x - mean) / sd),
        torch.tensor(y).unsqueeze(1),
        covar_module=AdditiveKernel(*kernels),
        outcome_transform=Standardize(1),
    )
    mll = ExactMarginalLogLikelihood(model.likelihood, model)
    fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": 100}})
    with torch.no_grad():
        return model.posterior(torch.tensor((new - mean) / sd)).mean[:, 0].numpy()


class SetTransformer(nn.Module):
    """Two layers of self-attention over the elements of an alloy; the embedding is their mean by fraction."""

    def __init__(self, elements: int, outputs: int) -> None:
        super().__init__()
        self.element = nn.Embedding(elements + 1, WIDTH)
        self.fraction = nn.Linear(2, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, outputs))

    def embed(self, element: Tensor, fraction: Tensor) -> Tensor:
        """Elements (0: none) and fractions `n x k` to `n x WIDTH`."""
        tokens = self.element(element) + self.fraction(torch.stack([fraction, fraction.sqrt()], -1))
        mixed = self.layers(tokens, src_key_padding_mask=element == 0)
        return (mixed * fraction.unsqueeze(-1)).sum(1)


def embedding(synthetic: Any, descriptors: Any, amounts: Any) -> Any:
    """The embedding of alloys after learning the standardised descriptors of synthetic ones.

    Args:
        synthetic: amounts of the same elements, `m x k`.
        descriptors: `m x 14`.
        amounts: `n x k`; nothing else is known of these alloys.
    """
    width = int(max((synthetic > 0).sum(1).max(), (amounts > 0).sum(1).max()))
    element, fraction = _tokens(synthetic, width)
    wanted = torch.tensor((descriptors - descriptors.mean(0)) / descriptors.std(0)).float().clamp(-5, 5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SetTransformer(synthetic.shape[1], wanted.shape[1])
        optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(wanted)).split(128):
                loss = (network.head(network.embed(element[rows], fraction[rows])) - wanted[rows]).square().mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            schedule.step()
    with torch.no_grad():
        return network.embed(*_tokens(amounts, width)).double().numpy()


def _tokens(amounts: Any, width: int) -> tuple[Tensor, Tensor]:
    """The largest components first: their numbers from 1 on, and fractions, `n x width` each."""
    share = torch.tensor(amounts / amounts.sum(1, keepdims=True)).float()
    fraction, column = share.sort(dim=1, descending=True, stable=True)
    return torch.where(fraction > 0, column + 1, 0)[:, :width], fraction[:, :width]
