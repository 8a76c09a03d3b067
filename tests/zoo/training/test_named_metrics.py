"""Metrics of a world: measured in evaluation mode, kept in the result, shown and logged."""

import types

import pytest
import torch

from catzoo.agents import Evaluation
from catzoo.agents.callbacks.evaluation import Scores
from catzoo.hparams import DQNRecipe
from catzoo.zoo.folders.result_file import checked
from catzoo.zoo.reporting.result_table import print_result
from catzoo.zoo.training import named_metrics
from catzoo.zoo.training.evaluate import result_of


@pytest.fixture
def world(monkeypatch):
    """A world of environments called toy/…, where the metric is whether the agent trains."""
    import sys

    module = types.ModuleType("toy_metrics")
    module.metrics = lambda agent, recipe: {"training": float(agent.training), "seed": recipe.seed}
    monkeypatch.setitem(sys.modules, "toy_metrics", module)
    monkeypatch.setattr(named_metrics, "WORLDS", {"toy/": "toy_metrics"})


def test_a_world_measures_in_evaluation_mode(world):
    agent = torch.nn.Linear(1, 1)
    found = named_metrics.named_metrics(agent, DQNRecipe(env="toy/Ball-v0", seed=3))
    assert found == {"training": 0.0, "seed": 3.0}
    assert agent.training
    assert named_metrics.named_metrics(agent, DQNRecipe()) == {}


def test_the_result_keeps_and_shows_them(capsys):
    scores = Scores([1.0, 2.0])
    assert "metrics" not in result_of(DQNRecipe(), scores)
    scores.metrics = {"games_won": 0.75}
    result = checked(result_of(DQNRecipe(), scores))
    assert result["metrics"] == {"games_won": 0.75}
    print_result(result)
    assert "games won" in capsys.readouterr().out


def test_evaluations_on_the_way_log_them():
    scores = Scores([1.0])
    scores.metrics = {"games_won": 0.5}
    rows = []
    Evaluation(1, lambda agent: scores).act(types.SimpleNamespace(agent=None, log=rows.append))
    assert rows[0]["eval/games_won"] == 0.5
