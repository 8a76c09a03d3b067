"""Where values begin, in agents as recipes build them."""

import pytest
import torch

from catzoo.hparams import VALUE_LOSSES, RecipeError, parse_override
from catzoo.losses import LOSSES, ScalarLoss, ValueLoss
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.training.build import build_agent, build_env, build_trainer


def recipe(env, *overrides, loss=None):
    return find_recipe("dqn", env, loss, [parse_override(one) for one in overrides], None)


@pytest.mark.parametrize("env", ["CartPole-v1", "MinAtar/Breakout", "ALE/Pong-v5"])
def test_before_the_first_update_values_are_the_initial_one_with_every_loss(env):
    made = build_env(recipe(env), 4)
    observation = torch.from_numpy(made.reset(seed=0)[0])
    for loss in LOSSES:
        for value in (0.0, 2.0):
            asked = recipe(env, f"initial_value={value}", loss=loss)
            agent = build_agent(asked, made)
            values = agent.value_loss.decode(agent.network(observation))
            ends = asked.value_loss if asked.value_loss.v_min is not None else recipe(env).value_loss
            assert abs(values.mean().item() - value) < 0.05 * (ends.v_max - ends.v_min), loss
    made.close()


def test_values_begin_within_the_support():
    with pytest.raises(RecipeError, match=r"initial_value=200 must be within the support, from 0 to 120"):
        build_trainer(recipe("CartPole-v1", "initial_value=200"))
    build_trainer(recipe("CartPole-v1", "initial_value=null")).close()


def test_a_loss_that_does_not_say_where_it_begins_starts_as_it_is(monkeypatch, capsys):
    class Own(ScalarLoss):
        initial_outputs = ValueLoss.initial_outputs

        def forward(self, outputs, target):
            return self.error(outputs, target).abs()

    monkeypatch.setitem(LOSSES, "own", Own)
    try:
        build_trainer(recipe("CartPole-v1", loss="own")).close()
    finally:
        VALUE_LOSSES.pop("own", None)
    assert "own has no initial_outputs: its values begin wherever the network does" in capsys.readouterr().out
