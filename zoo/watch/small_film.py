"""`small_film`: the beginning of an episode as a film small enough for a page with many of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from PIL import Image

from catzoo.hparams.paths import Typed
from catzoo.zoo.pictures import style
from catzoo.zoo.training.torch_state import own_torch
from catzoo.zoo.training.weights import open_agent
from catzoo.zoo.watch.film import check_film, encode_mp4, play_run, publish_film
from catzoo.zoo.watch.step_picture import Caption, Episode, Picture

LOOK = 1
"""Another number: films of before are to be made again."""
WIDTH = 960
"""Pixels: sharp on a screen with many, where the page shows it half as wide."""
FPS = (4, 20)
"""Slowest and fastest: a game of moves is hurried, and fast physics skipped through at its own speed."""
HOLD = 1.0
"""Seconds for which an episode's end stays."""
MOST_STEPS = 3000
"""Of an episode that does not end."""
ENCODER = ("-crf", "32", "-preset", "slower", "-tune", "animation")
POSTER_QUALITY = 60
WORDS = {
    "Value distribution of the chosen action": "Value distribution",
    "Value distribution of the state": "Value distribution",
    "Value over the episode": "",
    "Q of every action": "Q",
    "Probability of every action": "Probabilities",
    "return that followed": "followed",
    "other actions": "others",
}
"""What is said shorter here."""
LEFT, TOP, BESIDE = 16, 40, 52
"""Where the frame begins, and how far from it the axes are."""


class SmallPicture(Picture):
    """As `Picture`, on half the room: type is twice as large, and what the page says is not said again."""

    units, foot, edge = (680, 400), 34, 0.16

    def __init__(self, episode: Episode, caption: Caption, width: int, shown: int) -> None:
        """Takes the number of steps of which there are pictures, too."""
        self.shown = shown
        self.alone = len(episode.values[0]) == 1 and not (episode.numbers or episode.chances)
        """Whether only what was chosen is known: there is nothing to compare it with."""
        super().__init__(episode, caption, width)

    def _compose(self) -> None:
        self.figure = style.new_figure(*self.units, self.scale)
        column, height = self._place_frame(LEFT, TOP, (300, 344 if self.alone else 216))
        right = LEFT + column + BESIDE
        rest = self.units[0] - right - 20
        self._compose_counts()
        if not self.alone:
            self._compose_actions(LEFT, TOP + height + 72, column)
        if self.caption.edges is None:
            self._compose_curve(right, 46, rest, 300)
        else:
            self._compose_distribution(right, 66, rest, 136)
            self._compose_curve(right, 284, rest, 70)

    def _compose_counts(self) -> None:
        numbers = []
        for word, x, room in (("step", LEFT, 40), ("return", LEFT + 108, 56)):
            self._text(x, 26, word, moving=False, color=style.MUTED, size=10.5)
            numbers.append(self._text(x + room, 26, size=13, weight="bold"))
        self.step_text, self.score_text = numbers

    def _compose_actions(self, left: float, top: float, width: float) -> None:
        super()._compose_actions(left, top, width)
        for text in self.q_texts:  # a letter's number is wider than its bar
            x, y = text.get_position()
            text.set_position((max(x, (left + 20) / self.units[0]), y))

    def _compose_distribution(self, left: float, top: float, width: float, height: float) -> None:
        super()._compose_distribution(left, top, width, height)
        self.distribution.set(xlabel="value", ylabel="")

    def _compose_curve(self, left: float, top: float, width: float, height: float) -> None:
        super()._compose_curve(left, top, width, height)
        self.curve.set_xlim(0, max(self.shown, 2))

    def _set_actions(self, t: int) -> None:
        if not self.alone:
            super()._set_actions(t)

    def _text(self, x: float, y: float, words: str = "", moving: bool = True, **options: Any) -> Artist:
        return super()._text(x, y, WORDS.get(words, words), moving, **options)

    def _note(self, right: float, top: float, words: str) -> None:
        """Has no room."""


@own_torch()
def small_film(
    run: Typed,
    out: Path,
    poster: Path,
    *,
    seconds: float = 6.0,
    seed: int = 0,
    trust: bool = False,
) -> dict[str, Any]:
    """Films the beginning of one episode of the greedy policy of a finished run, and takes a still of it.

    Args:
        run: the run's folder, or the name of one of the zoo's own trained agents.
        out: an .mp4 file; replaced when complete.
        poster: a .webp file, the still.
        seconds: of the film, at most, but for the end of the episode, which stays for a moment.
        seed: of the episode.
        trust: see `load_agent`.

    Returns:
        `steps` and `return` (undiscounted, unclipped) of the whole episode, `shown`: how many the film shows.

    Raises:
        RecipeError: see `watch`.
    """
    check_film(out)
    recipe, agent = open_agent(run, best=False, trust=trust)
    episode, caption, own_fps = play_run(
        recipe, agent, seed, MOST_STEPS, drawn=lambda fps: drawn_steps(fps, seconds)
    )
    steps = drawn_steps(own_fps, seconds)
    steps = range(0, min(len(episode), steps.stop), steps.step)
    picture, fps = SmallPicture(episode, caption, WIDTH, steps.stop), _speed(own_fps)
    still = Image.fromarray(picture(steps[len(steps) // 2]))
    content = io.BytesIO()
    still.save(content, "webp", quality=POSTER_QUALITY, method=6)

    def pictures() -> Iterator[np.ndarray]:
        yield from map(picture, steps)
        if steps.stop == len(episode):
            end = picture(steps.stop - 1, over=True)
            yield from (end for _ in range(round(fps * HOLD)))

    publish_film(out, lambda file: encode_mp4(file, pictures(), still.size, fps, ENCODER))
    publish_film(poster, lambda file: file.write_bytes(content.getvalue()))
    return {"steps": len(episode), "return": sum(episode.rewards), "shown": steps.stop}


def drawn_steps(own_fps: int, seconds: float) -> range:
    """The steps that a film has pictures of, if the episode is as long."""
    every = -(-own_fps // FPS[1])
    return range(0, max(round(seconds * _speed(own_fps)), 1) * every, every)


def _speed(own_fps: int) -> float:
    """Pictures a second, so that time runs as it does there."""
    return max(own_fps / -(-own_fps // FPS[1]), FPS[0])
