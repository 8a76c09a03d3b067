"""One console of our own beside ALE's vector environment, to the byte; saved and gone on with."""

import gymnasium as gym
import numpy as np
import pytest

from catzoo.agents.checkpoints.state_files import read_state, write_state
from catzoo.agents.collecting.collector import GOES_ON
from catzoo.agents.collecting.simulators import restore_simulator, simulator_state
from catzoo.hparams import RecipeError
from catzoo.zoo.environments import atari
from catzoo.zoo.environments.area_resize import AreaResize
from catzoo.zoo.environments.atari_console import NOT_SAVED, Words, allowed_switches
from catzoo.zoo.environments.making import make_env, make_under
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.environments.registry import find_spec


def both(game, options=None, num_envs=2):
    """ALE's vector environment, and ours for the game as it comes up."""
    return make_env(game, num_envs, options), make_env(f"{game}?difficulty=0", num_envs, options)


def check_alike(ours, theirs, steps, actions=None):
    """Plays both and compares all they say; returns the number of ends."""
    assert np.array_equal(ours.reset(seed=7)[0], theirs.reset(seed=7)[0])
    random, ends = np.random.default_rng(0), 0
    for _ in range(steps):
        action = random.integers(actions or ours.single_action_space.n, size=ours.num_envs)
        (*mine, infos), (*its, their_infos) = ours.step(action), theirs.step(action)
        for one, other in zip(mine, its, strict=True):
            assert np.array_equal(one, other)
        for i in np.flatnonzero(mine[2] | mine[3]):
            assert np.array_equal(infos["final_obs"][i], their_infos["final_obs"][i])
            ends += 1
        nowhere = np.zeros(ours.num_envs, bool)
        assert np.array_equal(infos.get(GOES_ON, nowhere), their_infos.get(GOES_ON, nowhere))
    return ends


@pytest.mark.parametrize(
    ("game", "steps", "options"),
    [
        ("ALE/Asteroids-v5", 60, {}),
        ("ALE/Pong-v5", 60, {"full_action_space": True, "noop_max": 30}),
        ("ALE/Breakout-v5", 180, {}),
        ("ALE/Breakout-v5", 120, {"life_loss_info": True}),
        ("ALE/Breakout-v5", 120, {"episodic_life": True, "use_fire_reset": True, "noop_max": 30}),
        ("ALE/SpaceInvaders-v5", 60, {"max_num_frames_per_episode": 90, "reward_clipping": True}),
        ("ALE/Asteroids-v5", 40, {"frameskip": 1, "repeat_action_probability": 0.1}),
        ("ALE/Pong-v5", 20, {"img_height": 64, "img_width": 72, "stack_num": 2, "maxpool": False}),
        ("ALE/Asteroids-v5", 20, {"grayscale": False, "repeat_action_probability": 0.0}),
        ("ALE/Seaquest-v5", 20, {"grayscale": False, "img_height": 210, "img_width": 160}),
    ],
)
def test_the_game_as_it_comes_up_is_ales_own_to_the_byte(game, steps, options):
    theirs, ours = both(game, options)
    ends = check_alike(ours, theirs, steps)
    assert ends > 0 or not options.keys() & {"life_loss_info", "episodic_life", "max_num_frames_per_episode"}
    assert ours.single_action_space == theirs.single_action_space
    assert ours.single_observation_space == theirs.single_observation_space


@pytest.mark.parametrize(
    ("game", "mode", "difficulty"),
    [("Breakout", 44, 1), ("Breakout", 0, 1), ("Asteroids", 5, 3), ("SpaceInvaders", 9, 0)],
)
def test_switches_make_the_game_that_gymnasiums_environment_plays(game, mode, difficulty):
    theirs = gym.make(
        find_spec(f"ALE/{game}-v5"),
        mode=mode,
        difficulty=difficulty,
        frameskip=4,
        repeat_action_probability=0,
    )
    plain = make_env(f"ALE/{game}-v5?difficulty=0", 1, {"repeat_action_probability": 0.0})
    name = f"ALE/{game}-v5?mode={mode}&difficulty={difficulty}"
    ours = make_env(name, 1, {"repeat_action_probability": 0.0}, render_mode="rgb_array")
    seed = int(theirs.reset(seed=3)[1]["seeds"][0])
    for env in (ours, plain):
        env.reset(seed=seed)
    differs = False
    for t in range(40):
        action = t % theirs.action_space.n
        screen, reward, *_ = theirs.step(action)
        mine, my_reward, *_ = ours.step(np.array([action]))
        assert np.array_equal(ours.render()[0], screen)
        assert my_reward[0] == reward
        differs |= not np.array_equal(mine, plain.step(np.array([action]))[0])
    assert differs


def test_switches_are_set_again_with_every_seed_and_kept_by_a_new_game():
    env = make_env("ALE/Breakout-v5?mode=8&difficulty=1", 1, {"max_num_frames_per_episode": 20}).envs[0]
    for seed in (1, None, 2):
        env.reset(seed=seed)
        state = env.ale.cloneState()
        assert (state.getCurrentMode(), state.getDifficulty()) == (8, 1)


