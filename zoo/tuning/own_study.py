"""`Objective`: what a study maximizes that is made with Optuna's own functions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from catzoo.hparams import Recipe
from catzoo.hparams.json_text import to_json
from catzoo.hparams.paths import Typed, path_of
from catzoo.hparams.schema import check_name
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.folders.run_folder import finished_result
from catzoo.zoo.launch.jobs import Job
from catzoo.zoo.training.resume import drop_checkpoints
from catzoo.zoo.training.train import train_recipe
from catzoo.zoo.tuning.study_plan import make_plan

if TYPE_CHECKING:
    from optuna.trial import FixedTrial, Trial

RUNS = "runs"
"""A trial's attribute: the folders of its runs."""


class Objective:
    """Trains an agent with the values of an Optuna trial, and says what they are worth: to be maximized.

    `optuna.create_study(direction="maximize").optimize(objective, n_trials=20)`, with any sampler, pruner and
    storage. A trial is what it is in `tune`: a run for each seed and environment, one after another in this
    process, with `trial.report` and a look at the pruner after each. A trial's attribute `runs` has its run
    folders, of which `train(source=...)` makes another seed. A run that is there already is not made again.
    `study.enqueue_trial(objective.defaults)` makes a trial of the recipe as it is.

    torch's settings are those of the whole process, so leave Optuna's `n_jobs` at 1; processes that share a
    storage do as well as they do with any other objective, each with a folder of its own.

    Args:
        agent, env, loss, preset, steps, seeds, seed, space, objective, aggregate, overrides: see `tune`.
        folder: what the run folders are in.

    Raises:
        RecipeError: anything wrong with what was asked for, in one line; nothing is written yet.
    """

    def __init__(
        self,
        agent: str,
        env: str,
        *,
        folder: Typed,
        loss: str | None = None,
        preset: str | None = None,
        steps: int | None = None,
        seeds: int = 3,
        seed: int = 0,
        space: Typed | Mapping[str, Any] | None = None,
        objective: str = "final",
        aggregate: str = "mean",
        overrides: Iterable[str | Mapping[str, Any]] = (),
    ) -> None:
        self.folder = path_of(folder)
        self.plan = make_plan(
            agent,
            env,
            loss=loss,
            preset=preset,
            steps=steps,
            seeds=seeds,
            seed=seed,
            space=space,
            sampler="random",  # the study has its own, and its own pruner
            pruner="none",
            objective=objective,
            aggregate=aggregate,
            overrides=overrides,
        )

    @property
    def defaults(self) -> dict[str, Any] | None:
        """The recipe's own values of what varies; None: the space has no such point."""
        return self.plan.defaults()

    def recipe(self, values: Mapping[str, Any], env: str | None = None) -> Recipe:
        """The recipe with values such as `study.best_params`, for the first environment or another one.

        Raises:
            RecipeError: an environment that the study has not, or values that contradict each other.
        """
        env = next(iter(self.plan.recipes)) if env is None else canonical(env)
        check_name("env", env, self.plan.recipes)
        return self.plan.recipe(env, self.plan.seed, values)

    def __call__(self, trial: Trial | FixedTrial) -> float:
        """A trial's value.

        Raises:
            RecipeError: values that contradict each other; `study.optimize(catch=ValueError)` goes on then.
            optuna.TrialPruned: the study's pruner wants no more of it.
        """
        from optuna import TrialPruned

        from catzoo.hparams.tuning.samplers import suggest

        jobs, scores = self._jobs(suggest(trial, self.plan.space)), list[float]()
        trial.set_user_attr(RUNS, [str(job.run.path) for job in jobs])
        for job in jobs:
            result = finished_result(job.run, job.recipe)
            if result is None:
                result = train_recipe(job.recipe, job.run)
                drop_checkpoints(job.run)
            scores.append(self.plan.score(job, result))
            trial.report(scores[-1], len(scores) - 1)
            if len(scores) < len(jobs) and trial.should_prune():
                raise TrialPruned(f"after {len(scores)} of {len(jobs)} runs")
        return self.plan.value(scores)

    def _jobs(self, values: Mapping[str, Any]) -> list[Job]:
        """The runs of a trial, in folders named by what is trained: a study in memory counts from 0 again."""
        what = to_json({"study": self.plan.settings(), "values": dict(values)})
        name = hashlib.sha256(what.encode()).hexdigest()[:8]
        return [
            self.plan.job(self.folder, name, env, seed, values)
            for seed in self.plan.seeds
            for env in self.plan.recipes
        ]
