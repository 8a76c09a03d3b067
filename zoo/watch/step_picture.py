"""The picture of one step: what the agent sees, what it believes, and what then came.

Everything that stays is drawn once; a picture restores it and draws the rest on top. Axes are fixed by the
whole episode, so nothing jumps. Lengths are in units of a picture 1280 units wide.

Legend: T steps, A actions, K outputs per value, M numbers of a continuous action.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image, ImageDraw

from catzoo.zoo.pictures import style
from catzoo.zoo.system.digits import digits_of, typeset

WIDTH, HEIGHT = 1280, 720
MARGIN, TOP = 44, 116
FRAME_BOX = (560, 400)
"""The most room that the environment's own frame takes."""
KNOWN_TAIL = 0.02
"""A return is known once what a cut-off episode hides weighs less than this."""


@dataclass
class Episode:
    """One greedy episode: T frames, outputs [T, A, K], Q [T, A], actions and rewards [T], numbers [T, M]."""

    frames: list[tuple[tuple[int, ...], bytes]] = field(default_factory=list)
    """Of each its shape, and what it is packed."""
    shape: tuple[int, ...] = ()
    """[H, W, 3] that holds each of them."""
    outputs: list[np.ndarray] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    numbers: list[np.ndarray] = field(default_factory=list)
    """Of a continuous action, in ±1; it is the only one that is valued then (A = 1)."""
    chances: list[np.ndarray] = field(default_factory=list)
    """Of a policy that chooses by itself, of each action; only the state is valued then (A = 1)."""
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False

    def add_frame(self, frame: np.ndarray) -> None:
        """Keeps a frame, packed: three thousand raw ones would be gigabytes."""
        self.shape = tuple(map(max, self.shape or frame.shape, frame.shape))
        self.frames.append((frame.shape, zlib.compress(np.ascontiguousarray(frame).tobytes(), 1)))

    def frame(self, t: int) -> np.ndarray:
        """The frame [H, W, 3] before action t; one that is smaller than others in the middle, on white."""
        shape, packed = self.frames[t]
        frame = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape)
        before = [(most - own) // 2 for most, own in zip(self.shape, shape, strict=True)]
        after = [most - own - some for most, own, some in zip(self.shape, shape, before, strict=True)]
        return np.pad(frame, list(zip(before, after, strict=True)), constant_values=255)

    def __len__(self) -> int:
        return len(self.actions)

    def returns(self, gamma: float, clip: float | None) -> np.ndarray:
        """The discounted return [T] that followed each step, NaN where the episode's cut hides it."""
        rewards = np.asarray(self.rewards, dtype=np.float64)
        if clip is not None:
            rewards = rewards.clip(-clip, clip)
        following = np.zeros(len(self) + 1)
        for t in reversed(range(len(self))):
            following[t] = rewards[t] + gamma * following[t + 1]
        left = gamma ** np.arange(len(self), 0, -1)
        return np.where(self.terminated | (left < KNOWN_TAIL), following[:-1], np.nan)


@dataclass(frozen=True)
class Caption:
    """The words of a picture, and what the values mean."""

    title: str
    subtitle: str
    actions: Sequence[str]
    gamma: float
    clip: float | None = None
    of_states: bool = False
    """Whether a value is that of a state."""
    edges: np.ndarray | None = None
    """Bin edges [K+1] of the support; None for a value that is one number."""


class Picture:
    """Pictures of an episode, uint8 [height, width, 3].

    Args:
        episode: what happened.
        caption: what to write on it.
        width: in pixels; the height follows, and both are even.
    """

    units, foot, edge = (WIDTH, HEIGHT), 62, 0.07
    """Size in units, room below the bars of actions, share of an axis that half a number takes."""

    def __init__(self, episode: Episode, caption: Caption, width: int = WIDTH) -> None:
        self.episode, self.caption, self.scale = episode, caption, width / self.units[0]
        self.chosen = np.asarray(episode.actions)
        self.valued = "state" if caption.of_states else "chosen action"
        self.values = np.asarray(episode.values, dtype=np.float64)
        self.value = self.values[np.arange(len(episode)), self.chosen]
        self.followed = episode.returns(caption.gamma, caption.clip)
        self.score = np.concatenate([[0.0], np.cumsum(episode.rewards)])
        self.digits = _digits(self.values)
        self.score_digits = 0 if _whole(self.score) else digits_of(self.score.tolist())
        self._moving: list[tuple[Axes | None, Artist]] = []
        self.width, self.height = width, round(self.units[1] * self.scale)
        with style.styled():
            self._compose()
            self.canvas = FigureCanvasAgg(self.figure)
            self.canvas.draw()
            self._still = self.canvas.copy_from_bbox(self.figure.bbox)

    def __call__(self, t: int, *, over: bool = False) -> np.ndarray:
        """The picture before action t, or `over`: after it."""
        self.canvas.restore_region(self._still)
        self._set_words(t, over)
        self._set_actions(t)
        self._set_curve(t)
        if self.caption.edges is not None:
            self._set_distribution(t)
        for axes, artist in self._moving:
            (axes or self.figure).draw_artist(artist)
        # Pillow drops the alpha channel several times faster than a strided copy.
        picture = Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")
        left, top, width, height = self.box
        picture.paste(fit(self.episode.frame(t), width, height), (left, top))
        border = (left - 1, top - 1, left + width, top + height)
        ImageDraw.Draw(picture).rectangle(border, outline=style.LINE)
        return np.asarray(picture)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self(t) for t in range(len(self.episode)))

    # --- what stays ---

    def _compose(self) -> None:
        self.figure = style.new_figure(*self.units, self.scale)
        column, height = self._place_frame(MARGIN, TOP, FRAME_BOX)
        right = MARGIN + column + 84
        rest = WIDTH - right - MARGIN
        self._compose_head()
        self._compose_actions(MARGIN, TOP + height + 82, column)
        if self.caption.edges is None:
            self._compose_curve(right, TOP + 56, rest, 478)
        else:
            self._compose_distribution(right, TOP + 56, rest, 236)
            self._compose_curve(right, TOP + 398, rest, 136)

    def _place_frame(self, left: float, top: float, most: tuple[float, float]) -> tuple[float, float]:
        """Gives the frame its place; returns the width of its column, and its own height."""
        height, width = self.episode.shape[:2]
        zoom = min(most[0] / width, most[1] / height)
        column = max(width * zoom, 0.8 * most[0])
        box = (left + (column - width * zoom) / 2, top, width * zoom, height * zoom)
        self.box = tuple(max(round(self.scale * length), 1) for length in box)
        """The frame's place in pixels: left, top, width, height."""
        return column, height * zoom

    def _text(self, x: float, y: float, words: str = "", moving: bool = True, **options: Any) -> Artist:
        x, y = self._at(x, y)
        text = self.figure.text(x, y, words, **{"va": "baseline", "animated": moving, **options})
        if moving:
            self._moving.append((None, text))
        return text

    def _at(self, x: float, y: float) -> tuple[float, float]:
        """A place as a share of the figure, on a whole pixel: letters between two are blurred."""
        return round(x * self.scale) / self.width, 1 - round(y * self.scale) / self.height

    def _add(self, axes: Axes, *artists: Artist) -> None:
        for artist in artists:
            artist.set_animated(True)
            self._moving.append((axes, artist))

    def _compose_head(self) -> None:
        self._text(MARGIN, 52, self.caption.title, moving=False, size=20, weight="bold")
        self._text(MARGIN, 82, self.caption.subtitle, moving=False, color=style.MUTED, size=12)
        numbers = []
        for word, x in (("step", WIDTH - MARGIN - 150), ("return", WIDTH - MARGIN)):
            self._text(x, 82, word, moving=False, color=style.MUTED, size=12, ha="right")
            numbers.append(self._text(x, 58, size=22, weight="bold", ha="right"))
        self.step_text, self.score_text = numbers

    def _heading(self, axes: Axes, words: str, top: float) -> None:
        left = axes.get_position().x0 * self.units[0]
        self._text(left, top, words, moving=False, weight="bold", size=12.5)

    def _note(self, right: float, top: float, words: str) -> None:
        self._text(right, top, words, moving=False, color=style.MUTED, size=10, ha="right")

    def _compose_actions(self, left: float, top: float, width: float) -> None:
        numbers, chances = self.episode.numbers, self.episode.chances
        count = len((numbers or chances or self.values)[0])
        axes = style.place(self.figure, left, top, width, self.units[1] - top - self.foot)
        words = ("Q of every action", "bars: relative to their mean")
        if numbers or chances:
            chance = ("Probability of every action", "bars: from 0 to 1")
            words = chance if chances else ("Action", "bars: from −1 to 1")
        self._heading(axes, words[0], top - 40)
        self._note(left + width, top - 40, words[1])
        deviation = self.values - self.values.mean(axis=1, keepdims=True)
        # The rare step where everything is at stake would flatten the bars of all others.
        self.most = 1.0 if numbers or chances else max(1.15 * _quantile(np.abs(deviation), 0.9), 1e-6)
        axes.set(xlim=(-0.5, count - 0.5), ylim=(0.0 if chances else -self.most, self.most), yticks=[])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.axhline(0, color=style.LINE, lw=1)
        axes.set_xticks(range(count), self.caption.actions)
        longest = max((len(line) for name in self.caption.actions for line in name.split("\n")), default=1)
        room = width / count / max(longest, 1)
        axes.tick_params(axis="x", length=0, pad=4, labelsize=min(11.0, max(7.0, 1.1 * room)))
        self.action_bars = PolyCollection([], linewidths=0)
        axes.add_collection(self.action_bars, autolim=False)
        self._add(axes, self.action_bars)
        self.q_texts = []
        self.crowded = width / count < 44
        self.half_bar = min(0.34, 50 * count / width)
        for a in range(count):
            x = left + width * (a + 0.5) / count
            self.q_texts.append(self._text(x, top - 10, ha="center", size=10.5 if count > 5 else 11.5))

    def _compose_distribution(self, left: float, top: float, width: float, height: float) -> None:
        axes = self.distribution = style.place(self.figure, left, top, width, height)
        edges = self.caption.edges
        whose = f" of the {self.valued}" if width >= 460 else ""  # or it would run into the note
        self._heading(axes, f"Value distribution{whose}", top - 40)
        self.probs = softmax(np.asarray(self.episode.outputs)[np.arange(len(self.episode)), self.chosen])
        first, last = visible_bins(self.probs, self.followed, edges)
        note = f"{len(edges) - 1} bins on [{edges[0]:.4g}, {edges[-1]:.4g}]".replace("-", "\N{MINUS SIGN}")
        self._note(left + width, top - 40, note)
        axes.set(xlim=(edges[first], edges[last + 1]), ylim=(0, 1.08 * max(_quantile(self.probs, 1.0), 1e-6)))
        axes.set_xlabel("value (discounted return)")
        axes.set_ylabel("probability")
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="y")
        axes.tick_params(length=0, pad=5)
        self.prob_bars = PolyCollection([], facecolors=style.BLUE, linewidths=0)
        axes.add_collection(self.prob_bars, autolim=False)
        (self.value_line,) = axes.plot([], [], color=style.ORANGE, lw=2.5, solid_capstyle="butt")
        (self.followed_mark,) = axes.plot([], [], color=style.GREEN, lw=1.8, ls=(0, (4, 2)))
        self._add(axes, self.prob_bars, self.followed_mark, self.value_line)
        self.value_text = self._text(left, top - 8, ha="center", color=style.ORANGE, weight="bold", size=12)
        self.value_range = (left, top - 8, width)

    def _compose_curve(self, left: float, top: float, width: float, height: float) -> None:
        axes = self.curve = style.place(self.figure, left, top, width, height)
        every = self.caption.edges is None
        self._heading(axes, "Value over the episode", top - (40 if every else 22))
        self._curve_key(left + width, top - (14 if every else 22))
        shown = np.concatenate([(self.values if every else self.value).ravel(), self.followed])
        axes.set_ylim(*_limits(shown, 0.0 if every else 2 * float(np.diff(self.caption.edges[:2])[0])))
        axes.set_xlim(0, max(len(self.episode), 2))
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4 if height < 200 else 7))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}".replace("-", "\N{MINUS SIGN}")))
        axes.grid(axis="y")
        axes.tick_params(length=0, pad=5)
        self.other_lines = axes.plot(*[[]] * 2 * self.values.shape[1] * every, color=style.LINE, lw=1.2)
        (self.followed_line,) = axes.plot([], [], color=style.GREEN, lw=1.6, ls=(0, (4, 2)))
        (self.chosen_line,) = axes.plot([], [], color=style.ORANGE, lw=2)
        (self.head,) = axes.plot([], [], "o", ms=7, color=style.ORANGE, mec="white", mew=1.2, clip_on=False)
        self._add(axes, *self.other_lines, self.followed_line, self.chosen_line, self.head)

    def _curve_key(self, right: float, y: float) -> None:
        words = [(self.valued, style.ORANGE)]
        if self.caption.edges is None and self.values.shape[1] > 1:
            words.insert(0, ("other actions", style.MUTED))
        if np.isfinite(self.followed).any():
            words.insert(0, ("return that followed", style.GREEN))
        for word, color in words:
            text = self._text(right, y, word, moving=False, color=color, size=10, weight="bold", ha="right")
            right -= text.get_window_extent().width / self.scale + 18

    # --- what moves ---

    def _set_words(self, t: int, over: bool) -> None:
        self.step_text.set_text(f"{t + over:,}")
        self.score_text.set_text(typeset(self.score[t + over], self.score_digits))

    def _set_actions(self, t: int) -> None:
        shown, chosen, digits = self.episode.numbers or self.episode.chances, self.chosen[t], self.digits
        values = (shown or self.values)[t]
        if shown:
            height, chosen, digits = values, np.abs(values).argmax(), 2
        else:
            height = (values - values.mean()).clip(-self.most, self.most)
        centers = np.arange(len(values))
        self.action_bars.set_verts(
            _bars(centers - self.half_bar, centers + self.half_bar, np.zeros(len(values)), height)
        )
        self.action_bars.set_facecolor([style.ORANGE if a == chosen else style.LINE for a in centers])
        for a, text in enumerate(self.q_texts):
            text.set_text("" if self.crowded and a != chosen else typeset(values[a], digits))
            text.set_color(style.ORANGE if a == chosen else style.MUTED)

    def _set_distribution(self, t: int) -> None:
        edges, axes = self.caption.edges, self.distribution
        gap = 0.1 * (edges[1:] - edges[:-1])
        probs = self.probs[t]
        self.prob_bars.set_verts(_bars(edges[:-1] + gap, edges[1:] - gap, np.zeros(len(probs)), probs))
        low, high = axes.get_xlim()
        self.value_line.set_data([self.value[t]] * 2, axes.get_ylim())
        letter = "V" if self.caption.of_states else "Q"
        self.value_text.set_text(f"{letter} = {typeset(self.value[t], self.digits)}")
        left, y, width = self.value_range
        share = np.clip((np.nan_to_num(self.value[t]) - low) / (high - low), self.edge, 1 - self.edge)
        self.value_text.set_position(self._at(left + width * share, y))
        self.followed_mark.set_data([self.followed[t]] * 2, axes.get_ylim())

    def _set_curve(self, t: int) -> None:
        steps = np.arange(t + 1)
        for a, line in enumerate(self.other_lines):
            line.set_data(steps, self.values[: t + 1, a])
        self.chosen_line.set_data(steps, self.value[: t + 1])
        self.followed_line.set_data(steps, self.followed[: t + 1])
        self.head.set_data([t], [self.value[t]])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [..., K] of logits [..., K]."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def visible_bins(probs: np.ndarray, values: np.ndarray, edges: np.ndarray) -> tuple[int, int]:
    """First and last bin worth showing: where probabilities [T, K] or values [T] ever are, and some room."""
    count = probs.shape[1]
    inside = values[(values >= edges[0]) & (values <= edges[-1])]
    visited = np.searchsorted(edges, inside, side="right").clip(1, count) - 1
    used = np.union1d(np.flatnonzero(np.nan_to_num(probs).max(axis=0) > 0.004), visited)
    first, last = (int(used[0]), int(used[-1])) if len(used) else (0, count - 1)
    room = max(2, math.ceil((20 - (last - first)) / 2))
    first, last = max(first - room, 0), min(last + room, count - 1)
    # More than half of the support: show all of it.
    return (0, count - 1) if last - first > 0.6 * count else (first, last)