def test_variants_share_the_full_action_space_if_it_is_asked_for():
    for switches, options, actions in (
        ("ALE/Asteroids-v5?mode=7", {}, 14),
        ("ALE/SpaceInvaders-v5?mode=7", {}, 6),
        ("ALE/Asteroids-v5?mode=7", {"full_action_space": True}, 18),
        ("ALE/SpaceInvaders-v5?mode=7", {"full_action_space": True}, 18),
    ):
        env = make_env(switches, 1, options)
        assert env.single_action_space.n == len(env.envs[0].get_action_meanings()) == actions


@pytest.mark.parametrize(("steps", "options"), [(0, {"noop_max": 30}), (37, {"life_loss_info": True})])
def test_it_goes_on_in_mid_episode_as_if_nothing_had_been(steps, options, tmp_path):
    def play(env, actions):
        return [np.concatenate([np.ravel(part).astype(float) for part in env.step(a)[:4]]) for a in actions]

    name = "ALE/Breakout-v5?mode=12&difficulty=1"
    env = make_env(name, 2, options)
    env.reset(seed=5)
    actions = np.random.default_rng(steps).integers(4, size=(steps + 150, 2))
    play(env, actions[:steps])
    write_state(tmp_path, simulator_state(env))
    truth = play(env, actions[steps:])
    assert any(line[-4:].any() for line in truth)  # with a new game behind it
    other = make_env(name, 2, options)
    other.reset(seed=77)
    play(other, actions[:9])
    restore_simulator(other, read_state(tmp_path))
    assert np.array_equal(play(other, actions[steps:]), truth)


@pytest.mark.parametrize("game", NOT_SAVED)
def test_games_that_ale_saves_badly_are_not_saved(game):
    env = atari._consoles(game, 1, **protocol_of("ALE/Pong-v5").settings)
    env.reset(seed=0)
    assert simulator_state(env) is None


def test_a_saved_game_that_is_another_one_or_none_is_refused():
    pong, other = make_env("ALE/Pong-v5?mode=1", 1).envs[0], make_env("ALE/Freeway-v5?mode=1", 1).envs[0]
    pong.reset(seed=0), other.reset(seed=0)
    state = pong.state_dict()
    for wrong, words in (
        ({"console": other.state_dict()["console"]}, "another one"),
        ({"console": state["console"][:100]}, "another one"),
        ({"console": np.zeros_like(state["console"])}, "another one"),
        ({"stack": state["stack"][:2]}, "another size"),
        ({"counts": [77, 0, 0]}, "button 77"),
    ):
        with pytest.raises(ValueError, match=words):
            pong.load_state_dict({**state, **wrong})


def test_words_are_those_of_the_mersenne_twister():
    words = Words()
    words.seed(5489)  # C++11, 29.5.5: the 10,000th word of mt19937
    assert [words.draw() for _ in range(10_000)][-1] == 4123659995
    counts = np.bincount([words.below(3) for _ in range(3000)], minlength=3)
    assert len(counts) == 3
    assert counts.min() > 900


def test_areas_are_averaged():
    frame = np.random.default_rng(0).integers(0, 256, (10, 8), dtype=np.uint8)
    pairs = frame.reshape(5, 2, 4, 2).mean((1, 3))
    assert np.abs(AreaResize((10, 8), (5, 4))(frame) - pairs).max() <= 0.5
    assert AreaResize((10, 8), (3, 7))(np.full((10, 8), 200, np.uint8)).tolist() == [[200] * 7] * 3
    assert np.array_equal(AreaResize((10, 8), (10, 8))(frame), frame)
    with pytest.raises(ValueError, match="smaller"):
        AreaResize((10, 8), (11, 4))


def test_it_draws_itself():
    env = make_env("ALE/Pong-v5?mode=1", 1, render_mode="rgb_array")
    env.reset(seed=0)
    (frame,) = env.render()
    assert (frame.shape, frame.dtype, env.metadata["render_fps"]) == ((210, 160, 3), np.uint8, 15)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("ALE/Pong-v5?mode=1", {"wind": 3}, "wind"),
        ("ALE/Pong-v5?mode=1", {"noop_max": "many"}, "noop_max='many': must be a whole number"),
        ("ALE/Pong-v5?mode=1", {"grayscale": 1}, "grayscale=1: must be true or false"),
        ("ALE/Pong-v5?mode=1", {"repeat_action_probability": 2.0}, "from 0 to 1"),
        ("ALE/Pong-v5?mode=1", {"img_height": 400}, "become smaller by area"),
        ("ALE/Pong-v5?mode=1", {"mode": 1}, "belongs to the id, such as ALE/Pong-v5?mode=1"),
        ("ALE/Pong-v5", {"difficulty": 1}, "belongs to the id, such as ALE/Pong-v5?difficulty=1"),
    ],
)
def test_options_are_refused_in_one_line(name, options, words):
    with pytest.raises(RecipeError) as caught:
        make_env(name, 1, options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plain_game_is_still_ales_own():
    from ale_py.vector_env import AtariVectorEnv

    assert type(make_under(protocol_of("ALE/Pong-v5"), 1)) is AtariVectorEnv


def test_what_a_game_has_is_known():
    assert list(allowed_switches("pong")["difficulty"]) == [0, 1, 2, 3]
