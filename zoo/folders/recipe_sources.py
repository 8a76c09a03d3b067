"""Recipes from files: what a study found, any of its trials, another run's, or one that somebody wrote.

A file may come from anyone: it is data, and the one thing in it that could name code, an environment such as
`my_package:MyEnv-v0`, has to be named by the user as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catzoo.hparams import Recipe, RecipeError, build_recipe, loss_name, read_yaml
from catzoo.hparams.agents import refuse_other_agents_keys
from catzoo.hparams.old_formats import upgraded
from catzoo.hparams.overrides import merge
from catzoo.hparams.paths import Typed, path_of
from catzoo.hparams.schema import brief, shown
from catzoo.hparams.supports import over, with_ends
from catzoo.zoo.environments.names import canonical, in_one_run
from catzoo.zoo.environments.selection import expand
from catzoo.zoo.folders.run_folder import Run

Source = Typed


@dataclass(frozen=True)
class Sourced:
    """A recipe from a file, and what its run folder's name says of that."""

    recipe: Recipe
    suffix: str


def read_source(source: Source) -> list[Sourced]:
    """The recipes of a best.yaml, a recipe.yaml, a run folder, a trial as STUDY:NUMBER, or one's own file.

    A file of one's own has `agent`, `env`, and any keys of that agent's recipe; all others are the zoo's.

    Raises:
        RecipeError: not that, or corrupt.
    """
    text = os.fspath(source)
    study, colon, number = text.rpartition(":")
    path = path_of(text)
    if colon and number.isascii() and number.isdecimal() and not os.path.exists(path):
        from catzoo.zoo.folders.study_folder import StudyFolder

        return [
            Sourced(recipe, f"-trial{int(number)}") for recipe in StudyFolder(study).recipes_of(int(number))
        ]
    if os.path.isdir(path):
        if (path / "study.yaml").is_file():
            raise RecipeError(f"{path}: a study: name its {path / 'best.yaml'}, or a trial as {path}:NUMBER")
        return [Sourced(Run(path).recipe(), "")]
    return _read_file(path)


def _read_file(path: Path) -> list[Sourced]:
    values = read_yaml(path)
    stamp = values.pop("catzoo", None)
    if stamp is None and {"agent", "env"} <= values.keys():
        return [Sourced(_own_recipe(values, path), "")]
    if not isinstance(stamp, dict):
        raise RecipeError(
            f"{path}: neither a run's recipe.yaml nor a study's best.yaml; a recipe of your own has agent "
            "and env"
        )
    study = stamp.get("study")
    trial = study.get("trial") if isinstance(study, dict) else None
    suffix = f"-trial{trial}" if isinstance(trial, int) else ""
    several = values.get("recipes", [values])
    if not isinstance(several, list) or not several or not all(isinstance(one, dict) for one in several):
        raise RecipeError(f"{path}: recipes must be a list of recipes, not empty")
    found, where = stamp.get("format"), str(path)
    return [Sourced(build_recipe(upgraded(one, found, where), where=where), suffix) for one in several]


def _own_recipe(values: Mapping[str, Any], path: Path) -> Recipe:
    """The recipe of a file that somebody wrote: what it does not say is as in the zoo."""
    from catzoo.zoo.catalogue.recipe_files import find_recipe

    values = dict(values)
    named = [values.pop(key, None) for key in ("agent", "env", "preset")]
    for name, value in zip(("agent", "env"), named, strict=False):
        if not isinstance(value, str):
            raise RecipeError(f"{path}: {name}={shown(value)}: must be a name")
    agent, env, preset = named
    try:
        return find_recipe(agent, in_one_run(env), None, [values], preset)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def recipes_from(
    source: Source,
    *,
    agent: str | None = None,
    env: str | None = None,
    loss: str | None = None,
    preset: str | None = None,
    said: Iterable[Mapping[str, Any]] = (),
) -> list[Sourced]:
    """The recipes of a file with the user's overrides; of the environments that are named, if any are.

    Raises:
        RecipeError: see `read_source`; or what was named is not what the file has.
    """
    found = read_source(source)
    for name, asked, own in (
        ("agent", agent, found[0].recipe.agent),
        ("loss", loss and loss_name(loss), found[0].recipe.value_loss.name),
        ("preset", preset, found[0].recipe.preset),
    ):
        if asked is not None and asked != own:
            raise RecipeError(f"{source}: its {name} is {own}, not {brief(asked)}")
    kept = found if env is None else _picked(source, found, env)
    for one in kept:
        if ":" in one.recipe.env and env is None:
            package = one.recipe.env.rpartition(":")[0]
            raise RecipeError(
                f"{source}: its environment {one.recipe.env} imports {package}: if you know it, name the "
                "environment with --env"
            )
    return [Sourced(_overridden(one.recipe, said), one.suffix) for one in kept]


def _picked(source: Source, found: Sequence[Sourced], env: str) -> list[Sourced]:
    """Those of some recipes whose environments a list of ids, sets and patterns names."""
    own = {canonical(one.recipe.env) for one in found}
    wanted: set[str] = set()
    for word in (part.strip() for part in env.split(",")):
        names = {word} & {one.recipe.env for one in found} or set(expand(word))
        hits = own & set(map(canonical, names))
        if not hits:
            known = ", ".join(one.recipe.env for one in found)
            raise RecipeError(f"{source}: is for {brief(known, 200)}, not for {brief(word)}")
        wanted |= hits
    return [one for one in found if canonical(one.recipe.env) in wanted]


def _overridden(recipe: Recipe, said: Iterable[Mapping[str, Any]]) -> Recipe:
    together: dict[str, Any] = {}
    for override in said:
        refuse_other_agents_keys(override, recipe.agent, "command line")
        for key in ("agent", "env", "preset"):
            if key in override:
                raise RecipeError(f"{key}={shown(override[key])}: the {key} is the file's (command line)")
        together = merge(together, override)  # both ends of a support are one choice
    values = over(recipe.to_dict(), together)
    return build_recipe(with_ends(values, recipe.value_loss.name), where="command line")
