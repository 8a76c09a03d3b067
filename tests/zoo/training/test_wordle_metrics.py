"""What is measured of an agent that plays Wordle, by agents whose play is known."""

import types

import numpy as np
import pytest
import torch

from catzoo.hparams import WordleRecipe
from catzoo.zoo.environments.wordle_rules import COLOUR, LETTER, LETTERS, colours_of, letters_of, words_of
from catzoo.zoo.training.wordle_metrics import metrics

RECIPE = WordleRecipe(env="wordle/40")
ALL = letters_of(words_of(40))


class Spells:
    """Spells the word that a game of tokens [61] makes it think of."""

    network = torch.nn.Linear(1, 1)

    def __init__(self, think):
        self.think = think

    def act(self, observation):
        chosen = []
        for tokens in observation.numpy().astype(int):
            count = int((tokens > 0).sum())
            place = (count - 1) % 10
            chosen.append(int(self.think(tokens[: count - place])[place]))
        return torch.tensor(chosen)


def fitting(tokens):
    """The first word that fits the guesses of a game."""
    fits = np.ones(len(ALL), bool)
    for guess in tokens[1:].reshape(-1, 2, 5):
        letters, shown = guess[0] - LETTER, (guess[1] - COLOUR) // LETTERS
        same = colours_of(np.broadcast_to(letters.astype(np.uint8), ALL.shape), ALL) == shown
        fits &= same.all(1)
    return ALL[fits.argmax()]


def test_who_may_spell_anything_is_also_held_to_the_list():
    class Free(Spells):
        network = torch.nn.Linear(1, 1)

    agent = Free(lambda tokens: fitting(tokens) if agent.network.masked else np.zeros(5, int))
    agent.network.masked = False
    found = metrics(agent, RECIPE)
    assert (found["success"], found["no_words"]) == (0.0, 1.0)
    assert found["success_in_list"] == metrics(Spells(fitting), RECIPE)["success"]
    assert agent.network.masked is False


def test_who_fits_finds_nearly_all_and_contradicts_nothing():
    found = metrics(Spells(fitting), RECIPE)
    assert found["success"] > 0.9
    assert found["contradictions"] == found["no_words"] == 0
    assert 1 < found["guesses"] < 4


def test_who_repeats_a_word_finds_one_answer():
    found = metrics(Spells(lambda tokens: ALL[7]), RECIPE)
    assert found["success"] == pytest.approx(1 / 40)
    assert found["guesses"] == pytest.approx((1 + 39 * 7) / 40)
    assert found["contradictions"] == 1.0


def test_no_words_are_counted():
    assert metrics(Spells(lambda tokens: [0] * 5), RECIPE)["no_words"] == 1.0


def test_the_recipe_names_the_words():
    calls = []
    agent = types.SimpleNamespace(
        network=Spells.network, act=lambda seen: calls.append(len(seen)) or torch.zeros(len(seen)).long()
    )
    metrics(agent, WordleRecipe(env="wordle/200"))
    assert set(calls) == {200}
