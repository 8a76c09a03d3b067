"""Wordle with an agent in the terminal: both guess the same word, or the agent guesses yours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from catzoo.hparams import Recipe
from catzoo.zoo.environments.wordle import in_terminal, rows_of
from catzoo.zoo.environments.wordle_rules import (
    COLOUR,
    GREEN,
    GREY,
    LENGTH,
    LETTER,
    LETTERS,
    START,
    TOKENS,
    TRIES,
    YELLOW,
    colours_of,
    letters_of,
    number_of_words,
    words_of,
)

MARKS = {"g": GREEN, "y": YELLOW, "-": GREY}
"""What is typed for a colour."""
HELP, END = ("?", "help"), ("quit", "exit", "q")
Ask = Callable[[str], str]
Say = Callable[[str], None]


class Guesser:
    """An agent in the middle of a game."""

    def __init__(self, agent: Any) -> None:
        self.agent, self.device = agent, next(agent.network.parameters()).device
        self.tokens = np.zeros((1, TOKENS), np.uint8)
        self.tokens[0, 0] = START
        self.count = 1

    def guess(self) -> np.ndarray:
        """Its next word, as letters [5]."""
        for _ in range(LENGTH):
            self.tokens[0, self.count] = LETTER + int(
                self.agent.act(torch.from_numpy(self.tokens).to(self.device))
            )
            self.count += 1
        return self.tokens[0, self.count - LENGTH : self.count] - LETTER

    def told(self, colour: np.ndarray) -> None:
        """The colours [5] of that word."""
        letters = self.tokens[0, self.count - LENGTH : self.count] - LETTER
        self.tokens[0, self.count : self.count + LENGTH] = COLOUR + LETTERS * colour + letters
        self.count += LENGTH

    def board(self) -> str:
        """Its guesses so far, for a terminal."""
        return in_terminal(rows_of(self.tokens[0]))


def play(agent: Any, recipe: Recipe, *, yours: bool, seed: int | None, ask: Ask, say: Say) -> None:
    """A game until somebody wins, six guesses are made, or the input ends.

    Args:
        agent: of the recipe.
        recipe: names the list of words.
        yours: whether the agent guesses a word that you think of; else both guess one of the list.
        seed: chooses the word.
        ask: a prompt to what is typed; EOFError ends the game.
        say: shows text.
    """
    words = words_of(number_of_words(recipe.env, recipe.env_options))

    def answer(prompt: str) -> str:
        while (typed := ask(prompt).strip().lower()) in HELP:
            say(_in_columns(words))
        if typed in END:
            raise EOFError
        return typed

    try:
        if yours:
            _guess_yours(agent, len(words), answer, say)
        else:
            _race(agent, words, np.random.default_rng(seed), answer, say)
    except EOFError:
        say("\nThe game is over.")


def _in_columns(words: tuple[str, ...], columns: int = 10) -> str:
    """The list, ten words a line."""
    return "\n".join("  ".join(words[first : first + columns]) for first in range(0, len(words), columns))


def _race(agent: Any, words: tuple[str, ...], random: np.random.Generator, ask: Ask, say: Say) -> None:
    answer = words[random.integers(len(words))]
    target = letters_of([answer])
    say(f"I know one of {len(words):,} words of five letters. You and the agent have six guesses each.")
    say("? shows the words, quit ends the game.")
    guesser, agent_right, your_tokens = Guesser(agent), False, Guesser(agent)
    for turn in range(TRIES):
        word = _asked_word(words, f"guess {turn + 1}: ", ask, say)
        letters = letters_of([word])
        start = your_tokens.count
        your_tokens.tokens[0, start : start + LENGTH] = LETTER + letters[0]
        your_tokens.count += LENGTH
        your_tokens.told(colours_of(letters, target)[0])
        if not agent_right:
            colour = colours_of(guesser.guess()[None], target)[0]
            guesser.told(colour)
            agent_right = bool((colour == GREEN).all())
        say(f"you\n{your_tokens.board()}")
        say(f"the agent\n{_hidden(guesser, word == answer)}")
        if word == answer:
            say(f"You have it in {turn + 1}{', and so has the agent' if agent_right else ''}.")
            break
        if agent_right and turn + 1 == (guesser.count - 1) // (2 * LENGTH):
            say(f"The agent has it in {turn + 1}. Go on!")
    else:
        say(f"It was {answer}.")
    say(f"the agent's guesses\n{guesser.board()}")


def _hidden(guesser: Guesser, over: bool) -> str:
    """The agent's board; while you still guess, colours without letters."""
    rows = rows_of(guesser.tokens[0])
    return in_terminal(rows if over else [[(" ", colour) for _, colour in row] for row in rows])


def _guess_yours(agent: Any, number: int, ask: Ask, say: Say) -> None:
    say(f"Think of one of {number:,} words: ? shows them, quit ends the game.")
    say("After each guess type its colours: g, y or -, such as -gy--.")
    guesser = Guesser(agent)
    for turn in range(TRIES):
        word = "".join(chr(ord("A") + letter) for letter in guesser.guess().tolist())
        colour = _asked_colours(f"{word}: ", ask, say)
        guesser.told(colour)
        say(guesser.board())
        if (colour == GREEN).all():
            say(f"Found in {turn + 1}.")
            return
    say("Not found in six guesses.")


def _asked_word(words: tuple[str, ...], prompt: str, ask: Ask, say: Say) -> str:
    while True:
        word = ask(prompt)
        if word in words:
            return word
        if len(word) != LENGTH:
            say(f"{word or 'nothing'!r}: a guess has {LENGTH} letters")
        else:
            say(f"{word!r} is not one of the {len(words):,} words; ? shows them")


def _asked_colours(prompt: str, ask: Ask, say: Say) -> np.ndarray:
    while True:
        marks = ask(prompt)
        if len(marks) == LENGTH and set(marks) <= MARKS.keys():
            return np.array([MARKS[mark] for mark in marks], np.uint8)
        say(f"{marks or 'nothing'!r}: type {LENGTH} of g (green), y (yellow) and - (grey), such as -gy--")
