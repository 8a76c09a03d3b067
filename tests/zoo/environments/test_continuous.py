"""DeepMind Control as Gymnasium environments."""

import importlib.metadata
import os
import sys

import numpy as np
import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.making import make_env
from catzoo.zoo.environments.protocols import protocol_of

CHEETAH = "dmc/cheetah-run"
pytestmark = pytest.mark.simulators


@pytest.fixture
def suite():
    pytest.importorskip("dm_control")
    make_env(CHEETAH, 1)  # without which the import itself warns
    return pytest.importorskip("dm_control.suite")


def stepped(env, seed, count=20):
    env.reset(seed=seed)
    action = np.zeros(env.action_space.shape, np.float32) + 0.3
    return np.stack([env.step(action)[0] for _ in range(count)])


def test_it_is_the_suites_task_with_two_steps_to_an_action(suite):
    env = make_env("dmc/walker-walk", 1)
    truth = suite.load("walker", "walk", {"random": 3})
    observation, _ = env.reset(seed=3)
    now = truth.reset()
    action = np.linspace(-1, 1, 6, dtype=np.float32)
    for _ in range(50):
        assert observation.dtype == np.float32
        wanted = np.concatenate([np.ravel(part) for part in now.observation.values()])
        assert np.array_equal(observation[0], wanted.astype(np.float32))
        observation, reward, *_ = env.step(action[None])
        rewards = [(now := truth.step(action)).reward for _ in range(2)]
        assert reward[0] == sum(rewards) > 0


def test_its_own_time_limit_truncates(suite):
    env = make_env(CHEETAH, 1, {"action_repeat": 100})
    env.reset(seed=0)
    ends = [[bool(end[0]) for end in env.step(np.zeros((1, 6)))[2:4]] for _ in range(10)]
    assert ends == [[False, False]] * 9 + [[False, True]]


def test_the_last_action_of_an_episode_may_be_shorter(suite):
    env = make_env(CHEETAH, 1, {"action_repeat": 300})
    env.reset(seed=0)
    ends = [bool(env.step(np.zeros((1, 6)))[3][0]) for _ in range(8)]
    assert ends == [False, False, False, True] * 2


def test_terrain_needs_no_screen(suite):
    env = make_env("dmc/quadruped-escape", 1)
    assert not np.array_equal(stepped(env, 1, 3), stepped(env, 2, 3))


def test_an_end_of_the_task_itself_terminates(suite, monkeypatch):
    env = make_env(CHEETAH, 1)
    env.reset(seed=0)
    monkeypatch.setattr(env.envs[0].unwrapped.control.task, "get_termination", lambda physics: 0.0)
    assert [bool(end[0]) for end in env.step(np.zeros((1, 6)))[2:4]] == [True, False]


def test_the_seed_decides(suite):
    env, other = make_env(CHEETAH, 2), make_env(CHEETAH, 2)
    assert np.array_equal(stepped(env, 7), stepped(other, 7))
    assert not np.array_equal(stepped(env, 7), stepped(other, 8))
    assert not np.array_equal(*stepped(env, 7).swapaxes(0, 1))


def test_protocol_holds_the_action_repeat():
    assert protocol_of(CHEETAH).settings == {"action_repeat": 2}
    assert protocol_of(CHEETAH, {"action_repeat": 4}).frames_per_step == 4


@pytest.mark.parametrize(
    ("env", "options", "words"),
    [
        ("dmc/cheetah-rn", {}, "did you mean dmc/cheetah-run?"),
        ("dmc/lqr-lqr_2_1", {}, "needs actions with finite bounds"),
        (CHEETAH, {"action_repeat": 0}, "action_repeat=0 must be a whole number of at least 1"),
        (CHEETAH, {"action_repeat": "2"}, "action_repeat='2' must be a whole number of at least 1"),
        (CHEETAH, {"action_repet": 2}, "action_repet"),
    ],
)
def test_mistakes_are_refused_in_one_line(suite, env, options, words):
    with pytest.raises(RecipeError) as caught:
        make_env(env, 1, options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_simulation_that_diverges_is_named(suite):
    env = make_env(CHEETAH, 1)
    env.reset(seed=0)
    env.envs[0].unwrapped.control.physics.data.qvel[:] = 1e20
    with pytest.raises(FloatingPointError, match=r"^dmc/cheetah-run: the simulation diverged"):
        env.step(np.zeros((1, 6)))


def test_missing_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dm_control", None)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.17.0")
    with pytest.raises(RecipeError, match=r"pip install 'catzoo\[dmc\]'"):
        make_env(CHEETAH, 1)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("4.0.0", r"does not work with mujoco 4\.0\.0: pip install 'mujoco<4'"),
        (
            "3.10.0",
            r"needs mujoco 3\.17 or newer, and 3\.10\.0 is installed: pip install 'catzoo\[dmc\]'",
        ),
    ],
)
def test_a_mujoco_that_it_does_not_work_with_is_named(version, words, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    with pytest.raises(RecipeError, match=words):
        make_env(CHEETAH, 1)


def test_how_mujoco_draws_is_left_as_it_was(suite, monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    make_env(CHEETAH, 1)
    assert "MUJOCO_GL" not in os.environ
