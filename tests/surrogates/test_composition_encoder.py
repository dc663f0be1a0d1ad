import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogates.encoders.elements import DESCRIPTORS, CompositionEncoder, descriptors, principal_axes


def test_descriptors_follow_the_periodic_table():
    table = descriptors(("F", "Cs", "W", "glycerol"))
    column = {name: table[:, i] for i, name in enumerate(DESCRIPTORS)}
    assert column["electronegativity"][0] == column["electronegativity"].max()
    assert column["electronegativity"][1] == column["electronegativity"].min()
    assert column["melting_point"][2] == column["melting_point"].max()
    assert column["period"][1] == column["period"][2] > column["period"][0]
    assert column["valence_electrons"][0] > column["valence_electrons"][2] > column["valence_electrons"][1]
    assert not table[3].any()


def test_reference_elements_are_standardised_and_missing_values_are_the_mean():
    from pymatgen.core import Element

    names = tuple(Element.from_Z(z).symbol for z in range(1, 95))
    table = descriptors(names)
    assert torch.allclose(table.mean(0), torch.zeros(len(DESCRIPTORS), dtype=torch.float64), atol=1e-9)
    assert table[names.index("He"), DESCRIPTORS.index("electronegativity")] == 0


def test_principal_axes_depend_on_names_alone_and_span_a_range_of_one():
    names = ("Ni", "Fe", "Co", "glycerol", "La", "Ta")
    axes = principal_axes(names, 4)
    assert axes.shape == (6, 4)
    assert torch.allclose(axes.amax(0) - axes.amin(0), torch.ones(4, dtype=torch.float64))
    assert not axes[3].any()
    shuffled = principal_axes(tuple(reversed(names)), 4)
    assert torch.allclose(shuffled.flip(0).abs(), axes.abs(), atol=1e-9)
    assert principal_axes(("Ni", "Fe"), 4).shape == (2, 1)
    assert principal_axes(("A1", "Fe"), 4).shape == (2, 0)


def test_a_design_becomes_weighted_tokens_and_scaled_side_information():
    encode = CompositionEncoder(("Ni", "Fe", "salt"), ("T", "pH"), ((300.0, 7.0), (100.0, 2.0)))
    bags = encode(torch.tensor([[0.25, 0.0, 0.75, 350.0, 5.0]], dtype=torch.float64), stratum=["2"])
    assert bags.labels == ("Ni", "Fe", "salt")
    assert bags.mask.tolist() == [[True, False, True]]
    assert bags.weights.tolist() == [[0.25, 0.0, 0.75]]
    assert bags.side.tolist() == [[0.5, -1.0]]
    assert bags.stratum == ("2",)
    width = len(DESCRIPTORS)
    assert bags.features[0, :, width : width + 3].tolist() == torch.eye(3).tolist()
    encodings = bags.features[0, 0, -3:]
    assert encodings.tolist() == pytest.approx([0.25, 0.5, math.log(26) / math.log(101)], abs=1e-5)
    assert torch.allclose(encode.designs(bags), torch.tensor([[0.25, 0.0, 0.75, 350.0, 5.0]], dtype=torch.float64))


def test_a_space_without_components_has_one_constant_token():
    encode = CompositionEncoder((), ("T",), ((0.0,), (10.0,)))
    bags = encode(torch.tensor([[5.0], [10.0]], dtype=torch.float64))
    assert bags.features.shape == (2, 1, 1)
    assert bags.mask.all()
    assert bags.features.eq(1).all()
    assert bags.weights.eq(1).all()
    assert bags.side.flatten().tolist() == [0.5, 1.0]
    assert encode.designs(bags).flatten().tolist() == [5.0, 10.0]


@given(st.lists(st.integers(1, 3), max_size=3))
def test_leading_dimensions_are_flattened(shape):
    encode = CompositionEncoder(("Ni", "Fe"))
    X = torch.full((*shape, 2), 0.5, dtype=torch.float64)
    assert len(encode(X)) == X[..., 0].numel()


def test_gradients_are_finite_where_a_fraction_is_zero(encoder):
    X = torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    bags = encoder(X)
    (gradient,) = torch.autograd.grad(bags.features.sum() + bags.weights.sum(), X)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("Ni", "Ni"),), "distinct names"),
        ((("Ni",), ("T",), ((0.0, 1.0), (1.0,))), "1 columns need as many shifts"),
        ((("Ni",), ("T",), ((0.0,), (0.0,))), "scales positive"),
    ],
)
def test_an_encoder_that_cannot_work_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CompositionEncoder(*arguments)


def test_designs_that_do_not_fit_are_refused(encoder):
    with pytest.raises(ValueError, match="must have 4 columns"):
        encoder(torch.ones(1, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="bag 0 has no instance"):
        encoder(torch.zeros(1, 4, dtype=torch.float64))
