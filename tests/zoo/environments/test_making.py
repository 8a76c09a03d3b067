"""Environments by name: protocols, seeds, and what is refused."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.making import make_env, stream_seed
from catzoo.zoo.environments.protocols import EPISODE_CAP, protocol_of


def test_any_gymnasium_id():
    env = make_env("Acrobot-v1", 3)
    assert env.num_envs == 3
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP


def test_spaces_that_are_not_arrays_are_flattened():
    env = make_env("FrozenLake-v1", 2)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (2, 16)
    assert observation.sum(-1).tolist() == [1.0, 1.0]


def test_atari_protocol():
    env = make_env("ALE/Pong-v5", 2)
    observation, _ = env.reset(seed=1)
    assert observation.shape == (2, 4, 84, 84)
    assert observation.dtype == np.uint8
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    protocol = protocol_of("ALE/Pong-v5")
    assert protocol.settings["repeat_action_probability"] == 0.25
    assert protocol.settings["max_num_frames_per_episode"] == 4 * EPISODE_CAP
    assert protocol.frames_per_step == 4
    assert not protocol.settings["reward_clipping"]
    assert not protocol.settings["episodic_life"]


def test_atari_cap_counts_frames():
    env = make_env("ALE/Pong-v5", 1, {"max_num_frames_per_episode": 400})
    env.reset(seed=0)
    ends = [tuple(bool(flag[0]) for flag in env.step(np.zeros(1, np.int64))[2:4]) for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]


def test_atari_rewards_are_not_clipped():
    env = make_env("ALE/MsPacman-v5", 4)
    env.reset(seed=0)
    random = np.random.default_rng(0)
    rewards = np.concatenate([env.step(random.integers(9, size=4))[1] for _ in range(150)])
    assert rewards.max() >= 10


def test_sticky_actions_differ_from_deterministic_ones():
    def frames(sticky):
        env = make_env("ALE/Breakout-v5", 1, {"repeat_action_probability": sticky})
        env.reset(seed=3)
        return [env.step(np.array([t % 4]))[0].copy() for t in range(40)]

    assert all((a == b).all() for a, b in zip(frames(0.25), frames(0.25), strict=True))
    assert any((a != b).any() for a, b in zip(frames(0.25), frames(0.0), strict=True))


def test_minatar_protocol_and_alias():
    pytest.importorskip("minatar")
    env = make_env("MinAtar/Breakout", 2)
    assert env.reset(seed=0)[0].shape == (2, 10, 10, 4)
    game = env.envs[0].unwrapped.game
    assert game.sticky_action_prob == 0.1
    assert env.single_action_space.n == 3  # minimal
    assert env.envs[0].spec.max_episode_steps == EPISODE_CAP
    assert protocol_of("MinAtar/Breakout").env == "MinAtar/Breakout-v1"


def test_minatar_missing_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "minatar.gym", None)
    with pytest.raises(RecipeError, match=r"catzoo\[minatar\]"):
        make_env("MinAtar/Breakout", 1)


def test_own_environment_by_module(tmp_path, monkeypatch):
    (tmp_path / "my_package_of_envs.py").write_text(
        "import gymnasium as gym\n"
        "gym.register('MyEnv-v0', entry_point='gymnasium.envs.classic_control:CartPoleEnv',"
        " max_episode_steps=7)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = make_env("my_package_of_envs:MyEnv-v0", 2)
    assert env.envs[0].spec.max_episode_steps == 7


def test_a_program_that_ends_itself_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "my_script.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "my_game.py").write_text(
        "import gymnasium as gym\nimport sys\n"
        "gym.register('MyGame-v0', entry_point=lambda: sys.exit('no licence'))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError, match=r"cannot import my_script: .* sys\.exit\(0\)"):
        make_env("my_script:MyEnv-v0", 1)
    with pytest.raises(RecipeError, match=r"MyGame-v0: cannot be made: .* sys\.exit\('no licence'\)"):
        make_env("my_game:MyGame-v0", 1)


@pytest.mark.parametrize(
    ("env", "options", "words"),
    [
        ("CartPol-v1", {}, "did you mean CartPole-v1"),
        ("ALE/Pongg-v5", {}, "did you mean ALE/Pong-v5"),
        ("CartPole-v99", {}, "CartPole"),
        ("PongNoFrameskip-v4", {}, "did you mean ALE/Pong-v5?"),
        ("SpaceInvaders-ramDeterministic-v0", {}, "did you mean ALE/SpaceInvaders-v5?"),
        ("Pong-v5", {}, "did you mean ALE/Pong-v5?"),
        ("ale_py:ALE/Pong-v5", {}, "did you mean ALE/Pong-v5?"),
        ("no_such_module_here:X-v0", {}, "cannot import no_such_module_here"),
        ("Acrobot-v1", {"wind": 3}, "wind"),
        ("ALE/Pong-v5", {"wind": 3}, "wind"),
        (":CartPole-v1", {}, "cannot import"),
        ("Taxi-v4", {"wind": 1}, "cannot be made"),
        ("MinAtar/Breakot", {}, "did you mean MinAtar/Breakout-v"),
    ],
)
def test_refused_in_one_line(env, options, words):
    with pytest.raises(RecipeError) as caught:
        make_env(env, 1, options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_actions_that_do_not_count_from_zero_are_refused():
    class FromOne(gym.Env):
        observation_space = gym.spaces.Box(0, 1, (2,), np.float32)
        action_space = gym.spaces.Discrete(3, start=1)

    gym.register("FromOne-v0", entry_point=FromOne)
    try:
        with pytest.raises(RecipeError, match="count from 1"):
            make_env("FromOne-v0", 1)
    finally:
        del gym.registry["FromOne-v0"]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            gym.spaces.MultiDiscrete([2, 3]),
            "discrete or a vector of bounded numbers, but it has MultiDiscrete",
        ),
        (
            gym.spaces.Dict({"a": gym.spaces.Discrete(2)}),
            "discrete or a vector of bounded numbers, but it has Dict",
        ),
        (gym.spaces.Box(-np.inf, np.inf, (3,)), "actions with finite bounds"),
        (gym.spaces.Box(-1, 1, (2, 2)), "a vector of actions"),
        (gym.spaces.Box(-1, 1, ()), "a vector of actions"),
        (gym.spaces.Box(0, 9, (2,), np.int64), "discrete or floats"),
        (gym.spaces.Box(-np.inf, np.arange(90, dtype=np.float32)), "actions with finite bounds"),
    ],
)
def test_actions_that_no_agent_can_choose_are_refused_in_one_line(space, words):
    class Odd(gym.Env):
        observation_space = gym.spaces.Box(0, 1, (2,), np.float32)
        action_space = space

    gym.register("Odd-v0", entry_point=Odd)
    try:
        with pytest.raises(RecipeError, match=r"^Odd-v0: needs ") as caught:
            make_env("Odd-v0", 1)
    finally:
        del gym.registry["Odd-v0"]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ("Pendulum-v1", "classic-control"),
        ("MountainCarContinuous-v0", "classic-control"),
        ("BipedalWalker-v3", "gymnasium"),
        ("HalfCheetah-v5", "mujoco-v5"),
        ("HumanoidStandup-v5", "mujoco-v5"),
        ("Humanoid-v4", "mujoco-v4"),
        ("Hopper-v3", "gymnasium"),
        ("dmc/cheetah-run", "dmc"),
    ],
)
def test_protocols_of_continuous_control(env, name):
    assert protocol_of(env).name == name


def test_observations_of_double_precision_arrive_in_single():
    class Double(gym.Env):
        observation_space = gym.spaces.Box(-np.inf, 1e300, (2,), np.float64)
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return np.array([0.1, 1e200]), {}

    gym.register("Double-v0", entry_point=Double)
    try:
        env = make_env("Double-v0", 2)
    finally:
        del gym.registry["Double-v0"]
    observation, _ = env.reset(seed=0)
    assert env.single_observation_space.dtype == observation.dtype == np.float32
    assert observation[0].tolist() == [np.float32(0.1), np.inf]  # which the collector refuses


def test_seed_streams_do_not_meet():
    seeds = {stream_seed(seed, purpose) for seed in range(200) for purpose in ("train", "eval", "watch")}
    assert len(seeds) == 600
    assert all(0 <= seed < 2**30 for seed in seeds)
    assert stream_seed(3, "train") == stream_seed(3, "train")


def test_registry_names_are_found():
    make_env("ALE/Pong-v5", 1)
    assert "ALE/Pong-v5" in gym.registry


def test_of_a_package_the_nearest_name_is_one_that_works(tmp_path, monkeypatch):
    (tmp_path / "dockyard.py").write_text(
        "import gymnasium as gym\nclass Dock(gym.Env): pass\ngym.register('Dock-v0', entry_point=Dock)\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"dockyard:Dock; did you mean dockyard:Dock-v0\?"):
        make_env("dockyard:Dock", 1)


@pytest.mark.parametrize("name", ["HalfCheetah-v3", "InvertedPendulum-v2"])
def test_mujoco_tasks_that_are_no_longer_there_name_the_newest(name):
    newest = name.partition("-")[0] + "-v5"
    with pytest.raises(RecipeError, match=f"^{name}: is no longer there; did you mean {newest}[?]$"):
        make_env(name, 1)
