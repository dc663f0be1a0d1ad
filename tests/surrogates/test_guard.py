import torch
from conftest import ELEMENTS, mixtures, response

from surrogates import GP, CompositionEncoder, MeanPool, Targets, fit
from surrogates.guard import WIDEST

SMALL = MeanPool(hidden=8, members=1, epochs=20)


def poor_in_lanthanum(n, seed):
    X = mixtures(n, 4, seed)
    X[:, 3] *= 0.1
    return X / X.sum(1, keepdim=True)


def fitted(recipe, n=60, encode=None):
    encode = encode or CompositionEncoder(ELEMENTS)
    X = poor_in_lanthanum(n, seed=1)
    return fit(recipe, encode(X, stratum=["few"] * n), Targets.exact(response(X, 0.1, seed=2)), seed=0), encode


def test_fresh_draws_are_inside_and_others_are_not():
    found, encode = fitted(SMALL)
    fresh = encode(poor_in_lanthanum(400, seed=7), stratum=["few"] * 400)
    assert found.domain(fresh).inside.double().mean() > 0.9
    rich = torch.tensor([[0.1, 0.0, 0.0, 0.9]], dtype=torch.float64)
    domain = found.domain(encode(rich, stratum=["few"]))
    assert not domain.inside.any()
    assert "times as far from the training samples as they are apart" in domain.reasons()[0]


def test_a_stratum_that_was_never_measured_is_outside():
    found, encode = fitted(SMALL)
    domain = found.domain(encode(poor_in_lanthanum(2, seed=1), stratum=["few", "many"]))
    assert domain.inside.tolist() == [True, False]
    assert domain.reasons()[1] == "no training sample is of its stratum"


def test_only_recipes_that_do_not_know_their_reach_are_widened():
    rich = torch.tensor([[0.1, 0.0, 0.0, 0.9]], dtype=torch.float64)
    for recipe in (SMALL, GP()):
        found, encode = fitted(recipe)
        bags = encode(rich, stratum=["few"])
        interval = found.interval(bags, 0.2)
        assert interval.outside[0].startswith("1") or interval.outside[0][0].isdigit()
        median = found.quantiles(bags)[:, 0, 4]
        assert interval.lower[0] < median[0] < interval.upper[0]
        inside = encode(poor_in_lanthanum(1, seed=1), stratum=["few"])
        assert found.interval(inside, 0.2).outside == ("",)
    distance = float(found.domain(bags).distance[0])
    factor = float(found.domain(bags).widening[0])
    assert 1 < factor <= WIDEST
    assert factor == min(distance, WIDEST)


def test_distances_are_free_of_units_and_of_replicates():
    plain, scaled = CompositionEncoder((), ("T",)), CompositionEncoder((), ("T",), ((0.0,), (250.0,)))
    T = torch.rand(40, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value = torch.sin(5 * T[:, 0])
    far = torch.tensor([[0.5], [1.4]], dtype=torch.float64)
    one = fit(SMALL, plain(T), Targets.exact(value), seed=0).domain(plain(far)).distance
    other = fit(SMALL, scaled(250 * T), Targets.exact(value), seed=0).domain(scaled(250 * far)).distance
    assert torch.allclose(one, other)
    assert one[1] > 1 >= one[0]
    twice = Targets.exact(value.repeat(2), groups=[str(i) for i in range(40)] * 2)
    doubled = fit(SMALL, plain(T.repeat(2, 1)), twice, seed=0).domain(plain(far)).distance
    assert torch.allclose(doubled, one)


def test_few_training_samples_do_not_say_how_far_they_reach():
    found, encode = fitted(SMALL, n=8)
    domain = found.domain(encode(mixtures(3, 4, seed=9), stratum=["few"] * 3))
    assert domain.distance.isnan().all()
    assert domain.inside.all()
    assert domain.widening.tolist() == [1, 1, 1]
