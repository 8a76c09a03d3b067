"""Pictures of a run: how it learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from catzoo.hparams import Recipe
from catzoo.version import __version__
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.pictures import style
from catzoo.zoo.system.csv_rows import number_of, read_rows
from catzoo.zoo.system.digits import digits_of, typeset

WINDOW = 100
"""Training episodes that the running mean takes in."""
MOST_DOTS = 20_000
MOST_GAMES = 8
"""Of one run, that have a line each."""
LEGEND = 3
"""Columns of it, where one game is played."""
LONGEST_LABEL = "final: 1,000 over 100 greedy episodes"
MOST_LETTERS = 100
"""Of the environment."""
WIDTH, HEIGHT = 1000, 640


def learning_curve(run: Run, result: Mapping[str, Any] | None = None, *, out: Path | None = None) -> Path:
    """Draws a run's learning curve: returns above, loss below, over agent steps.

    Training returns are those of the exploring policy: every episode as a dot, and the running mean over 100;
    of several games in one run each has its own. Greedy evaluations have a band of one standard deviation
    over their episodes.

    Args:
        run: the run's folder; whatever it holds by now is drawn.
        result: the final evaluation, as in `result.json`; by default the folder's own, if it has one.
        out: the PNG; by default learning_curve.png in the run's folder.

    Returns:
        The path of the PNG.

    Raises:
        RecipeError: not a run folder, or a corrupt one.
    """
    recipe = run.recipe()
    result = run.result() if result is None else result
    metrics, episodes = read_rows(run.metrics), read_rows(run.episodes)
    with style.styled():
        figure = style.new_figure(WIDTH, HEIGHT)
        games = list(dict.fromkeys(game for row in episodes if (game := row.get("game"))))
        apart = 1 < len(games) <= MOST_GAMES
        columns = style.legend_columns([*games, LONGEST_LABEL], WIDTH - 124) if apart else LEGEND
        lower = 26 * ((len(games) + 1) // columns) if apart else 0
        returns = style.place(figure, 84, 124 + lower, WIDTH - 124, 304 - lower)
        loss = style.place(figure, 84, 472, WIDTH - 124, 92)
        ends = [(result or {}).get("steps", 0), *column(metrics, "step"), *column(episodes, "step")]
        last = np.nanmax([recipe.log_every, *ends])
        for axes in (returns, loss):
            _prepare(axes, last)
        if apart:
            _draw_games(returns, episodes, games)
        else:
            _draw_training(returns, episodes, metrics)
        _draw_evaluations(returns, metrics, style.INK if apart else style.ORANGE)
        _draw_result(returns, result)
        _draw_loss(loss, metrics)
        protocol = (result or {}).get("protocol") or protocol_of(recipe.env, recipe.env_options).to_dict()
        _write_words(returns, loss, recipe, protocol["name"], columns)
        out = out or run.curve
        style.publish(figure, out)
    return out


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    """A column [N] of CSV rows as floats; NaN where a cell is missing or no number, see `number_of`."""
    return np.array([number_of(row.get(name)) for row in rows], dtype=np.float64)


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """The mean [N] of each value and of at most `window - 1` before it."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    return (sums[end] - sums[start]) / (end - start)


def _present(*columns: np.ndarray) -> list[np.ndarray]:
    """The columns without the rows in which one is missing."""
    kept = np.logical_and.reduce([np.isfinite(values) for values in columns])
    return [values[kept] for values in columns]


def _prepare(axes: Axes, last: float) -> None:
    axes.set_xlim(0, 1.01 * last)
    axes.grid(axis="y")
    axes.tick_params(length=0, pad=6)
    axes.xaxis.set_major_formatter(FuncFormatter(style.compact))


