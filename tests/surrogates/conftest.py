"""Small data sets that the tests of the surrogates share."""

import pytest
import torch

from surrogates import GP, CompositionEncoder, Forest, GatedAttention, MultiheadAttention, Targets, fit

ELEMENTS = ("Ni", "Fe", "Co", "La")


def mixtures(n, k, seed):
    rng = torch.Generator().manual_seed(seed)
    raw = -torch.rand(n, k, generator=rng, dtype=torch.float64).log()
    raw[torch.rand(n, k, generator=rng, dtype=torch.float64) < 0.3] = 0
    raw[:, 0] += 0.1
    return raw / raw.sum(1, keepdim=True)


def response(X, noise, seed):
    y = 3 * X[:, 0] * X[:, 1] + torch.sin(4 * X[:, 2]) - X[:, 3]
    rng = torch.Generator().manual_seed(seed)
    return y + noise * torch.randn(len(X), generator=rng, dtype=torch.float64)


@pytest.fixture(scope="session")
def encoder():
    return CompositionEncoder(ELEMENTS)


@pytest.fixture(scope="session")
def designs():
    return mixtures(48, 4, seed=1)


@pytest.fixture(scope="session")
def values(designs):
    return response(designs, noise=0.1, seed=2)


@pytest.fixture(scope="session")
def bags(encoder, designs):
    return encoder(designs, stratum=["few" if (x > 0).sum() < 4 else "many" for x in designs])


@pytest.fixture(scope="session")
def small_gated():
    return GatedAttention(hidden=8, gate=4, members=2, epochs=40)


@pytest.fixture(scope="session")
def gp_fit(bags, values):
    return fit(GP(), bags, Targets.exact(values), seed=3)


@pytest.fixture(scope="session")
def gated_fit(bags, values, small_gated):
    return fit(small_gated, bags, Targets.exact(values), seed=3)


@pytest.fixture(scope="session")
def multihead_fit(bags, values):
    recipe = MultiheadAttention(hidden=8, heads=2, seeds=2, members=2, epochs=40)
    return fit(recipe, bags, Targets.exact(values), seed=3)


@pytest.fixture(scope="session")
def small_forest():
    return Forest(trees=40)


@pytest.fixture(scope="session")
def forest_fit(bags, values, small_forest):
    return fit(small_forest, bags, Targets.exact(values), seed=3)


@pytest.fixture(params=["gp", "gated", "multihead", "forest"])
def any_fit(request):
    return request.getfixturevalue(f"{request.param}_fit")
