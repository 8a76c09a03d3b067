"""How well an agent plays Wordle: every word is the answer once, and the best letter is always chosen.

The agent is deterministic, so that these games are the whole truth about it.

Legend: G games, one for each word.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from catzoo.hparams import Recipe
from catzoo.zoo.environments.wordle_rules import (
    COLOUR,
    GREEN,
    LENGTH,
    LETTER,
    LETTERS,
    START,
    TOKENS,
    TRIES,
    colours_of,
    letters_of,
    number_of_words,
    words_of,
)

AT_ONCE = 1_000
"""Games played side by side."""


def metrics(agent: Any, recipe: Recipe) -> dict[str, float]:
    """`success`, the share of answers found; `guesses`, their mean number with 7 for an answer not found.

    `contradictions`: the share of guesses after the first that cannot be the answer by what is known.
    `no_words`: the share of guesses that are not in the list. Of a network that may spell anything also
    `success_in_list`: answers found when its letters are held to the list.
    """
    found, network = _measured(agent, recipe), agent.network
    if getattr(network, "masked", True):
        return found
    network.masked = True
    try:
        return {**found, "success_in_list": _measured(agent, recipe)["success"]}
    finally:
        network.masked = False


def _measured(agent: Any, recipe: Recipe) -> dict[str, float]:
    words = words_of(number_of_words(recipe.env, recipe.env_options))
    letters = letters_of(words)
    device = next(agent.network.parameters()).device
    parts = [play(agent, letters[i : i + AT_ONCE], device) for i in range(0, len(letters), AT_ONCE)]
    guess, played, won = (np.concatenate([part[index] for part in parts]) for index in range(3))
    happened = np.arange(TRIES) < played[:, None]
    known = set(map(bytes, letters))
    no_word = np.array([[bytes(word) not in known for word in game] for game in guess])
    wrong = contradicts(guess, letters)
    later = happened[:, 1:]
    return {
        "success": float(won.mean()),
        "guesses": float(np.where(won, played, TRIES + 1).mean()),
        "contradictions": float(wrong[:, 1:][later].mean()) if later.any() else 0.0,
        "no_words": float(no_word[happened].mean()),
    }


def play(agent: Any, answer: np.ndarray, device: torch.device) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Games for answers [G, 5]: guesses [G, 6, 5], how many were played [G], and which were won [G]."""
    games = len(answer)
    tokens = np.zeros((games, TOKENS), np.uint8)
    tokens[:, 0] = START
    guess = np.zeros((games, TRIES, LENGTH), np.uint8)
    played, won = np.full(games, TRIES), np.zeros(games, bool)
    for turn in range(TRIES):
        first = 1 + turn * 2 * LENGTH
        for place in range(LENGTH):
            chosen = agent.act(torch.from_numpy(tokens).to(device)).cpu().numpy()
            guess[:, turn, place] = chosen
            tokens[:, first + place] = LETTER + chosen
        colour = colours_of(guess[:, turn], answer)
        tokens[:, first + LENGTH : first + 2 * LENGTH] = COLOUR + LETTERS * colour + guess[:, turn]
        now = ~won & (colour == GREEN).all(1)
        played[now] = turn + 1
        won |= now
    return guess, played, won


def contradicts(guess: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Which guesses [G, 6] cannot be the answer, by the colours of those before."""
    wrong = np.zeros(guess.shape[:2], bool)
    for turn in range(1, TRIES):
        for before in range(turn):
            shown = colours_of(guess[:, before], answer)
            wrong[:, turn] |= (colours_of(guess[:, before], guess[:, turn]) != shown).any(1)
    return wrong