def _draw_training(axes: Axes, episodes: list[dict[str, str]], metrics: list[dict[str, str]]) -> None:
    steps, scores = _present(column(episodes, "step"), column(episodes, "return"))
    if not len(steps):
        steps, scores = _present(column(metrics, "step"), column(metrics, "train/return"))
        if len(steps):
            axes.plot(steps, scores, color=style.BLUE, lw=2, label="training, mean of 100 episodes")
        return
    every = -(-len(steps) // MOST_DOTS)
    alpha = float(np.clip(300 / len(steps), 0.06, 0.4))
    axes.plot(steps[::every], scores[::every], "o", ms=3, mew=0, color=style.SKY, alpha=alpha)
    mean = running_mean(scores, WINDOW)
    axes.plot(steps, mean, color=style.BLUE, lw=2, label=f"training, mean of {WINDOW} episodes")


def _draw_games(axes: Axes, episodes: list[dict[str, str]], games: list[str]) -> None:
    for game, (color, dashes) in style.looks(games).items():
        own = [row for row in episodes if row.get("game") == game]
        steps, scores = _present(column(own, "step"), column(own, "return"))
        axes.plot(steps, running_mean(scores, WINDOW), color=color, ls=dashes, lw=2, label=game)


def _draw_evaluations(axes: Axes, metrics: list[dict[str, str]], color: str) -> None:
    steps, means = column(metrics, "step"), column(metrics, "eval/return")
    spread = column(metrics, "eval/return_std")
    low, high = column(metrics, "eval/return_min"), column(metrics, "eval/return_max")
    low, high = (
        np.where(np.isfinite(low), low, means - spread),
        np.where(np.isfinite(high), high, means + spread),
    )
    band = _present(steps, low, high)
    axes.fill_between(*band, color=color, alpha=0.15, lw=0)
    steps, means = _present(steps, means)
    if len(steps):
        axes.plot(steps, means, "o-", ms=5, lw=1.6, color=color, mec="white", label="greedy policy")


def _draw_result(axes: Axes, result: Mapping[str, Any] | None) -> None:
    if not result or not {"steps", "mean_return"} <= result.keys():
        return
    score = typeset(result["mean_return"], digits_of([result["mean_return"]]))
    label = f"final: {score} over {result.get('episodes', '?')} greedy episodes"
    axes.plot(
        [result["steps"]], [result["mean_return"]], "D", ms=9, color=style.INK, mec="white", mew=1.5,
        clip_on=False, zorder=5, ls="none", label=label,
    )  # fmt: skip


def _draw_loss(axes: Axes, metrics: list[dict[str, str]]) -> None:
    steps, losses = _present(column(metrics, "step"), column(metrics, "train/loss"))
    axes.plot(steps, losses, color=style.GREEN, lw=1.5)
    if len(losses) and losses.min() > 0 and losses.max() > 30 * losses.min():
        axes.set_yscale("log")
        axes.minorticks_off()
    else:
        axes.yaxis.set_major_locator(MaxNLocator(3))


def _write_words(returns: Axes, loss: Axes, recipe: Recipe, protocol: str, columns: int) -> None:
    figure = returns.figure
    left, right = 32 / WIDTH, 1 - 40 / WIDTH
    heading = style.title(recipe.agent, recipe.value_loss.name)
    figure.text(left, 1 - 46 / HEIGHT, heading, size=17, weight="bold")
    played = style.words(recipe.env.replace("+", " + "), MOST_LETTERS)
    figure.text(left, 1 - 70 / HEIGHT, f"{played}  ·  seed {recipe.seed}", color=style.MUTED)
    small = f"protocol {protocol}  ·  catzoo {__version__}"
    figure.text(right, 16 / HEIGHT, small, color=style.MUTED, size=8.5, ha="right")
    returns.set_ylabel("episode return")
    loss.set_ylabel("loss")
    loss.set_xlabel("agent steps")
    for axes in (returns, loss):
        axes.yaxis.set_label_coords(-52 / (WIDTH - 124), 0.5)
        if not axes.lines:
            axes.set_yticks([])
            axes.text(0.5, 0.5, "nothing yet", transform=axes.transAxes, ha="center", color=style.MUTED)
    handles, _ = returns.get_legend_handles_labels()
    if handles:
        returns.legend(
            loc="lower left",
            bbox_to_anchor=(0.0, 1.03),
            ncols=columns,
            borderaxespad=0,
            borderpad=0,
            columnspacing=2,
        )
