"""What a gallery says of an agent: its score, its recipe, and the commands around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from catzoo.hparams import Recipe, RecipeError
from catzoo.hparams.agents.from_dataset import FromDataset
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.folders.result_file import protocol_in_words
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.folders.run_recipe import INCIDENTAL, compare
from catzoo.zoo.pictures import style
from catzoo.zoo.reporting.score_rows import command_of
from catzoo.zoo.system.console import pasteable
from catzoo.zoo.system.digits import MINUS, digits_of, score, typeset, with_interval

SCALAR = ("mse", "huber")
"""Losses whose value is one number."""
BARS = 24
"""Of the picture of an agent's returns."""
DATA = {"chess": "chess", "wordle": "wordle", "q_transformer": "robots"}
"""Agents that learn from data, and the `catzoo data` that makes it."""


@dataclass(frozen=True)
class Card:
    """An agent's words and numbers."""

    name: str
    """Also of its files: letters, digits, `.`, `_` and `-`."""
    typed: str
    """What the commands call it."""
    title: str
    env: str
    bins: bool
    """Whether its value has a distribution."""
    steps: str
    seed: int
    mean: str
    interval: str
    episodes: int
    returns: Returns | None
    measures: list[tuple[str, str]]
    """Of its world, or its games: a name and a number."""
    protocol: str
    when: str
    differs: list[str] | None
    """`key=value` beside the zoo's recipe; None if that has none for it."""
    recipe: str
    """All of it, as YAML."""
    made: str | None
    data: str | None
    """What to do about the dataset that its command needs."""
    use: list[str]
    """Commands."""


@dataclass(frozen=True)
class Returns:
    """The returns of an evaluation as a row of bars."""

    heights: list[float]
    """Of each bar, up to 1."""
    low: str
    high: str


def card_of(run: Run, result: dict[str, Any], name: str, typed: str) -> Card:
    """The card of a finished run.

    Args:
        run: its folder.
        result: its result.
        name: of its files.
        typed: what `catzoo watch` takes for it.

    Raises:
        RecipeError: a corrupt recipe.
    """
    recipe = run.recipe()
    mean, interval = with_interval(result["mean_return"], *result["interval_95"])
    differs, made = _beside_the_zoo(recipe)
    machine = ", ".join(filter(None, (result.get("date"), result.get("cpu"))))
    return Card(
        name=name,
        typed=typed,
        title=style.title(recipe.agent, recipe.value_loss.name),
        env=recipe.env,
        bins=recipe.value_loss.name not in SCALAR,
        steps=f"{result['steps']:,}",
        seed=result["seed"],
        mean=mean.replace("-", MINUS),
        interval=interval.replace("-", MINUS),
        episodes=result["episodes"],
        returns=_returns(result.get("returns", [])),
        measures=_measures(result),
        protocol=protocol_in_words(result),
        when=machine,
        differs=differs,
        recipe=yaml.safe_dump(recipe.to_dict(), sort_keys=False),
        made=made,
        data=_data(recipe),
        use=[
            pasteable("catzoo", "watch", Path(typed), "--out", f"{name}.mp4"),
            pasteable("catzoo", "eval", Path(typed)),
        ],
    )


def _beside_the_zoo(recipe: Recipe) -> tuple[list[str] | None, str | None]:
    """What differs from the zoo's recipe for this agent, environment and loss; the command for this run."""
    loss = recipe.value_loss.name
    try:
        base = find_recipe(recipe.agent, recipe.env, loss, [{"seed": recipe.seed}], recipe.preset)
        differs = compare(base, recipe, INCIDENTAL)
        if recipe.steps != base.steps:
            differs["steps"] = recipe.steps
        return [f"{key}={_short(value)}" for key, value in differs.items()], command_of(recipe)
    except RecipeError:  # an agent, a loss or an environment of somebody's own
        return None, None


def _short(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).splitlines()[0]


def _data(recipe: Recipe) -> str | None:
    if not isinstance(recipe, FromDataset) or recipe.dataset is not None:
        return None
    return f"catzoo data {DATA[recipe.agent]}" if recipe.agent in DATA else "catzoo train … record=1.0"


def _measures(result: dict[str, Any]) -> list[tuple[str, str]]:
    games = [
        (game, " ".join(with_interval(own["mean_return"], *own["interval_95"])))
        for game, own in result.get("games", {}).items()
    ]
    own = [(name.replace("_", " "), score(value)) for name, value in result.get("metrics", {}).items()]
    return [(name, value.replace("-", MINUS)) for name, value in (*games, *own)]


def _returns(returns: Sequence[float]) -> Returns | None:
    """A row of bars between the lowest and the highest; none where all are the same."""
    low, high = min(returns, default=0.0), max(returns, default=0.0)
    if not high > low:
        return None
    counts = [0] * BARS
    for value in returns:
        counts[min(int(BARS * ((value - low) / (high - low))), BARS - 1)] += 1
    digits = 0 if all(float(value).is_integer() for value in (low, high)) else digits_of([low, high])
    return Returns([count / max(counts) for count in counts], typeset(low, digits), typeset(high, digits))
