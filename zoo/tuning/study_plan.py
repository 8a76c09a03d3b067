"""What a study is: the recipe, what varies, on which environments and seeds, and what counts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catzoo.hparams import Recipe, RecipeError, merge, plain_overrides
from catzoo.hparams.schema import check_name
from catzoo.hparams.tuning.samplers import PRUNERS, SAMPLERS, same_point
from catzoo.hparams.tuning.space import Space, resolve_space
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.environments.names import in_file_names
from catzoo.zoo.environments.selection import expand
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.launch.jobs import Job
from catzoo.zoo.statistics.normalisation import Scale, scale_of
from catzoo.zoo.tuning.objective import (
    AGGREGATES,
    OBJECTIVES,
    normalised,
    run_score,
    trial_score,
    whole_seeds,
)
from catzoo.zoo.tuning.spaces import find_space, is_the_zoos

POINTS_TRIED = 30
"""Points of a space's grid, drawn at random, of which one must make a recipe with a bound."""


@dataclass(frozen=True)
class Plan:
    """A study, all but how many trials and on which machine."""

    agent: str
    preset: str | None
    loss: str
    recipes: dict[str, Recipe]
    """By environment: what trial 0 trains, with the first seed."""
    overrides: dict[str, Any]
    """What the user said of the recipe, for every trial."""
    seeds: tuple[int, ...]
    space: Space
    sampler: str
    pruner: str
    objective: str
    aggregate: str
    scales: dict[str, Scale | None]
    """By environment; None: returns as they are."""

    @property
    def seed(self) -> int:
        """The study's."""
        return self.seeds[0]

    @property
    def steps(self) -> int:
        """Of the longest run; all are alike where the command says how many."""
        return max(recipe.steps for recipe in self.recipes.values())

    @property
    def instances(self) -> int:
        """Runs of a trial."""
        return len(self.seeds) * len(self.recipes)

    @property
    def prunes_within(self) -> bool:
        """Whether runs are looked at before their end."""
        return self.pruner in ("median", "hyperband")

    def recipe(self, env: str, seed: int, chosen: Mapping[str, Any]) -> Recipe:
        """A run's recipe, with a trial's values; none: the recipe as it is.

        Raises:
            RecipeError: values that contradict each other.
        """
        said = [self.overrides]
        if chosen:
            said.append(self.space.overrides(self.recipes[env], chosen))
        return find_recipe(self.agent, env, self.loss, [*said, {"seed": seed}], self.preset)

    def jobs(self, folder: Path, number: int, chosen: Mapping[str, Any]) -> list[Job]:
        """The runs of a trial, seeds outermost; with nothing chosen, of the recipe as it is."""
        return [
            self.job(folder, f"{number:04d}", env, seed, chosen)
            for seed in self.seeds
            for env in self.recipes
        ]

    def job(self, folder: Path, title: str, env: str, seed: int, chosen: Mapping[str, Any]) -> Job:
        """One run, in a folder of its own."""
        recipe = self.recipe(env, seed, chosen)
        name = f"{title}-{in_file_names(env)}-s{seed}"
        said = merge(self.overrides, self.space.overrides(self.recipes[env], chosen) if chosen else {})
        arguments = {
            "agent": self.agent,
            "env": env,
            "loss": self.loss,
            "preset": self.preset,
            "steps": recipe.steps,
            "seed": seed,
            "run_dir": str(folder / name),
            "overrides": [said],
            "wandb": None,
            "source": None,
        }
        return Job(recipe, Run(folder / name), folder / "logs" / f"{name}.log", arguments)

    def score(self, job: Job, result: Mapping[str, Any]) -> float:
        """What a finished run is worth, on the scale of its environment.

        Raises:
            ValueError: it is not a finite number.
        """
        return normalised(run_score(job.run, result, self.objective), self.scales[job.recipe.env])

    def value(self, scores: Sequence[float]) -> float:
        """What a trial is worth whose runs, in the order of `jobs`, have these scores."""
        return trial_score(whole_seeds(scores, len(self.recipes)), self.aggregate)

    def defaults(self) -> dict[str, Any] | None:
        """What the recipes have where the space varies them; None: outside of it, or no two alike."""
        first, *others = (self.space.defaults(recipe) for recipe in self.recipes.values())
        alike = first is not None and all(other is not None and same_point(first, other) for other in others)
        return first if alike else None

    def settings(self) -> dict[str, Any]:
        """What makes two studies the same one."""
        settings = {
            "agent": self.agent,
            "preset": self.preset,
            "loss": self.loss,
            "envs": list(self.recipes),
            "steps": self.steps,
            "seeds": list(self.seeds),
            "overrides": self.overrides,
            "objective": self.objective,
            "aggregate": self.aggregate,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "space": self.space.to_dict(),
            # Last: what else differs is the better explanation of differences in them.
            "recipes": {env: recipe.to_dict() for env, recipe in self.recipes.items()},
        }
        return json.loads(json.dumps(settings))  # type: ignore[no-any-return]  # as a file gives it back


