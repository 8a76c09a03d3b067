"""An environment goes on from its saved state as if nothing had been; one that cannot is left alone."""

import sys
import types

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from catzoo.agents.checkpoints.state_files import read_state, write_state
from catzoo.agents.collecting.physics import is_physics
from catzoo.agents.collecting.simulators import STATE, check_own_states, restore_simulator, simulator_state
from catzoo.hparams import RecipeError
from catzoo.zoo.environments.making import make_env
from environments_for_tests import Corridor

SAVED = [
    "CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MinAtar/Asterix", "MinAtar/Breakout", "MinAtar/Freeway",
    "MinAtar/Seaquest", "MinAtar/SpaceInvaders", "Pendulum-v1", "MountainCarContinuous-v0",
]  # fmt: skip


def play(env, actions):
    """Everything that an environment says to some actions."""
    said = []
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        said.append(np.concatenate([np.ravel(part).astype(float) for part in
                                    (observation, reward, terminated, truncated)]))  # fmt: skip
    return np.stack(said)


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize("steps", [0, 1, 137])
def test_it_goes_on_as_if_nothing_had_been(name, steps, tmp_path):
    env = make_env(name, 3)
    env.action_space.seed(steps)
    actions = [env.action_space.sample() for _ in range(steps + 400)]
    env.reset(seed=5)
    play(env, actions[:steps]) if steps else None
    write_state(tmp_path, simulator_state(env))
    truth = play(env, actions[steps:])
    other = make_env(name, 3)
    other.reset(seed=77)
    play(other, actions[:9])
    restore_simulator(other, read_state(tmp_path))
    assert np.array_equal(play(other, actions[steps:]), truth)


def test_what_was_saved_does_not_change_with_the_environment():
    env = make_env("MinAtar/Breakout", 2)
    env.reset(seed=0)
    state = simulator_state(env)
    truth = play(env, np.ones((50, 2), int))
    for _ in range(2):
        restore_simulator(env, state)
        assert np.array_equal(play(env, np.ones((50, 2), int)), truth)


@pytest.mark.parametrize("name", ["ALE/Pong-v5", "LunarLander-v3"])
def test_what_lies_outside_of_python_cannot_be_told(name):
    try:
        env = make_env(name, 1)
    except Exception as error:
        pytest.skip(str(error))
    env.reset(seed=0)
    assert simulator_state(env) is None


def test_a_class_that_nobody_knows_cannot_be_told(corridor):
    env = corridor()
    env.reset(seed=0)
    assert simulator_state(env) is None


class Saving(Corridor):
    """A corridor that saves itself."""

    def state_dict(self):
        return {"t": self.t}

    def load_state_dict(self, state):
        self.t = state["t"]


def test_an_environment_of_ones_own_takes_part_by_two_methods():
    def make():
        makers = [lambda: TimeLimit(Saving(50), 30)] * 2
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)

    env, other = make(), make()
    for one in (env, other):
        one.reset(seed=0)
    play(env, np.zeros((17, 2), int))
    restore_simulator(other, simulator_state(env))
    truth = play(env, np.zeros((40, 2), int))
    assert np.array_equal(play(other, np.zeros((40, 2), int)), truth)
    assert truth[:, 0].max() == 29  # the time limit went on counting too


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"random": np.random.default_rng(0)}, r"state_dict\(\)\['random'\]: a Generator cannot be saved"),
        ([1, {2: object()}], r"Bad.state_dict\(\)\['all'\]: a object cannot be saved"),
    ],
)
def test_what_cannot_be_saved_is_found_before_it_has_to_be(state, words):
    class Bad(Saving):
        def state_dict(self):
            return state

    env = SyncVectorEnv([lambda: Bad(50)], autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(RecipeError, match=words):
        check_own_states(env)
    good = SyncVectorEnv([lambda: Saving(50)], autoreset_mode=AutoresetMode.SAME_STEP)
    good.reset(seed=0)
    check_own_states(good)


def test_a_state_of_another_environment_is_refused():
    cartpole, breakout = make_env("CartPole-v1", 2), make_env("MinAtar/Breakout", 2)
    for env in (cartpole, breakout):
        env.reset(seed=0)
    with pytest.raises(ValueError, match="another kind"):
        restore_simulator(cartpole, simulator_state(breakout))


def test_random_streams_of_another_kind_are_refused():
    env = gym.make_vec("Acrobot-v1", 1)
    env.reset(seed=0)
    state = simulator_state(env)
    stream = next(
        value
        for part in state.values()
        for value in part.values()
        if isinstance(value, dict) and "kind" in value
    )
    stream["state"]["bit_generator"] = "os.system"
    with pytest.raises(ValueError, match="not known"):
        restore_simulator(env, state)


def test_a_stranger_cannot_have_numpy_read_elsewhere_or_replace_code():
    env = make_env("MinAtar/Breakout", 1)
    env.reset(seed=1)
    state = simulator_state(env)
    found = [value for attributes in state.values() for value in attributes.values()]
    twisters = [
        value[STATE][STATE]
        for value in found
        if isinstance(value, dict) and value.get("kind") == "RandomState"
    ]
    assert twisters
    position = twisters[0]["pos"]
    for twister in twisters:
        twister["pos"] = 60_000_000
    with pytest.raises(ValueError, match="random stream cannot be one"):
        restore_simulator(make_env("MinAtar/Breakout", 1), state)
    for twister in twisters:
        twister["pos"] = position
    state[""]["step"] = 5
    with pytest.raises(ValueError, match="'step', which is code"):
        restore_simulator(make_env("MinAtar/Breakout", 1), state)


def test_constants_beside_what_is_saved_stay():
    env = make_env("CartPole-v1", 2)
    env.reset(seed=1)
    before = dict(env.metadata)
    restore_simulator(env, simulator_state(env))
    assert env.metadata == before
    assert any(isinstance(value, AutoresetMode) for value in before.values())


def test_folder_that_is_named_as_the_simulator(monkeypatch):
    """`python -m catzoo` beside a folder `mujoco` imports that folder as an empty module."""
    monkeypatch.setitem(sys.modules, "mujoco", types.ModuleType("mujoco"))
    assert not is_physics(object())
