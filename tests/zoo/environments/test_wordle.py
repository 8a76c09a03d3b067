"""Wordle's rules and environment: colours as the real game has them, and games as tokens."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catzoo.agents.collecting.simulators import restore_simulator, simulator_state
from catzoo.hparams import RecipeError
from catzoo.zoo.environments.making import make_env
from catzoo.zoo.environments.wordle import Wordle
from catzoo.zoo.environments.wordle_rules import (
    GREEN,
    GREY,
    SIZES,
    TRIES,
    YELLOW,
    colour_table,
    colours_of,
    letters_of,
    tokens_of,
    words_of,
)

WORD = st.lists(st.integers(0, 2), min_size=5, max_size=5)
"""Of few letters, so that they repeat."""


def textbook(guess, answer):
    """The rules, letter by letter."""
    left = list(answer)
    colours = [GREY] * 5
    for i in range(5):
        if guess[i] == answer[i]:
            colours[i] = GREEN
            left.remove(guess[i])
    for i in range(5):
        if colours[i] == GREY and guess[i] in left:
            colours[i] = YELLOW
            left.remove(guess[i])
    return colours


@given(st.lists(st.tuples(WORD, WORD), min_size=1, max_size=8))
def test_colours_are_the_real_games(pairs):
    guess, answer = (np.array(side, np.uint8) for side in zip(*pairs, strict=True))
    found = colours_of(guess, answer)
    assert found.tolist() == [textbook(*pair) for pair in pairs]


def test_the_table_has_all_pairs():
    words = words_of(40)
    table, letters = colour_table(40), letters_of(words)
    for i, j in ((0, 0), (3, 17), (39, 2)):
        digits = table[i, j] // 3 ** np.arange(5) % 3
        assert digits.tolist() == textbook(letters[i].tolist(), letters[j].tolist())


def test_smaller_lists_are_parts_of_larger_ones():
    lists = [set(words_of(size)) for size in SIZES]
    assert [len(words) for words in lists] == list(SIZES)
    assert all(one < other for one, other in pairwise(lists))
    with pytest.raises(ValueError, match="words=5000 must be from 1 to 4667"):
        words_of(5_000)


def spell(env, word):
    for letter in letters_of([word])[0]:
        found = env.step(np.array([letter]))
    return found


def test_a_game_is_its_tokens():
    env = make_env("wordle/40", 1)
    env.reset(seed=0, options={"answer": "graft"})
    guesses = ["stray", "haven", "graft"]
    for word in guesses:
        observation, reward, terminated, truncated, infos = spell(env, word)
        right = word == "graft"
        assert (reward[0], terminated[0], truncated[0]) == (0.0 if right else -1.0, right, False)
    letters = np.zeros((1, TRIES, 5), np.int64)
    letters[0, :3] = letters_of(guesses)
    target = np.broadcast_to(letters_of(["graft"]), (TRIES, 5))
    wanted = tokens_of(letters, colours_of(letters[0], target)[None].astype(np.int64), np.array([3]))
    assert np.array_equal(infos["final_obs"][0], wanted[0])
    assert observation[0].tolist() == [1] + [0] * 60  # the next game


def test_six_wrong_guesses_end_it():
    env = make_env("wordle/40", 1)
    env.reset(seed=0, options={"answer": "graft"})
    total, over = 0.0, False
    for _ in range(6):
        assert not over
        _, reward, terminated, _, _ = spell(env, "stray")
        total, over = total + reward[0], terminated[0]
    assert (total, over) == (-6.0, True)


def test_it_goes_on_in_mid_game():
    env, other = make_env("wordle/200", 3), make_env("wordle/200", 3)
    env.reset(seed=1)
    other.reset(seed=2)
    actions = np.random.default_rng(0).integers(26, size=(60, 3))
    for action in actions[:23]:
        env.step(action)
    restore_simulator(other, simulator_state(env))
    for action in actions[23:]:
        one, again = env.step(action), other.step(action)
        assert all(np.array_equal(a, b) for a, b in zip(one[:4], again[:4], strict=True))


def test_it_is_drawn():
    env = make_env("wordle/40", 1, render_mode="rgb_array")
    env.reset(seed=0, options={"answer": "graft"})
    spell(env, "stray")
    picture = env.render()[0]
    assert picture[12, 12].tolist() == [120, 124, 126]  # S is grey
    assert picture[12, 80].tolist() == [201, 180, 88]  # T is yellow
    text = make_env("wordle/40", 1, render_mode="ansi")
    text.reset(seed=0)
    spell(text, "stray")
    assert " S " in text.render()[0]


def test_another_size_is_refused():
    with pytest.raises(RecipeError, match=r"unknown environment wordle/20\b.*wordle/200"):
        make_env("wordle/20", 1)


@pytest.mark.parametrize("action", [-1, 26])
def test_what_is_no_letter_is_refused(action):
    env = Wordle(40)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=f"action {action}: must be a letter, from 0 to 25"):
        env.step(action)
