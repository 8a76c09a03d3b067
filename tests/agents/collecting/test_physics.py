"""MuJoCo goes on from its saved state bit for bit, in Gymnasium's tasks and in DeepMind Control's."""

import numpy as np
import pytest

from catzoo.agents.checkpoints.state_files import read_state, write_state
from catzoo.agents.collecting.physics import READINGS
from catzoo.agents.collecting.simulators import restore_simulator, simulator_state
from catzoo.zoo.environments.making import make_env

pytest.importorskip("mujoco")
pytestmark = pytest.mark.simulators
GYMNASIUM = [
    "HalfCheetah-v5",
    "Hopper-v5",
    "Walker2d-v5",
    "InvertedDoublePendulum-v5",
    "Humanoid-v5",
    "Ant-v4",
]
DMC = ["dmc/cheetah-run", "dmc/walker-walk", "dmc/reacher-easy", "dmc/point_mass-hard"]
"""The last two write targets and gears into their models."""


def play(env, actions):
    said = []
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        said.append(np.concatenate([np.ravel(part).astype(float) for part in
                                    (observation, reward, terminated, truncated)]))  # fmt: skip
    return np.stack(said)


def sampled(env, count):
    env.action_space.seed(0)
    return [env.action_space.sample() for _ in range(count)]


@pytest.mark.parametrize("name", GYMNASIUM + DMC)
@pytest.mark.parametrize("steps", [0, 37])
def test_it_goes_on_bit_for_bit(name, steps, tmp_path):
    if name.startswith("dmc/"):
        pytest.importorskip("dm_control")
    env, other = make_env(name, 2), make_env(name, 2)
    actions = sampled(env, steps + 120)
    env.reset(seed=5)
    play(env, actions[:steps]) if steps else None
    write_state(tmp_path, simulator_state(env))
    truth = play(env, actions[steps:])
    other.reset(seed=77)
    play(other, actions[:9])
    restore_simulator(other, read_state(tmp_path))
    assert np.array_equal(play(other, actions[steps:]), truth)


def test_time_limit_and_random_stream_go_on_too():
    pytest.importorskip("dm_control")
    env, other = (make_env("dmc/cartpole-swingup", 1, {"action_repeat": 40}) for _ in range(2))
    actions = sampled(env, 60)
    env.reset(seed=5)
    other.reset(seed=6)
    play(env, actions[:10])
    restore_simulator(other, simulator_state(env))
    truth = play(env, actions[10:])
    assert truth[:, -1].nonzero()[0].tolist() == [14, 39]  # 25 steps to an episode
    assert np.array_equal(play(other, actions[10:]), truth)


def test_what_was_saved_does_not_change_with_the_environment():
    env = make_env("Hopper-v5", 1)
    actions = sampled(env, 60)
    env.reset(seed=0)
    state = simulator_state(env)
    truth = play(env, actions)
    restore_simulator(env, state)
    assert np.array_equal(play(env, actions), truth)


@pytest.mark.parametrize("kind", ["shape", "dtype", "missing"])
def test_a_simulation_of_another_model_is_refused(kind):
    env = make_env("Hopper-v5", 1)
    env.reset(seed=0)
    state = simulator_state(env)
    readings = next(part[READINGS] for part in state.values() if READINGS in part)
    if kind == "missing":
        del readings["xpos"]
    else:
        readings["xpos"] = readings["xpos"][:-1] if kind == "shape" else readings["xpos"].astype(np.float32)
    with pytest.raises(ValueError, match="another model"):
        restore_simulator(env, state)
