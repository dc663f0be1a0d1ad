"""An Ax experiment that believes one of our surrogates."""

import warnings

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from botorch.utils.datasets import SupervisedDataset

from surrogates import CompositionEncoder

ENCODER = CompositionEncoder((), ("temperature", "time"), ((600.0, 0.0), (400.0, 10.0)))


def outcome(temperature, time):
    return -(((temperature - 760) / 100) ** 2) - ((time - 4) / 3) ** 2


@pytest.fixture(scope="module")
def surrogate_model():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from surrogates.ax import SurrogateModel
    return SurrogateModel


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "recipe", ["gp", {"type": "gated_attention", "hidden": 8, "gate": 4, "members": 1, "epochs": 40}], ids=str
)
def test_an_experiment_in_ax_runs_on_our_surrogate(surrogate_model, recipe):
    from ax.adapter.registry import Generators
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig
    from ax.generation_strategy.generation_node import GenerationNode
    from ax.generation_strategy.generation_strategy import GenerationStrategy
    from ax.generation_strategy.generator_spec import GeneratorSpec
    from ax.generation_strategy.transition_criterion import MinTrials
    from ax.generators.torch.botorch_modular.surrogate import SurrogateSpec
    from ax.generators.torch.botorch_modular.utils import ModelConfig

    config = ModelConfig(
        surrogate_model, {"recipe": recipe, "encoder": ENCODER, "seed": 1}, input_transform_classes=None
    )
    ours = GeneratorSpec(Generators.BOTORCH_MODULAR, generator_kwargs={"surrogate_spec": SurrogateSpec([config])})
    first = GeneratorSpec(Generators.SOBOL, generator_kwargs={"seed": 0})
    client = Client(random_seed=0)
    client.configure_experiment(
        [
            RangeParameterConfig(name="temperature", bounds=(600, 1000), parameter_type="float"),
            RangeParameterConfig(name="time", bounds=(0, 10), parameter_type="float"),
        ]
    )
    client.configure_optimization("y")
    client.set_generation_strategy(
        GenerationStrategy(
            name="ours",
            nodes=[
                GenerationNode("sobol", [first], [MinTrials(threshold=10, transition_to="ours")]),
                GenerationNode("ours", [ours]),
            ],
        )
    )
    tried = []
    for _ in range(12):
        for trial, parameters in client.get_next_trials(1).items():
            tried.append(parameters)
            client.complete_trial(trial, raw_data={"y": outcome(parameters["temperature"], parameters["time"])})
    node = client._generation_strategy._curr
    assert isinstance(node._fitted_adapter.generator.surrogate.model, surrogate_model)
    assert all(600 <= p["temperature"] <= 1000 and 0 <= p["time"] <= 10 for p in tried)
    assert tried[10] != tried[11]
    if recipe == "gp":  # ten points teach a small network too little to climb by
        scores = [outcome(**p) for p in tried]
        assert max(scores[10:]) > max(scores[:10])


def test_a_model_is_asked_only_after_its_fit(surrogate_model):
    X = torch.rand(12, 2, dtype=torch.float64) * torch.tensor([400.0, 10.0]) + torch.tensor([600.0, 0.0])
    data = SupervisedDataset(X, outcome(X[:, :1], X[:, 1:]), feature_names=["temperature", "time"], outcome_names=["y"])
    model = surrogate_model(**surrogate_model.construct_inputs(data, recipe="gp", encoder=ENCODER))
    with pytest.raises(UnsupportedError, match="not fitted yet"):
        model.posterior(X)
    model.fit()
    assert torch.allclose(model.posterior(X).mean, data.Y, atol=0.2)
    assert model.num_outputs == 1
