"""`gather`: one table of scores with intervals from the folders of many runs. Imports no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catzoo.hparams import RecipeError, read_yaml
from catzoo.hparams.old_formats import upgraded
from catzoo.hparams.paths import Typed, path_of
from catzoo.hparams.schema import brief
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.folders.run_recipe import INCIDENTAL, flat
from catzoo.zoo.statistics.intervals import mean_interval
from catzoo.zoo.system.console import say

Row = dict[str, Any]
Folders = Typed | Iterable[Typed]
GROUP = ("env", "agent", "loss", "steps", "protocol")
"""What a row of the table is about; runs that differ in more than their seed have rows of their own."""


@dataclass(frozen=True)
class Sorted:
    """Runs, sorted by whether they count."""

    finished: list[tuple[Run, Row]]
    """With their results, and under `settings` what makes the experiment."""
    unfinished: list[Run]
    """Without a result, or with one of fewer steps than the recipe now asks for."""
    copies: list[Run]
    """Of a recipe and seed that is among the finished ones already."""


def gather(folders: Folders) -> list[Row]:
    """Scores of finished runs, over seeds.

    Args:
        folders: a run's folder, a folder with runs at any depth, or several of either.

    Returns:
        One mapping per environment, agent, loss, number of steps, protocol and recipe, in the order of the
        folders: these, `differs` (keys in which the recipe differs from its neighbours), `seeds` (how many),
        `mean_return` (of the greedy policy, over seeds), `low_95` and `high_95` (see `mean_interval`), and
        `interval`, what it is over: `seeds`, or `episodes` (bootstrap) where there is but one seed.

    Raises:
        RecipeError: no such folder, no run in it, or a corrupt run.
    """
    return _summarise(sort_runs(find_runs(folders)).finished)


def find_runs(folders: Folders) -> list[Run]:
    """The run folders among and in `folders`, once each, sorted within each of them.

    Raises:
        RecipeError: no such folder, or no run in it.
    """
    if isinstance(folders, str | os.PathLike):
        folders = [folders]
    found: dict[Path, Run] = {}
    for folder in map(path_of, folders):
        runs = []
        for path in _run_folders(folder):
            try:
                runs.append(Run(path))
            except RecipeError as error:  # a name that nobody could type
                say(f"left out: {error}")
        if not runs:
            problem = "no run in it" if os.path.isdir(folder) else "no such folder"
            raise RecipeError(f"{folder}: {problem}; name run folders, or a folder that holds them")
        found |= {run.path.resolve(): run for run in runs}
    return list(found.values())


def _run_folders(folder: Path) -> list[Path]:
    found = []
    for here, inside, files in os.walk(folder):
        if "recipe.yaml" in files:
            found.append(Path(here))
            inside.clear()
        inside[:] = [name for name in inside if not name.startswith(".")]  # such as half of a pull
    return sorted(found)


def sort_runs(runs: Sequence[Run]) -> Sorted:
    """Finished runs with their results, unfinished ones, and repetitions.

    Raises:
        RecipeError: a corrupt run.
    """
    kept: dict[str, tuple[Run, Row]] = {}
    unfinished, copies = [], []
    for run in runs:
        result = run.result()
        settings = _settings(run) if result is not None else {}
        if result is None or result["steps"] < settings["steps"]:
            unfinished.append(run)
            continue
        # What `auto` and `null` came to where the run was made.
        settings |= {f"compute.{name}": result.get("compute", {}).get(name, settings.get(f"compute.{name}"))
                     for name in ("precision", "overlap")}  # fmt: skip
        result |= {"env": canonical(result["env"])}
        key = json.dumps([{name: result[name] for name in ("env", "agent", "loss", "seed", "steps")},
                          _identity(settings)], sort_keys=True)  # fmt: skip
        if key in kept:
            copies.append(run)
        else:
            kept[key] = (run, {**result, "settings": _identity(settings)})
    return Sorted(list(kept.values()), unfinished, copies)


def nothing_finished(found: Sorted) -> RecipeError:
    """What to say where a result was asked for of runs that have none."""
    names = named(run.path for run in found.unfinished)
    return RecipeError(f"no run is finished: {names}; the command that began one goes on with it")


def named(things: Iterable[Any], most: int = 5) -> str:
    """The first few of some things, and how many more there are."""
    names = [brief(str(thing), 300) for thing in things]  # a path that is cut names nothing
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _settings(run: Run) -> Row:
    """The dotted keys of a run's recipe; as they stand in its file if this version cannot read it."""
    try:
        return flat(run.recipe().to_dict())
    except RecipeError:
        values = read_yaml(run.recipe_file)
    stamp = values.pop("catzoo", None)
    with suppress(RecipeError):  # a format of later versions is taken as it is
        values = upgraded(values, stamp.get("format") if isinstance(stamp, dict) else None, "")
    settings = flat(values)
    steps = settings.get("steps")
    if type(steps) is not int or not 0 < steps < 2**63:
        raise RecipeError(f"{run.recipe_file}: not a recipe: steps is missing")
    return settings


def _identity(settings: Row) -> Row:
    """What makes two runs the same experiment: all but the environment, the seed and what is incidental."""
    apart = ("env", "seed")
    return {
        key: value for key, value in settings.items() if key not in apart and not key.startswith(INCIDENTAL)
    }


def _summarise(runs: Sequence[tuple[Run, Row]]) -> list[Row]:
    return [{**about, **over_seeds([result for _, result in members])} for about, members in grouped(runs)]


def grouped(runs: Sequence[tuple[Run, Row]]) -> list[tuple[Row, list[tuple[Run, Row]]]]:
    """Runs that differ in nothing but their seed, and what they have in common."""
    groups: dict[tuple[Any, ...], dict[str, list[tuple[Run, Row]]]] = {}
    for run, result in runs:
        key = tuple(result["protocol"]["name"] if name == "protocol" else result[name] for name in GROUP)
        recipe = json.dumps(result["settings"], sort_keys=True)
        groups.setdefault(key, {}).setdefault(recipe, []).append((run, result))
    found = []
    for key, recipes in groups.items():
        all_settings = [members[0][1]["settings"] for members in recipes.values()]
        for members in recipes.values():
            differs = _differs(members[0][1]["settings"], all_settings)
            found.append(({**dict(zip(GROUP, key, strict=True)), "differs": differs}, members))
    return found


def _differs(settings: Row, others: Sequence[Row]) -> str:
    keys = dict.fromkeys(key for some in (settings, *others) for key in some)
    varying = [key for key in keys if any(other.get(key) != settings.get(key) for other in others)]
    return " ".join(f"{key}={settings.get(key)}" for key in varying)


def over_seeds(results: Sequence[Row]) -> Row:
    """Mean return and its interval over the seeds of one experiment, see `gather`."""
    scores = [float(result["mean_return"]) for result in results]
    low, high = mean_interval(scores) if len(scores) > 1 else results[0]["interval_95"]
    return {
        "seeds": len(scores),
        "mean_return": sum(scores) / len(scores),
        "low_95": low,
        "high_95": high,
        "interval": "seeds" if len(scores) > 1 else "episodes",
    }
