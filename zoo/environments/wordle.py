"""Wordle as a Gymnasium environment: `wordle/200` has 200 words, any of which may be the answer.

A step is one letter of a guess. The reward is -1 for a wrong guess and 0 for the right one, with its last
letter; an episode ends with the right guess or the sixth wrong one, so that a return is from -6 to 0. Any
five letters are taken as a guess, and coloured as the real game colours a word.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from catzoo.zoo.environments.wordle_rules import (
    COLOUR,
    GREEN,
    LENGTH,
    LETTER,
    LETTERS,
    SIZES,
    START,
    TOKENS,
    TRIES,
    VOCABULARY,
    colours_of,
    letters_of,
    words_of,
)

TILES = ((120, 124, 126), (201, 180, 88), (106, 170, 100))
"""RGB of grey, yellow and green."""
BLANK, SIDE, GAP = (211, 214, 218), 56, 6
"""Of a tile that is empty; pixels of a tile and between two."""


def register_wordle() -> None:
    """Registers a game for each of `SIZES`."""
    for words in SIZES:
        if f"wordle/{words}" not in gym.registry:
            entry = f"{__name__}:{Wordle.__name__}"
            gym.register(f"wordle/{words}", entry_point=entry, kwargs={"words": words})


class Wordle(gym.Env[np.ndarray, int]):
    """One game at a time; see the module.

    Args:
        words: how many may be the answer.
        render_mode: `rgb_array` or `ansi`.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "ansi"], "render_fps": 5}  # noqa: RUF012

    def __init__(self, words: int = 200, render_mode: str | None = None) -> None:
        self.words, self.render_mode = words_of(words), render_mode
        self.letters = letters_of(self.words)
        self.observation_space = gym.spaces.Box(0, VOCABULARY - 1, (TOKENS,), np.uint8)
        self.action_space = gym.spaces.Discrete(LETTERS)
        self.tokens = np.zeros(TOKENS, np.uint8)
        self.answer, self.count = 0, 0

    def get_action_meanings(self) -> list[str]:
        """The letters."""
        return [chr(ord("A") + letter) for letter in range(LETTERS)]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new game; `options={"answer": WORD}` chooses the answer."""
        super().reset(seed=seed)
        chosen = (options or {}).get("answer")
        self.answer = (
            int(self.np_random.integers(len(self.words))) if chosen is None else self.words.index(chosen)
        )
        self.tokens[:] = 0
        self.tokens[0], self.count = START, 1
        return self.tokens.copy(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One letter, from 0 to 25; ValueError for another number."""
        if not 0 <= action < LETTERS:
            raise ValueError(f"action {action}: must be a letter, from 0 to {LETTERS - 1}")
        self._append(LETTER + int(action))
        if (self.count - 1) % (2 * LENGTH) != LENGTH:
            return self.tokens.copy(), 0.0, False, False, {}
        guess = self.tokens[self.count - LENGTH : self.count].astype(np.int64) - LETTER
        colour = colours_of(guess[None], self.letters[self.answer][None])[0]
        for kind, letter in zip(colour.tolist(), guess.tolist(), strict=True):
            self._append(COLOUR + LETTERS * kind + letter)
        right = bool((colour == GREEN).all())
        over = right or self.count == TOKENS
        return self.tokens.copy(), 0.0 if right else -1.0, over, False, {"success": right}

    def _append(self, token: int) -> None:
        self.tokens[self.count] = token
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        """The game and the random stream, for a checkpoint."""
        random = self.np_random.bit_generator.state
        return {"tokens": self.tokens.copy(), "answer": self.answer, "count": self.count, "random": random}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores them."""
        self.tokens[:] = state["tokens"]
        self.answer, self.count = int(state["answer"]), int(state["count"])
        self.np_random.bit_generator.state = state["random"]

    def rows(self) -> list[list[tuple[str, int | None]]]:
        """The guesses so far: letters with their colours, None where there is none yet."""
        return rows_of(self.tokens)

    def render(self) -> Any:
        """The tiles as a picture [H, W, 3], or as text."""
        if self.render_mode == "ansi":
            return in_terminal(self.rows())
        return picture_of(self.rows()) if self.render_mode == "rgb_array" else None


def rows_of(tokens: np.ndarray) -> list[list[tuple[str, int | None]]]:
    """The guesses of a game [61]: letters with their colours, None where there is none yet."""
    found = []
    for guess in np.asarray(tokens[1:], np.int64).reshape(TRIES, 2, LENGTH):
        letters, colours = guess
        row: list[tuple[str, int | None]] = [
            (chr(ord("A") + letter - LETTER), (colour - COLOUR) // LETTERS if colour else None)
            for letter, colour in zip(letters.tolist(), colours.tolist(), strict=True)
            if letter
        ]
        found += [row] if row else []
    return found


def in_terminal(rows: list[list[tuple[str, int | None]]]) -> str:
    """Rows of letters on coloured ground, for a terminal."""
    lines = []
    for row in rows:
        cells = []
        for letter, colour in row:
            red, green, blue = BLANK if colour is None else TILES[colour]
            ink = "30" if colour is None else "97"
            cells.append(f"\033[{ink};48;2;{red};{green};{blue}m {letter} \033[0m")
        lines.append(" ".join(cells))
    return "\n".join(lines)


def picture_of(rows: list[list[tuple[str, int | None]]]) -> np.ndarray:
    """Tiles of six guesses, uint8 [H, W, 3]."""
    from PIL import Image, ImageDraw, ImageFont

    step = SIDE + GAP
    image = Image.new("RGB", (LENGTH * step + GAP, TRIES * step + GAP), (255, 255, 255))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(34)
    for line in range(TRIES):
        row = rows[line] if line < len(rows) else []
        for place in range(LENGTH):
            letter, colour = row[place] if place < len(row) else ("", None)
            left, top = GAP + place * step, GAP + line * step
            box = (left, top, left + SIDE - 1, top + SIDE - 1)
            if colour is None:
                draw.rectangle(box, outline=BLANK, width=2)
            else:
                draw.rectangle(box, fill=TILES[colour])
            ink = (0, 0, 0) if colour is None else (255, 255, 255)
            draw.text((left + SIDE / 2, top + SIDE / 2), letter, ink, font, anchor="mm")
    return np.asarray(image)