def fit(frame: np.ndarray, width: int, height: int) -> Image.Image:
    """The frame at another size: small ones keep their sharp pixels."""
    image = Image.fromarray(frame)
    times = math.ceil(max(width / image.width, height / image.height))
    if times > 1:
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    return image.resize((width, height), Image.Resampling.BOX)


def palette() -> list[tuple[int, ...]]:
    """The colours that the picture's own lines and letters need, with their soft edges, for a GIF."""
    colors: list[tuple[int, ...]] = [(255, 255, 255)]
    for name in (style.ORANGE, style.BLUE, style.GREEN, style.INK, style.MUTED, style.LINE, style.GRID):
        for alpha in (1.0, 0.75, 0.5, 0.25):
            blend = 255 * (alpha * np.array(to_rgb(name)) + 1 - alpha)
            colors.append(tuple(int(c) for c in blend.round()))
    return colors


def _bars(left: np.ndarray, right: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Corners [N, 4, 2] of N upright bars."""
    return np.stack(
        [np.stack([left, right, right, left], axis=1), np.stack([low, low, high, high], axis=1)], axis=2
    )


def _quantile(values: np.ndarray, q: float) -> float:
    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, q)) if finite.size else 1.0


def _limits(values: np.ndarray, least: float) -> tuple[float, float]:
    """Axis limits around the finite values, at least so far apart that noise stays small."""
    low, high = _quantile(values, 0.0), _quantile(values, 1.0)
    span = max(1.14 * (high - low), least, 0.02 * abs(high), 1e-3)
    return (low + high - span) / 2, (low + high + span) / 2


def _digits(values: np.ndarray) -> int:
    """Decimals that show values [T, A] to three digits, and mostly the difference between actions too."""
    most = max(abs(_quantile(values, 0.0)), abs(_quantile(values, 1.0)), 1e-6)
    gap = max(_quantile(values.max(axis=1) - values.min(axis=1), 0.5), 1e-3 * min(most, 1))
    three = 2 - math.floor(math.log10(most))
    return max(three, min(-math.floor(math.log10(gap)), 3), 0)


def _whole(values: np.ndarray) -> bool:
    return bool((values == np.round(values)).all())
