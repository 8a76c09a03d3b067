"""Environments of strangers: what they return is in the batch, as their space says."""

import contextlib
import random
import sys
from fractions import Fraction

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from catzoo.agents.collecting.collector import VectorCollector
from catzoo.agents.collecting.simulators import simulator_state
from catzoo.agents.from_recipe import build_network, build_value_loss
from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.environments.making import make_env
from environments_for_tests import Left

LENGTH = 3
KINDS = {
    "array": lambda own: own,
    "list": lambda own: own.tolist(),
    "float": lambda own: own.astype(np.float64),
    "view": lambda own: own[...],
    "read-only": lambda own: np.lib.stride_tricks.as_strided(own, writeable=False),
}


class Stranger(gym.Env):
    """Writes the number of its step into one array, and returns that, of any kind."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, space, kind="array", reward=1.0, info=lambda t: {}, truncates=False):
        self.observation_space = space
        self.own = np.zeros(space.shape or (), space.dtype)
        self.kind, self.reward, self.info, self.truncates = KINDS[kind], reward, info, truncates

    def see(self):
        self.own[...] = self.t
        return self.kind(self.own)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.see(), self.info(self.t)

    def step(self, action):
        self.t += 1
        done = self.t == LENGTH
        end = (False, done) if self.truncates else (done, False)
        return self.see(), self.reward, *end, self.info(self.t)


@contextlib.contextmanager
def registered(make):
    gym.register("Stranger-v0", entry_point=make)
    try:
        yield "Stranger-v0"
    finally:
        del gym.registry["Stranger-v0"]


def rollout(make, steps=2 * LENGTH, num_envs=2):
    with registered(make) as name:
        env = make_env(name, num_envs)
        try:
            return VectorCollector(env, Left(), frames_per_batch=steps * num_envs).rollout()
        finally:
            env.close()


SHAPES = st.lists(st.integers(1, 3), min_size=0, max_size=3).map(tuple)
DTYPES = ("bool", "uint8", "int8", "int16", "int64", "float16", "float32", "float64")
BOUNDS = ((0, 1), (0, 255), (-1e-8, 1e-8), (-np.inf, np.inf), (-3, 100))


def box(shape, dtype, bounds):
    low, high = bounds
    if np.dtype(dtype).kind != "f":
        least, most = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        low = int(low) if low > least else least
        high = int(high) if high < most else most
    return gym.spaces.Box(low, high, shape, np.dtype(dtype))


@given(
    shape=SHAPES,
    dtype=st.sampled_from(DTYPES),
    bounds=st.sampled_from(BOUNDS),
    kind=st.sampled_from(list(KINDS)),
    truncates=st.booleans(),
)
def test_what_was_seen_is_in_the_batch_though_it_is_overwritten(shape, dtype, bounds, kind, truncates):
    space = box(shape, dtype, bounds)
    if shape == () and kind in ("view", "read-only"):
        kind = "array"
    batch = rollout(lambda: Stranger(space, kind, truncates=truncates))
    seen = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([1, 2, 3, 1, 2, 3])
    if dtype == "bool":
        seen = tuple(of > 0 for of in seen)
    for found, wanted in zip((batch["observation"], batch["next", "observation"]), seen, strict=True):
        assert found.shape == (2, 6, *(shape or (1,)))
        assert found.dtype == getattr(torch, "float32" if dtype == "float64" else dtype)
        wanted = wanted.to(found.dtype).reshape(1, 6, *[1] * max(len(shape), 1))
        assert (found == wanted).all()
    assert batch["next", "truncated" if truncates else "terminated"].sum() == 4


@pytest.mark.parametrize(
    ("space", "numbers", "encoded"),
    [
        (gym.spaces.Discrete(5), 3, [0, 0, 0, 1, 0]),
        (gym.spaces.Discrete(5, start=2), 3, [0, 1, 0, 0, 0]),
        (gym.spaces.MultiDiscrete([2, 4]), [1, 3], [0, 1, 0, 0, 0, 1]),
        (gym.spaces.MultiBinary(3), [1, 0, 1], [1, 0, 1]),
        (gym.spaces.Box(-1, 1, (), np.float32), 0.5, [0.5]),
        (gym.spaces.Tuple([gym.spaces.Discrete(2), gym.spaces.Box(0, 9, (1,))]), (1, [7.0]), [0, 1, 7]),
    ],
)
def test_what_is_no_array_becomes_a_vector_and_discrete_numbers_one_hot(space, numbers, encoded):
    class Fixed(gym.Env):
        observation_space, action_space = space, gym.spaces.Discrete(2)
        seen = tuple(map(np.array, numbers)) if isinstance(numbers, tuple) else np.array(numbers)

        def reset(self, *, seed=None, options=None):
            return self.seen, {}

        def step(self, action):
            return self.seen, 0.0, False, False, {}

    assert rollout(Fixed, steps=1)["observation"][:, 0].tolist() == [encoded] * 2


@pytest.mark.parametrize(
    ("bounds", "shape", "divided"),
    [
        ((0, 255), (4, 36, 36), True),
        ((0, 255), (5, 5), True),
        ((0, 1), (10, 10, 4), False),
        ((0, 254), (10, 10, 4), False),
        ((0, 1), (6,), False),
        ((0, 255), (6,), False),
    ],
)
def test_only_images_are_divided_by_255(bounds, shape, divided):
    space = gym.spaces.Box(*bounds, shape, np.uint8)
    recipe = find_recipe("dqn", "CartPole-v1", "mse", ())
    with registered(lambda: Stranger(space)) as name:
        env = make_env(name, 1)
    network = build_network(recipe, env, build_value_loss(recipe))
    byte = torch.randint(0, 2, (3, *shape), dtype=torch.uint8)
    wanted = network(byte.float() / 255 if divided else byte.float())
    assert torch.allclose(network(byte), wanted)
    assert not torch.allclose(network(byte), network(byte.float() if divided else byte.float() / 255))


@pytest.mark.parametrize(
    "info",
    [
        lambda t: {"moves": np.arange(t + 1)},
        lambda t: {"winner": None if t % 2 else 1},
        lambda t: {"winner": [1.0] * t, "other": {"deep": "x" * t}},
        lambda t: {"goes_on": True, "catzoo/goes_on": [True], "final_obs": 3, "final_info": {}},
    ],
)
@pytest.mark.parametrize("num_envs", [1, 3])
def test_infos_are_nobodys_business(info, num_envs):
    space = gym.spaces.Box(0, 9, (1,), np.float32)
    batch = rollout(lambda: Stranger(space, info=info), num_envs=num_envs)
    assert batch["next", "observation"][0].flatten().tolist() == [1, 2, 3, 1, 2, 3]
    assert batch["next", "done"][0].flatten().tolist() == [False, False, True] * 2


@pytest.mark.parametrize(
    "reward",
    [2, True, np.float64(2), np.int8(2), np.array(2.0), np.array([2]), np.array([[2.0]]), Fraction(2), "2"],
)
def test_a_reward_is_a_number(reward):
    batch = rollout(lambda: Stranger(gym.spaces.Box(0, 9, (1,)), reward=reward))
    assert (batch["next", "reward"] == (1.0 if reward is True else 2.0)).all()


@pytest.mark.parametrize("reward", [None, np.zeros(2), {}, "two"])
def test_what_is_no_reward_is_refused_in_one_line(reward):
    with pytest.raises(RecipeError, match="Stranger-v0: gave a reward that is no number"):
        rollout(lambda: Stranger(gym.spaces.Box(0, 9, (1,)), reward=reward))


def test_an_observation_of_another_shape_is_refused_in_one_line():
    class Grows(Stranger):
        def see(self):
            return np.zeros(2 + self.t, np.float32)

    with pytest.raises(RecipeError, match=r"shape \[3\], where its space says \[2\]"):
        rollout(lambda: Grows(gym.spaces.Box(0, 9, (2,))))


BYTES = gym.spaces.Box(0, 255, (2,), np.uint8)


@pytest.mark.parametrize(
    ("space", "seen", "words"),
    [
        (BYTES, np.array([0.0, 0.5]), "of array([0. , 0.5]), where its space is Box(0, 255, (2,), uint8)"),
        (BYTES, [7, 256], "of [7, 256]"),
        (BYTES, np.array([-1, 7], np.int8), "of array([-1,  7], dtype=int8)"),
        (gym.spaces.Box(0, 1, (2, 1), np.int64), np.array([[0], [np.nan]]), "nan"),
        (gym.spaces.Box(0, 1, (2,), bool), [0, 2], "of [0, 2]"),
        (gym.spaces.Box(0, 1, (2,)), [[0.0], [0.0, 1.0]], "that is no array"),
        (gym.spaces.Box(0, 1, (2,)), ["a", "b"], "that is no array"),
        (gym.spaces.Discrete(5), -1, "of -1, where its space is Discrete(5)"),
        (gym.spaces.Discrete(5), 5, "of 5"),
        (gym.spaces.Discrete(5, start=2), np.int64(1), "where its space is Discrete(5, start=2)"),
        (gym.spaces.MultiDiscrete([2, 4]), np.array([2, 0]), "where its space is MultiDiscrete([2 4])"),
        (gym.spaces.MultiBinary(2), np.array([0, 0.5]), "where its space is MultiBinary(2)"),
        (gym.spaces.Tuple([gym.spaces.Discrete(2), gym.spaces.Box(0, 9, (1,))]), (2, [7.0]), "of (2, [7.0])"),
        (
            gym.spaces.Dict(a=gym.spaces.Dict(b=gym.spaces.Discrete(2))),
            {"a": {"b": -1}},
            "of {'a': {'b': -1}}",
        ),
        (gym.spaces.Dict(a=BYTES), {"a": [0.5, 0]}, "of {'a': [0.5, 0]}"),
    ],
)
def test_what_its_space_cannot_hold_is_refused_in_one_line(space, seen, words):
    class Beyond(Stranger):
        def see(self):
            return seen

    with pytest.raises(RecipeError) as caught:
        rollout(lambda: Beyond(space))
    assert str(caught.value).startswith("Stranger-v0: gave an observation ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whole_numbers_of_another_kind_are_taken():
    space = gym.spaces.Box(0, 255, (2,), np.uint8)
    batch = rollout(lambda: Stranger(space, kind="float"))
    assert batch["next", "observation"][0, :, 0].tolist() == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("when", ["reset", "step"])
def test_an_environment_does_not_end_the_program(when):
    class Leaves(Stranger):
        def leave(self, *args, **kwargs):
            sys.exit(0)

    setattr(Leaves, when, Leaves.leave)
    with pytest.raises(RuntimeError, match=r"Stranger-v0: it asked for the program's end: sys\.exit\(0\)"):
        rollout(lambda: Leaves(gym.spaces.Box(0, 9, (1,))))


@pytest.mark.parametrize(
    ("problem", "words"),
    [(RuntimeError("the socket is closed"), "the socket is closed"), (SystemExit(3), "sys.exit(3)")],
)
def test_one_that_cannot_be_closed_is_left_open(problem, words, capsys):
    closed = []

    class Stuck(Stranger):
        def close(self):
            closed.append(self)
            raise problem

    assert rollout(lambda: Stuck(gym.spaces.Box(0, 9, (1,))), num_envs=3).shape == (3, 6)
    assert len(closed) == 3
    said = capsys.readouterr().out
    assert said.startswith("Stranger-v0: cannot be closed: ")
    assert words in said
    assert said.count("\n") == 1


def test_a_reset_that_takes_no_seed(capsys):
    class Old(Stranger):
        def reset(self):
            return super().reset()

    class OldWrapper(gym.Wrapper):
        def reset(self):
            return self.env.reset()

    class Seeded(Stranger):
        def reset(self, seed=None):
            self.seeds = [*getattr(self, "seeds", []), seed]
            return super().reset(seed=seed)

    space = gym.spaces.Box(0, 9, (1,))
    for make in (lambda: Old(space), lambda: OldWrapper(Stranger(space)), lambda: OldWrapper(Old(space))):
        assert rollout(make)["observation"][0].flatten().tolist() == [0, 1, 2, 0, 1, 2]
    assert "Stranger-v0: its reset takes no seed" in capsys.readouterr().out
    with registered(lambda: Seeded(space)) as name:
        env = make_env(name, 2)
        env.reset(seed=5)
    assert [one.unwrapped.seeds for one in env.envs] == [[5], [6]]


def test_one_that_saves_itself_is_saved_whatever_it_shows():
    class Saves(Stranger):
        def see(self):
            return 3

        def state_dict(self):
            return {"t": self.t}

        def load_state_dict(self, state):
            pass

    with registered(lambda: Saves(gym.spaces.Discrete(5))) as name:
        env = make_env(name, 1)
        env.reset(seed=0)
    assert {"state": {"t": 0}} in simulator_state(env).values()


class Gym021(Stranger):
    """The interface of Gym before 0.26: no info at the start, and one word for both ends."""

    limit = False

    def reset(self):
        return super().reset()[0]

    def step(self, action):
        observation, reward, done, _, _ = super().step(action)
        return observation, reward, done, {"TimeLimit.truncated": True} if done and self.limit else {}


@pytest.mark.parametrize("limit", [False, True])
def test_environments_of_an_older_gym(limit):
    Older = type("Older", (Gym021,), {"limit": limit})
    batch = rollout(lambda: Older(gym.spaces.Box(0, 9, (2,))))
    assert batch["observation"][0, :, 1].tolist() == [0, 1, 2, 0, 1, 2]
    assert batch["next", "terminated"].sum() == (0 if limit else 4)
    assert batch["next", "truncated"].sum() == (4 if limit else 0)


def test_a_time_limit_around_an_older_environment_is_one():
    gym.register("Older-v0", entry_point=lambda: Gym021(gym.spaces.Box(0, 9, (2,))), max_episode_steps=2)
    try:
        env = make_env("Older-v0", 1)
        env.reset(seed=0)
        assert [tuple(bool(end[0]) for end in env.step(np.zeros(1, int))[2:4]) for _ in range(2)] == [
            (False, False),
            (False, True),
        ]
    finally:
        del gym.registry["Older-v0"]


class Global(Stranger):
    """Draws from the streams that Python and NumPy share."""

    def see(self):
        return np.array([random.random(), np.random.random()])


@pytest.mark.parametrize("num_envs", [1, 3])
def test_what_draws_from_global_streams_repeats_with_the_seed(num_envs):
    def seen(seed):
        with registered(lambda: Global(gym.spaces.Box(0, 1, (2,)))) as name:
            env = make_env(name, num_envs)
        collector = VectorCollector(env, Left(), frames_per_batch=5 * num_envs, seed=seed)
        return collector.rollout()["observation"]

    assert torch.equal(seen(1), seen(1))
    assert len(seen(1).unique()) == 10 * num_envs
    assert not torch.equal(seen(1), seen(2))
