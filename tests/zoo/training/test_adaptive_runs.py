"""A run with an adaptive support: its folder brings the ends along, wherever it is opened."""

import csv

import torch

from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.evaluate import evaluate
from catzoo.zoo.training.weights import load_agent
from catzoo.zoo.watch.film import _caption
from tiny_runs_for_tests import tiny


def test_evaluation_and_film_have_the_ends_that_training_ended_with(tmp_path):
    result = tiny(tmp_path / "run", "support=adaptive", "updates_per_step=0.5", steps=800)
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    last = [float(rows[-1][f"support/{end}"]) for end in ("v_min", "v_max")]
    recipe, agent = load_agent(tmp_path / "run")
    assert agent.adaptive.ends.tolist() == last != [-1.0, 1.0]
    assert (agent.value_loss.support.v_min, agent.value_loss.support.v_max) == tuple(last)
    assert (recipe.value_loss.v_min, recipe.value_loss.v_max) == (-1.0, 1.0)  # where it began
    assert evaluate(tmp_path / "run")["returns"] == result["returns"]
    edges = _caption(recipe, agent, ["left", "right"]).edges
    assert torch.allclose(torch.tensor([edges[0], edges[-1]]), agent.adaptive.ends.double())
    assert result["advice"] is None


def test_a_loss_without_a_support_says_that_it_has_none(capsys):
    build_trainer(find_recipe("dqn", "CartPole-v1", "mse", [{"support": "adaptive"}], None)).close()
    assert "mse has no support: support=adaptive changes nothing" in capsys.readouterr().out
