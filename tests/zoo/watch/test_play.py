"""`catzoo play` for Wordle: a race for one word, or the agent at yours; mistakes are asked again."""

from functools import partial

import numpy as np
import pytest
import torch

from catzoo.hparams import RecipeError, WordleRecipe
from catzoo.zoo.environments.wordle_rules import letters_of, words_of
from catzoo.zoo.watch import play_wordle
from catzoo.zoo.watch.play import play
from catzoo.zoo.watch.play_wordle import Guesser
from played_for_tests import played

RECIPE = WordleRecipe(env="wordle/40")


class Repeats:
    """Spells one word again and again."""

    def __init__(self, word):
        self.letters = letters_of([word])[0]
        self.network = torch.nn.Linear(1, 1)  # says where it is

    def act(self, observation):
        place = (int((observation > 0).sum()) - 1) % 10
        return torch.tensor([int(self.letters[place])])


def game(agent, lines, **options):
    """What is shown in a game in which these lines are typed."""
    play_it = partial(play_wordle.play, agent, RECIPE, **{"yours": False, "seed": 0} | options)
    return played(play_it, lines)


ANSWER = words_of(40)[np.random.default_rng(0).integers(40)]
WRONG = next(word for word in words_of(40) if word != ANSWER)


def test_you_win_the_race():
    shown = game(Repeats(WRONG), ["abc", "zzzzz", WRONG.upper(), ANSWER])
    assert "'abc': a guess has 5 letters" in shown
    assert "'zzzzz' is not one of the 40 words" in shown
    assert "You have it in 2." in shown


def test_the_agent_wins_the_race():
    shown = game(Repeats(ANSWER), [WRONG] * 6)
    assert "The agent has it in 1" in shown
    assert f"It was {ANSWER}." in shown
    assert shown.count("The agent has it") == 1
    before, _, after = shown.partition(f"It was {ANSWER}.")
    green = "48;2;106;170;100m"
    assert f"{green}   " in before  # its colours, without its letters
    assert not any(f"{green} {letter} " in before.split("the agent")[1] for letter in ANSWER.upper())
    assert all(f"{green} {letter} " in after for letter in ANSWER.upper())


def test_it_guesses_yours():
    shown = game(Repeats("graft"), ["gg", "-y--x", "-y---", "ggggg"], yours=True)
    assert shown.count("GRAFT: ") == 4
    assert shown.count("type 5 of g (green)") == 2
    assert "Found in 2." in shown
    assert "Not found in six guesses." in game(Repeats("graft"), ["-----"] * 6, yours=True)


def test_the_end_of_the_input_ends_the_game():
    assert "The game is over." in game(Repeats(WRONG), [])
    assert "The game is over." in game(Repeats(WRONG), ["quit", ANSWER])


def test_the_words_are_shown():
    shown = game(Repeats(WRONG), ["?", ANSWER])
    assert all(word in shown for word in words_of(40))
    assert "You have it in 1." in shown


def test_the_agent_sees_what_it_would_in_the_environment():
    guesser = Guesser(Repeats("graft"))
    assert guesser.guess().tolist() == letters_of(["graft"])[0].tolist()
    guesser.told(np.array([0, 1, 2, 0, 0], np.uint8))
    assert guesser.count == 11
    letters = letters_of(["graft"])[0].astype(int)
    assert guesser.tokens[0, 6:11].tolist() == (28 + 26 * np.array([0, 1, 2, 0, 0]) + letters).tolist()


def test_a_run_of_another_environment_is_refused():
    with pytest.raises(RecipeError, match="CartPole-v1 is no game to play with: chess/ and wordle/ are"):
        play("dqn-CartPole-v1-hl_gauss")


def test_only_wordle_guesses_yours():
    with pytest.raises(RecipeError, match="--yours is for Wordle"):
        play("chess-chess-random-hl_gauss", yours=True)