def make_plan(
    agent: str,
    env: str,
    *,
    loss: str | None,
    preset: str | None,
    steps: int | None,
    seeds: int,
    seed: int,
    space: str | Path | Mapping[str, Any] | None,
    sampler: str,
    pruner: str,
    objective: str,
    aggregate: str,
    overrides: Iterable[str | Mapping[str, Any]],
) -> Plan:
    """A checked plan; see `tune` for the arguments.

    Raises:
        RecipeError: anything wrong with what was asked for, in one line.
    """
    for what, name, known in (
        ("objective", objective, OBJECTIVES),
        ("aggregate", aggregate, AGGREGATES),
        ("sampler", sampler, SAMPLERS),
        ("pruner", pruner, PRUNERS),
    ):
        check_name(what, name, known)
    said = _said(overrides, objective, steps)
    envs = expand(env)
    recipes = {
        name: find_recipe(agent, name, loss, [said, *plain_overrides({"seed": seed})], preset)
        for name in envs
    }
    if objective == "best":
        _refuse_one_look(recipes.values())
    name, entries = find_space(space)
    resolved = resolve_space(entries, list(recipes.values()), where=name, drop=is_the_zoos(space))
    many = len(recipes) > 1
    plan = Plan(
        agent=agent,
        preset=preset,
        loss=next(iter(recipes.values())).value_loss.name,
        recipes=recipes,
        overrides=said,
        seeds=tuple(range(seed, seed + seeds)),
        space=resolved,
        sampler=sampler,
        pruner=pruner,
        objective=objective,
        aggregate=aggregate,
        scales={name: scale_of(name) if many else None for name in recipes},
    )
    _check_points(plan, name)
    return plan


def _refuse_one_look(recipes: Iterable[Recipe]) -> None:
    """Refuses to take the best of evaluations where only the last one takes place."""
    for recipe in recipes:
        every = recipe.eval.every
        if not 0 < every < recipe.steps:
            raise RecipeError(
                f"objective best is that of several evaluations, and with eval.every={every} of "
                f"{recipe.steps} steps on {recipe.env} there is one: set eval.every="
                f"{max(recipe.steps // 10, 1)}, or take final"
            )


def _check_points(plan: Plan, where: str) -> None:
    """Refuses a space with a bound or a choice that no point of it makes a recipe with."""
    for parameter in plan.space.parameters:
        values = parameter.grid()
        for value in values if parameter.kind == "choice" else (values[0], values[-1]):
            problem = _problem_with(plan, parameter.key, value)
            if problem:
                said = f"{parameter.key}={f'{value:.4g}' if isinstance(value, float) else value}"
                times = f" times the {parameter.of}'s" if parameter.of else ""
                raise RecipeError(f"{said}{times} is never possible: {problem} ({where})")


def _problem_with(plan: Plan, key: str, value: Any) -> str:
    """What keeps a value from making a recipe, among the default and some points; empty: nothing."""
    choose = random.Random(plan.seed).choice
    grids = {parameter.key: parameter.grid() for parameter in plan.space.parameters}
    problem = ""
    for attempt in range(POINTS_TRIED):
        point = None if attempt else plan.defaults()
        point = point or {name: choose(grid) for name, grid in grids.items()}
        try:
            for env in plan.recipes:
                plan.recipe(env, plan.seed, {**point, key: value})
        except RecipeError as error:
            problem = problem or str(error).removesuffix(" (command line)")
        else:
            return ""
    return problem


def _said(overrides: Iterable[str | Mapping[str, Any]], objective: str, steps: int | None) -> dict[str, Any]:
    """The user's overrides, and those of every trial: evaluations in mid-run only where they count."""
    said: dict[str, Any] = {} if objective == "best" else {"eval": {"every": 0}}
    for override in plain_overrides(overrides):
        said = merge(said, override)
    if "seed" in said:
        raise RecipeError("seed is not an override of a study: --seed is the first of its seeds")
    return merge(said, *plain_overrides({"steps": steps})) if steps is not None else said
