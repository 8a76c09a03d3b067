"""What a report compares: finished runs of one protocol, in groups that differ in agent, loss or recipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catzoo.hparams import VALUE_LOSSES, RecipeError
from catzoo.hparams.schema import brief, shown
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.folders.run_recipe import flat
from catzoo.zoo.pictures import style
from catzoo.zoo.reporting.finished_runs import Folders, Row, find_runs, grouped, nothing_finished, sort_runs

WHOLE = 100_000
"""Characters of a value that tells groups apart: more than a recipe may have."""
ZOOS = object()
"""Stands for the zoo's own value."""
LONGEST_NAME = 40
"""Characters of what a recipe is called; longer ones are numbered, and listed once."""


@dataclass(frozen=True)
class Group:
    """Runs that are one line, column or bar of a report, on any environment."""

    agent: str
    loss: str
    recipe: str
    """What sets its recipe apart from the zoo's, where runs of one agent and loss differ in it."""
    label: str
    """Short, and no other group's."""


Finished = tuple[Run, Row]


@dataclass(frozen=True)
class Comparison:
    """Everything that a report is about."""

    groups: list[Group]
    """Agents by name, losses in the zoo's order."""
    envs: list[str]
    """Sorted."""
    runs: dict[tuple[Group, str], list[Finished]]
    """The runs of a group on an environment, sorted by seed; a key is missing where there are none."""
    protocol: str
    steps: dict[str, int]
    """Of every run on an environment."""
    settings: dict[str, Row]
    """The protocol's, of every run on an environment."""
    unfinished: list[Path]
    copies: list[Path]

    def everyone(self) -> list[Finished]:
        """All runs, by environment and group."""
        return [run for env in self.envs for group in self.groups for run in self.runs.get((group, env), ())]


def compare_runs(folders: Folders) -> Comparison:
    """Sorts runs into the groups that a report compares.

    Args:
        folders: see `gather`.

    Raises:
        RecipeError: no such folder, no run in it, a corrupt run, none that is finished, or runs that cannot
            be compared: of several protocols, or of several lengths or settings on one environment.
    """
    found = find_runs(folders)
    if not found:
        raise RecipeError("no folders were named: a report takes run folders, or folders that hold some")
    kinds = sort_runs(found)
    if not kinds.finished:
        raise nothing_finished(kinds)
    _refuse_mixtures(kinds.finished)
    members = _members(kinds.finished)
    groups = _label({group for group, _ in members})
    runs = {
        (groups[group], env): sorted(some, key=lambda run: run[1]["seed"])
        for (group, env), some in members.items()
    }
    return Comparison(
        groups=list(groups.values()),
        envs=sorted({env for _, env in runs}),
        runs=runs,
        protocol=kinds.finished[0][1]["protocol"]["name"],
        steps={result["env"]: result["steps"] for _, result in kinds.finished},
        settings={result["env"]: _settings(result) for _, result in kinds.finished},
        unfinished=[run.path for run in kinds.unfinished],
        copies=[run.path for run in kinds.copies],
    )


def _refuse_mixtures(runs: Sequence[Finished]) -> None:
    """Refuses scores that no table may put side by side."""
    apart = "name folders whose runs can be compared"
    first: dict[str, Finished] = {}
    for run, result in runs:
        other, its = runs[0]
        ours, theirs = result["protocol"]["name"], its["protocol"]["name"]
        if ours != theirs:
            raise RecipeError(
                f"runs of different protocols: {other.path} is {theirs}, {run.path} is {ours}; {apart}"
            )
        env = result["env"]
        other, its = first.setdefault(env, (run, result))
        if result["steps"] != its["steps"]:
            raise RecipeError(
                f"runs of different lengths on {brief(env)}: {other.path} has {its['steps']:,} steps, "
                f"{run.path} has {result['steps']:,}; {apart}"
            )
        settings, others = _settings(result), _settings(its)
        for key in sorted(settings.keys() | others.keys()):
            if settings.get(key) != others.get(key):
                before, now = shown(others.get(key)), shown(settings.get(key))
                raise RecipeError(
                    f"runs of different protocols on {brief(env)}: {brief(key)} is {before} in {other.path}, "
                    f"{now} in {run.path}; {apart}"
                )


