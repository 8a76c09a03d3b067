"""How the next trial's values are chosen, and which trials end early: Optuna's samplers and pruners."""

from __future__ import annotations

import itertools
import math
import random
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from catzoo.hparams.schema import RecipeError, check_name
from catzoo.hparams.tuning.space import Parameter, Space

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.study import Study
    from optuna.trial import FixedTrial, Trial

SAMPLERS = ("tpe", "random", "grid", "cmaes")
PRUNERS = ("wilcoxon", "median", "hyperband", "none")
DEFAULT = "default"
"""Marks the trial that is the recipe as it is, in its attributes."""
ERROR = "error"
"""Says in a trial's attributes why it has no value."""
LARGEST_GRID = 100_000
"""Points of a grid at most."""
STARTUP = 8
"""Trials at random before TPE models anything."""


def make_pruner(name: str, instances: int, steps: int) -> BasePruner:
    """A pruner by name.

    Args:
        name: one of `PRUNERS`. `wilcoxon` compares whole runs, seed by seed, with those of the best trial;
            `median` and `hyperband` compare a trial's progress with that of others after as many steps.
        instances: runs of a trial.
        steps: of all of a trial's runs together.

    Raises:
        RecipeError: no such pruner.
    """
    check_name("pruner", name, PRUNERS)
    if name == "wilcoxon":
        return optuna.pruners.WilcoxonPruner(p_threshold=wilcoxon_threshold(instances), n_startup_steps=2)
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=steps // (4 * instances))
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(max(steps // 9, 1), steps, reduction_factor=3)
    return optuna.pruners.NopPruner()


def wilcoxon_threshold(instances: int) -> float:
    """The p-value below which the Wilcoxon pruner stops a trial of so many runs.

    With n pairs the smallest p is 2^-n, so that the usual 0.1 would never stop a trial of three runs. Of few
    runs, two that lost are enough (p = 0.25); of eight or more, three (p = 0.125).
    """
    return 0.26 if instances < 8 else 0.13


def is_default(trial: FrozenTrial) -> bool:
    """Whether a trial is the recipe as it is: trial 0, or what came in its place."""
    return trial.number == 0 or DEFAULT in trial.user_attrs


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts: not if it failed without a reason, for then another takes its place."""
    return trial.state != TrialState.FAIL or bool(trial.user_attrs.get(ERROR))


def default_is_due(trials: Sequence[FrozenTrial], number: int) -> bool:
    """Whether a new trial is to be the default one: if no other is, nor may become it."""
    return not any(
        counts(other) and (is_default(other) or (other.number < number and "place" not in other.user_attrs))
        for other in trials
        if other.number != number
    )


class SeededSampler(BaseSampler):
    """Another sampler, made anew for every trial from the study's seed and the trial's number.

    Args:
        name: one of `SAMPLERS`.
        space: what is sampled.
        defaults: the values of the default trial.
        seed: the study's.

    Raises:
        RecipeError: no such sampler, or its package is missing.
    """

    def __init__(self, name: str, space: Space, defaults: Mapping[str, Any] | None, seed: int) -> None:
        check_name("sampler", name, SAMPLERS)
        self.name = name
        self.space = space
        self.defaults = defaults
        self.seed = seed
        self.grid = _grid(space, defaults, seed) if name == "grid" else []
        self._made: tuple[int, BaseSampler] | None = None
        self._inner(1)  # says at once if a package is missing

    def _inner(self, number: int) -> BaseSampler:
        if self._made is None or self._made[0] != number:
            self._made = (number, self._make(self._seed(number)))
        return self._made[1]

    def _seed(self, number: int) -> int:
        return random.Random(f"{self.seed} {number}").getrandbits(32)

    def _make(self, seed: int) -> BaseSampler:
        samplers = optuna.samplers
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.name == "tpe":
                return samplers.TPESampler(
                    seed=seed, multivariate=True, constant_liar=True, n_startup_trials=STARTUP
                )
            if self.name == "cmaes":
                if find_spec("cmaes") is None:
                    raise RecipeError("CMA-ES needs a package: pip install 'catzoo[tune]'")
                return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            return samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Optuna asks which parameters are sampled together."""
        # Optuna would take what all trials have in common, and trial 0 has no values where the recipe's lie
        # outside of the space: nothing would ever be sampled together.
        return distributions(self.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna asks for them."""
        if is_default(trial):
            return dict(self.defaults or {})
        if self.grid:
            return self._unvisited(study, trial.number)
        return self._inner(trial.number).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Optuna asks for one that the others say nothing about.

        Drawn as one of all, in the space's order, so that it is the same value if some of the others were
        drawn before an interruption.
        """
        sampler = self._make(self._seed(trial.number))
        for key, distribution in distributions(self.space).items():
            value = sampler.sample_independent(study, trial, key, distribution)
            if key == param_name:
                return value
        raise KeyError(param_name)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Optuna says how a trial ended; CMA-ES keeps what it needs."""
        if not is_default(trial) and not self.grid:
            self._inner(trial.number).after_trial(study, trial, state, values)

    def _unvisited(self, study: Study, number: int) -> dict[str, Any]:
        # Not study.get_trials: under Hyperband a sampler sees but the trials of one bracket.
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        trials = [trial for trial in trials if not is_default(trial) and counts(trial)]
        visited = [trial.params for trial in trials]
        left = [point for point in self.grid if point not in visited] or self.grid
        # Other machines may be choosing at this moment: each takes the point after those before it.
        choosing = sum(
            trial.state == TrialState.RUNNING and len(trial.params) < len(self.space.parameters)
            for trial in trials
            if trial.number < number
        )
        return left[min(choosing, len(left) - 1)]


def _grid(space: Space, defaults: Mapping[str, Any] | None, seed: int) -> list[dict[str, Any]]:
    """Every point of a space's grid but the default one, shuffled: the first of them are spread over it."""
    axes = {parameter.key: parameter.grid() for parameter in space.parameters}
    size = math.prod(map(len, axes.values()))
    if size > LARGEST_GRID:
        raise RecipeError(f"a grid of {size:,} points: must be at most {LARGEST_GRID:,}; lower its `points`")
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    points = [point for point in points if defaults is None or not same_point(point, defaults)]
    random.Random(seed).shuffle(points)
    return points


def same_point(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two points of a space are the same, but for the last digits of what was computed."""
    return one.keys() == other.keys() and all(
        math.isclose(value, other[key], rel_tol=1e-9)
        if isinstance(value, float) and isinstance(other[key], int | float)
        else value == other[key]
        for key, value in one.items()
    )


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """A space in Optuna's words."""
    return {parameter.key: _distribution(parameter) for parameter in space.parameters}


def suggest(trial: Trial | FixedTrial, space: Space) -> dict[str, Any]:
    """Has a trial take a value for every parameter of a space; returns them by key."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {key: trial._suggest(key, one) for key, one in distributions(space).items()}


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.kind == "choice":
        return CategoricalDistribution(parameter.choices)
    if parameter.kind == "int":
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
