"""The environment whose rewards are multiplied: any of the zoo's, under its own protocol."""

import gymnasium as gym
import pytest

from catzoo.hparams import VALUE_LOSSES
from catzoo.zoo.environments.protocols import EPISODE_CAP
from catzoo.zoo.studies import scaled_rewards
from catzoo.zoo.studies.claims.reward_scale import recipe_for


@pytest.mark.parametrize("env", ["CartPole-v1", "MinAtar/Breakout-v1"])
def test_rewards_are_multiplied_and_nothing_else_changes(env):
    played = {scale: play(scaled_rewards.make(env, scale)) for scale in (1.0, 100.0)}
    assert any(reward for _, reward in played[1.0])
    for (seen, reward), (same, larger) in zip(played[1.0], played[100.0], strict=True):
        assert (seen == same).all()
        assert larger == pytest.approx(100 * reward)


def test_a_game_is_under_its_protocol():
    made = scaled_rewards.make("MinAtar/Breakout-v1", 2.0)
    assert made.get_wrapper_attr("_max_episode_steps") == EPISODE_CAP
    assert made.unwrapped.game.sticky_action_prob == 0.1


def play(made: gym.Env) -> list:
    """Observations and rewards of 300 steps by one order of actions."""
    made.reset(seed=0)
    steps = []
    for step in range(300):
        seen, reward, over, cut, _ = made.step(step * 7 % 3 % made.action_space.n)
        steps.append((seen, float(reward)))
        if over or cut:
            made.reset()
    return steps


@pytest.mark.parametrize("loss", list(VALUE_LOSSES))
def test_every_loss_has_a_support_by_hand_or_none(loss):
    labels = {"env": "Pendulum-v1", "loss": loss, "support": "set", "scale": 1.0, "seed": 0}
    ends = recipe_for(labels, 100).value_loss
    bounded = "v_min" in VALUE_LOSSES[loss].keys
    assert not bounded or (ends.v_min, ends.v_max) == (-1_700.0, 100.0)