def _settings(result: Row) -> Row:
    return result["protocol"].get("settings", {})


def _members(runs: Sequence[Finished]) -> dict[tuple[Group, str], list[Finished]]:
    """Runs by group and environment; the groups have no labels yet."""
    experiments = [some for _, some in grouped(runs)]
    sides: dict[tuple[str, str], list[Row]] = {}
    for (_, result), *_ in experiments:
        sides.setdefault((result["agent"], result["loss"]), []).append(result)
    varying = {side: sorted(_varying(results)) for side, results in sides.items()}
    members: dict[tuple[Group, str], list[Finished]] = {}
    for some in experiments:
        result = some[0][1]
        recipe = _recipe_name(result, varying[result["agent"], result["loss"]])
        group = Group(result["agent"], result["loss"], recipe, "")
        members.setdefault((group, result["env"]), []).extend(some)
    return members


def _varying(results: Sequence[Row]) -> set[str]:
    """Keys in which recipes of one agent and loss differ.

    On one environment; or from the zoo's recipe for it, where they do so otherwise than on others. A value
    that is the same everywhere does not, though it may be the zoo's on one environment and not on another.
    """
    varying: set[str] = set()
    first: dict[str, Row] = {}
    own = [_own(result) for result in results]
    for result, mine in zip(results, own, strict=True):
        settings, other = result["settings"], first.setdefault(result["env"], result["settings"])
        varying |= {key for key in settings.keys() | other.keys() if settings.get(key) != other.get(key)}
        beside = {key for key in mine.keys() | own[0].keys() if mine.get(key, ZOOS) != own[0].get(key, ZOOS)}
        beside = {key for key in beside if settings.get(key) != results[0]["settings"].get(key)}
        varying |= {key for key in beside if not key.startswith("compute.")}  # the machine's
    return varying


def _own(result: Row) -> Row:
    """What a recipe has that the zoo's for its environment has not; nothing where the zoo has none."""
    settings, base = result["settings"], _base(result)
    return {
        key: value for key, value in settings.items() if base and (key == "preset" or value != base.get(key))
    }


def _base(result: Row) -> Row:
    """The zoo's recipe; empty for somebody's own agent or loss."""
    preset = result["settings"].get("preset")
    try:
        return flat(find_recipe(result["agent"], result["env"], result["loss"], preset=preset).to_dict())
    except RecipeError:
        return {}


def _recipe_name(result: Row, varying: Sequence[str]) -> str:
    """What the recipe has of its own in the keys that vary; empty for the zoo's own recipe.

    Said against the zoo's recipe for the environment, so that it is the same words on every environment; in
    full, since it is what tells groups apart.
    """
    if not varying:
        return ""
    settings, base = result["settings"], _base(result)
    preset = settings.get("preset")
    words = [f"preset {preset}"] if preset and "preset" in varying else []
    own = [key for key in varying if key != "preset" and settings.get(key) != base.get(key)]
    return " ".join([*words, *(f"{key}={shown(settings.get(key), WHOLE)}" for key in own)])


def _label(groups: Iterable[Group]) -> dict[Group, Group]:
    """The groups in order, each with its label."""
    losses = list(VALUE_LOSSES)

    def place(group: Group) -> tuple[Any, ...]:
        known = group.loss in losses
        return (group.agent, losses.index(group.loss) if known else len(losses), group.loss, group.recipe)

    found, number = {}, 0
    for group in sorted(groups, key=place):
        recipe = group.recipe
        if len(recipe) > LONGEST_NAME:
            number += 1
            recipe = f"recipe {number}"
        label = ", ".join(filter(None, (style.title(group.agent, group.loss), recipe)))
        found[group] = Group(group.agent, group.loss, group.recipe, brief(label, 100))
    return found
