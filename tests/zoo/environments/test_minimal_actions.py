"""What a game's own actions are among its family's: the game does the same with them."""

import numpy as np
import pytest

from catzoo.zoo.environments.making import make_env
from catzoo.zoo.environments.minimal_actions import minimal_actions

MINATAR = {"Asterix": 5, "Breakout": 3, "Freeway": 3, "Seaquest": 6, "SpaceInvaders": 4}


def check_same(env, whole, steps):
    """Plays random actions in a game with its minimal set, and the same ones in the whole set."""
    numbers = np.array(minimal_actions(env))
    ours, theirs = make_env(env, 2), make_env(env, 2, whole)
    assert len(numbers) == ours.single_action_space.n
    assert numbers.max() < theirs.single_action_space.n
    assert np.array_equal(ours.reset(seed=1)[0], theirs.reset(seed=1)[0])
    random, seen = np.random.default_rng(0), set()
    for _ in range(steps):
        action = random.integers(len(numbers), size=2)
        mine, its = ours.step(action), theirs.step(numbers[action])
        assert all(np.array_equal(one, other) for one, other in zip(mine[:4], its[:4], strict=True))
        seen.add(mine[0].tobytes())
    assert len(seen) > steps // 4
    ours.close()
    theirs.close()


@pytest.mark.parametrize("game", MINATAR)
def test_minatar(game):
    pytest.importorskip("minatar")
    check_same(f"MinAtar/{game}-v1", {"use_minimal_action_set": False}, 200)


@pytest.mark.parametrize("env", ["ALE/Freeway-v5", "ALE/Breakout-v5", "ALE/Freeway-v5?mode=1"])
def test_atari(env):
    check_same(env, {"full_action_space": True}, 40)


def test_they_are_numbers_of_the_family():
    assert minimal_actions("ALE/Freeway-v5") == [0, 2, 5]  # still, up, down
    pytest.importorskip("minatar")
    assert {game: len(minimal_actions(f"MinAtar/{game}-v1")) for game in MINATAR} == MINATAR
    assert minimal_actions("MinAtar/Breakout-v1") == [0, 1, 3]  # still, left, right
    assert minimal_actions("MinAtar/Breakout-v0") == list(range(6))  # the whole set, as it is registered
