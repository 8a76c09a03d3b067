"""Several games side by side: each is as it is alone, filled up to one shape."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from catzoo.hparams import RecipeError, build_recipe
from catzoo.zoo.environments.making import make_under
from catzoo.zoo.environments.many_games import ManyGames
from catzoo.zoo.environments.names import SETS, canonical, games_of, in_file_names, in_one_run, is_list
from catzoo.zoo.environments.protocols import protocol_of, protocols_of_games, with_limit
from catzoo.zoo.environments.selection import expand
from catzoo.zoo.folders.result_file import checked
from catzoo.zoo.folders.run_folder import default_folder
from catzoo.zoo.system.csv_rows import read_rows
from catzoo.zoo.training.evaluate import evaluate
from catzoo.zoo.training.train import train
from catzoo.zoo.watch.film import watch


class Counting(gym.Env):
    """Counts its steps in every number of its observation, and pays the action; ends after `length`."""

    def __init__(self, shape, actions, length, dtype=np.uint8):
        self.observation_space = gym.spaces.Box(0, 200, shape, dtype)
        self.action_space = gym.spaces.Discrete(actions) if isinstance(actions, int) else actions
        self.length, self.count = length, 0

    def _seen(self):
        return np.full(self.observation_space.shape, self.count + self.start, self.observation_space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.start = 0, int(self.np_random.integers(50))
        return self._seen(), {}

    def step(self, action):
        self.count += 1
        reward = float(action) if np.ndim(action) == 0 else float(np.sum(action))
        return self._seen(), reward, self.count == self.length, False, {}

    def state_dict(self):
        return {"count": self.count, "start": self.start}

    def load_state_dict(self, state):
        self.count, self.start = state["count"], state["start"]


def part(num, *args, mode=AutoresetMode.SAME_STEP, **kwargs):
    return SyncVectorEnv([lambda: Counting(*args, **kwargs)] * num, autoreset_mode=mode)


def two():
    return ManyGames([part(2, (3, 3, 2), 2, 3), part(2, (3, 3, 4), 6, 5)], ["a", "b"])


def test_each_game_is_as_it_is_alone():
    env, alone = two(), part(2, (3, 3, 2), 2, 3)
    assert (env.num_envs, env.single_observation_space.shape, int(env.single_action_space.n)) == (
        4,
        (3, 3, 4),
        6,
    )
    observation, _ = env.reset(seed=7)
    expected, _ = alone.reset(seed=7)
    for step in range(8):
        assert np.array_equal(observation[::2, ..., :2], expected)
        assert not observation[::2, ..., 2:].any()
        assert observation[1::2].min() >= 0
        actions = np.array([1, 5, step % 2, 3])
        observation, reward, terminated, truncated, infos = env.step(actions)
        expected, own_reward, own_terminated, _, own_infos = alone.step(actions[::2])
        assert reward[::2].tolist() == own_reward.tolist()
        assert reward[1::2].tolist() == [5, 3]
        assert terminated[::2].tolist() == own_terminated.tolist()
        assert not truncated.any()
        for i in np.flatnonzero(own_terminated):
            final = infos["final_obs"][2 * i]
            assert np.array_equal(final[..., :2], own_infos["final_obs"][i])
            assert not final[..., 2:].any()


def test_no_two_environments_have_one_seed():
    env, alone = two(), part(2, (3, 3, 4), 6, 5)
    observation, _ = env.reset(seed=7)
    expected, _ = alone.reset(seed=7 + 4)  # four environments before it
    assert np.array_equal(observation[1::2], expected)
    env.close()
    alone.close()


def test_an_action_that_a_game_has_not_is_its_first():
    env = two()
    env.reset(seed=0)
    assert env.step(np.array([5, 5, 1, 2]))[1].tolist() == [0, 5, 1, 2]


def test_continuous_actions_are_cut_to_a_game():
    boxes = [gym.spaces.Box(-1, 1, (size,), np.float32) for size in (1, 3)]
    env = ManyGames([part(1, (2,), boxes[0], 3), part(1, (4,), boxes[1], 3)], ["a", "b"])
    assert env.single_action_space.shape == (3,)
    env.reset(seed=0)
    assert env.step(np.full((2, 3), 0.5, np.float32))[1].tolist() == [0.5, 1.5]


def test_a_state_goes_on():
    env, other = two(), two()
    env.reset(seed=3)
    for _ in range(4):
        env.step(np.ones(4, int))
    other.reset(seed=9)
    other.load_state_dict(env.state_dict())
    for _ in range(3):
        ours, theirs = env.step(np.ones(4, int)), other.step(np.ones(4, int))
        assert all(np.array_equal(a, b) for a, b in zip(ours[2:4], theirs[2:4], strict=True))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            [part(1, (2,), 2, 3), part(1, (3, 3, 2), 2, 3)],
            r"b: observations \[3, 3, 2\] of uint8 do not go with",
        ),
        ([part(1, (2,), 2, 3), part(1, (2,), 2, 3, dtype=np.float32)], r"b: observations \[2\] of float32"),
        (
            [part(1, (2,), 2, 3), part(1, (2,), gym.spaces.Box(-1, 1, (1,)), 3)],
            "a.b: some have discrete actions, and some continuous",
        ),
        ([part(1, (2,), 2, 3), part(1, (2,), 2, 3, mode=AutoresetMode.NEXT_STEP)], "step of their own"),
    ],
)
def test_games_that_do_not_go_together(parts, words):
    with pytest.raises(RecipeError, match=words):
        ManyGames(parts, ["a", "b"])


TWO = "MinAtar/Breakout+MinAtar/Freeway"


def test_names_of_several_games():
    assert games_of(TWO) == ["MinAtar/Breakout", "MinAtar/Freeway"]
    assert canonical(TWO) == "MinAtar/Breakout-v1+MinAtar/Freeway-v1"
    assert in_file_names(TWO) == "MinAtar-Breakout-and-MinAtar-Freeway"
    assert games_of(in_one_run("+minatar-5")) == list(SETS["minatar-5"])
    long = in_one_run("+asteroids-66")
    assert in_file_names(long).startswith("66-games-")
    assert in_file_names(long) != in_file_names(long.replace("mode=5", "mode=6", 1))
    assert expand(f"{TWO},+minatar-5") == [TWO, in_one_run("+minatar-5")]
    two_variants = "ALE/Asteroids-v5?mode=5+ALE/Asteroids-v5?mode=6"
    assert expand(two_variants) == [two_variants]
    assert not is_list(two_variants)
    assert is_list("ALE/Asteroids-v5?mode=*")


@pytest.mark.parametrize("name", SETS)
def test_every_set_may_be_one_run(name):
    games = in_one_run(f"+{name}")
    assert not is_list(games)  # which train_many would make runs of
    recipe = build_recipe({"agent": "impala", "env": games}, where="here")
    assert len(default_folder(recipe).name) < 160
    score = {"mean_return": 1.0, "interval_95": [0.0, 2.0], "episodes": 3}
    result = {"agent": "impala", "env": canonical(recipe.env), "loss": "mse", "seed": 0, "steps": 1, **score}
    assert checked(result | {"protocol": {"name": "many-games"}})["env"] == canonical(recipe.env)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("MinAtar/Breakout+", "name every game once"),
        ("+", "name every game once, with . between two, or one whole set"),
        ("+minatar-6", "unknown set of games 'minatar-6': .*; did you mean minatar-5"),
        ("MinAtar/Breakout+minatar-5", "minatar-5 is a set, which goes alone"),
        ("+minatar-5+asteroids-66", "minatar-5 is a set, which goes alone, as .minatar-5"),
        ("MinAtar/Breakout+MinAtar/Breakout", "name every game once"),
        ("MinAtar/Breakout+MinAtar/Freewy", "did you mean MinAtar/Freeway"),
    ],
)
def test_words_that_name_no_games(word, line):
    with pytest.raises(RecipeError, match=line):
        expand(word)
    with pytest.raises(RecipeError, match=line):
        make_under(protocol_of(word), 4)


def test_actions_mean_the_same_in_all_games_of_a_family():
    protocol = protocol_of(TWO, {"sticky_action_prob": 0.0})
    assert protocol.name == "many-games"
    for one in protocols_of_games(with_limit(protocol, 50)):
        assert one.settings["use_minimal_action_set"] is False
        assert (one.settings["sticky_action_prob"], one.settings["max_episode_steps"]) == (0.0, 50)
    made = make_under(protocol, 5)
    assert made.single_action_space == gym.spaces.Discrete(6)
    assert made.single_observation_space.shape == (10, 10, 7)
    assert [part.num_envs for part in made.parts] == [3, 2]
    made.close()
    with pytest.raises(RecipeError, match="num_envs=1: 2 games need an environment each: num_envs=2, or"):
        make_under(protocol, 1)


def test_a_run_has_a_score_for_each_and_a_film_of_one(tmp_path):
    small = ["num_envs=4", "rollout_length=10", "batch_size=40", "eval.episodes=3", "network.width=0.2",
             "eval.share=100", "env_options={max_episode_steps: 20}"]  # fmt: skip
    result = train("impala", TWO, loss="mse", steps=80, run_dir=tmp_path / "run", overrides=small)
    assert {game: own["episodes"] for game, own in result["games"].items()} == dict.fromkeys(games_of(TWO), 2)
    means = [own["mean_return"] for own in result["games"].values()]
    assert result["mean_return"] == pytest.approx(np.mean(means))
    assert evaluate(tmp_path / "run")["games"] == result["games"]
    rows = read_rows(tmp_path / "run" / "episodes.csv")
    # Two environments each, 20 steps: Freeway ends by the limit alone.
    assert [row["length"] for row in rows if row["game"] == "MinAtar/Freeway"] == ["20", "20"]
    assert {row["game"] for row in rows} == {"MinAtar/Breakout", "MinAtar/Freeway"}
    film = watch(tmp_path / "run", tmp_path / "film.gif", game="MinAtar/Freeway", max_steps=4)
    assert film["steps"] == 4
    with pytest.raises(RecipeError, match=r"game=MinAtar/Asterix-v1: .* is not that"):
        watch(tmp_path / "run", tmp_path / "film.gif", game="MinAtar/Asterix")


def test_variants_of_one_game_have_its_own_actions():
    two = "ALE/Freeway-v5?mode=0+ALE/Freeway-v5?mode=1"
    made = make_under(protocol_of(two), 2)
    assert made.single_action_space == gym.spaces.Discrete(3)
    made.close()
    one, other = protocols_of_games(protocol_of("ALE/Freeway-v5+ALE/Pong-v5"))
    assert one.settings["full_action_space"] == other.settings["full_action_space"] is True


def test_a_game_with_a_vector_of_its_own_is_made_one_by_one():
    made = make_under(protocol_of("CartPole-v1+Acrobot-v1"), 3)
    assert made.single_observation_space.shape == (6,)
    assert made.single_action_space == gym.spaces.Discrete(3)
    observation, _ = made.reset(seed=0)
    assert not observation[::2, 4:].any()
    made.close()
