"""Wordle's words and rules, and games of it as tokens.

A game is 61 tokens: the start, and for each of six guesses five letters and then five colours. A colour's
token carries its letter, so that a network need not look back for it. What has not happened yet is 0.

Legend: G games, W words.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

LETTERS, TRIES, LENGTH = 26, 6, 5
CHOICES = TRIES * LENGTH
TOKENS = 1 + TRIES * 2 * LENGTH
"""Of a game."""
EMPTY, START, LETTER, COLOUR = 0, 1, 2, 28
"""Tokens: none yet, the beginning, the first of the letters, and the first of the colours."""
VOCABULARY = COLOUR + 3 * LETTERS
GREY, YELLOW, GREEN = range(3)
SIZES = (40, 200, 1_000, 4_667)
"""Numbers of words of the registered games; the smaller lists are parts of the larger ones."""
WORDS_FILE = Path(__file__).parents[1] / "data" / "words_5.txt"


@cache
def _all_words() -> tuple[str, ...]:
    return tuple(WORDS_FILE.read_text(encoding="ascii").split())


@cache
def words_of(number: int) -> tuple[str, ...]:
    """So many words, in the order of the alphabet: all of them, or a fixed random choice.

    Raises:
        ValueError: more than there are, or none.
    """
    words = _all_words()
    if not 0 < number <= len(words):
        raise ValueError(f"words={number} must be from 1 to {len(words)}")
    order = np.random.default_rng(5).permutation(len(words))
    return tuple(words[i] for i in sorted(order[:number]))


def number_of_words(env: str, options: Mapping[str, Any]) -> int:
    """Of an environment with such options."""
    return int(options.get("words", env.rpartition("/")[2]))


def letters_of(words: tuple[str, ...] | list[str]) -> np.ndarray:
    """Words as letters [W, 5], 0 to 25, uint8."""
    return np.frombuffer("".join(words).encode(), np.uint8).reshape(-1, LENGTH) - ord("a")


def colours_of(guess: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """The colours [G, 5] of guesses [G, 5] for answers [G, 5].

    Right places are green. Then, from left to right, a letter is yellow for each of its kind in the answer
    that is not green or yellow already.
    """
    colour = np.where(guess == answer, GREEN, GREY).astype(np.uint8)
    left = np.where(guess == answer, LETTERS, answer)  # letters of the answer that no guess has used
    for place in range(LENGTH):
        match = (left == guess[:, place, None]) & (colour[:, place, None] == GREY)
        hit = match.any(1)
        colour[hit, place] = YELLOW
        left[hit, match[hit].argmax(1)] = LETTERS
    return colour


@cache
def colour_table(number: int) -> np.ndarray:
    """The colours of every word for every answer [W, W], as numbers of base 3, uint8."""
    letters = letters_of(words_of(number))
    weight = 3 ** np.arange(LENGTH)
    table = np.empty((number, number), np.uint8)
    for index, guess in enumerate(letters):
        table[index] = colours_of(np.broadcast_to(guess, letters.shape), letters) @ weight
    return table


def tokens_of(guesses: np.ndarray, colours: np.ndarray, played: np.ndarray) -> np.ndarray:
    """Games [G, 61], uint8, of guesses and colours [G, 6, 5], of which the first `played` [G] happened."""
    letters = np.stack((LETTER + guesses, COLOUR + LETTERS * colours + guesses), 2)
    happened = np.arange(TRIES) < played[:, None]
    letters = np.where(happened[:, :, None, None], letters, EMPTY)
    start = np.full((len(guesses), 1), START)
    return np.concatenate((start, letters.reshape(len(guesses), -1)), 1).astype(np.uint8)
