"""Pictures of a study: history, importance, slices, bins against sigma, parallel coordinates."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from catzoo.hparams.tuning.samplers import is_default
from catzoo.hparams.tuning.space import Parameter
from catzoo.zoo.folders.study_folder import StudyFolder
from catzoo.zoo.pictures import style
from catzoo.zoo.tuning.outcome import state_of, valued
from catzoo.zoo.tuning.study_plan import Plan

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

COLOURS = "viridis"
FEWEST = 4
"""Trials with a value that a picture needs."""
PAIR = ("value_loss.num_bins", ("value_loss.sigma", "value_loss.sigma_ratio"))


def draw_study(plan: Plan, study: Any, folder: StudyFolder) -> None:
    """Draws every picture that the trials are enough for, into `pictures/`."""
    trials = study.all()
    folder.pictures.mkdir(exist_ok=True)
    with style.styled():
        _save(_history(plan, trials), folder, "history")
        sampled = [trial for trial in _valued(trials) if trial.params]
        if len(sampled) < FEWEST:
            return
        parameters = plan.space.parameters
        _save(_slices(plan, parameters, sampled), folder, "slices")
        if len(parameters) > 1:
            _save(_parallel(plan, parameters, sampled), folder, "parallel_coordinates")
            importance = importance_of(study)
            if importance:
                _save(_importance(plan, importance), folder, "importance")
        pair = _pair(parameters)
        if pair is not None:
            _save(_contour(plan, *pair, sampled), folder, "bins_and_sigma")


def _save(figure: Figure, folder: StudyFolder, name: str) -> None:
    style.publish(figure, folder.pictures / f"{name}.png")


def _valued(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if valued(trial) and math.isfinite(trial.value or 0.0)]


def _worth(plan: Plan) -> str:
    return f"{plan.aggregate} of {plan.objective}"


def _title(plan: Plan, what: str) -> str:
    envs = ", ".join(plan.recipes) if len(plan.recipes) < 3 else f"{len(plan.recipes)} environments"
    return f"{what}: {style.title(plan.agent, plan.loss)} on {envs}"


def _one(plan: Plan, what: str, width: int = 640, height: int = 400) -> tuple[Figure, Axes]:
    figure = style.new_figure(width, height)
    axes = style.place(figure, 86, 50, width - 120, height - 104)
    axes.set_title(_title(plan, what))
    return figure, axes


def _history(plan: Plan, trials: Sequence[FrozenTrial]) -> Figure:
    """Every trial's value in order, and the best so far; at the lower edge what was pruned without one."""
    figure, axes = _one(plan, "Trials")
    having = _valued(trials)
    for state, colour in (("complete", style.BLUE), ("pruned", style.LINE)):
        some = [trial for trial in having if state_of(trial) == state]
        if some:
            label = f"{state} ({len(some)})"
            axes.plot(
                [one.number for one in some], [one.value for one in some], "o", color=colour, label=label
            )
    ended = [trial.number for trial in trials if state_of(trial) == "pruned" and not valued(trial)]
    if ended:
        where = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        label = f"pruned in mid-run ({len(ended)})"
        axes.plot(ended, [0.0] * len(ended), "x", color=style.MUTED, label=label, **where)
    whole = [trial for trial in having if state_of(trial) == "complete"]
    if whole:
        best = np.maximum.accumulate([trial.value or 0.0 for trial in whole])
        axes.step(
            [trial.number for trial in whole], best, where="post", color=style.ORANGE, label="best so far"
        )
        for default in filter(is_default, whole):
            axes.axhline(default.value, color=style.MUTED, linestyle=(0, (2, 2)), label="default")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(_worth(plan))
    axes.grid(axis="y")
    axes.legend(loc="best")
    return figure


def importance_of(study: Any) -> dict[str, float]:
    """How much each key explains (PED-ANOVA, Watanabe et al. 2023); empty if nobody can tell."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = get_param_importances(study.study, evaluator=PedAnovaImportanceEvaluator())
    except (ValueError, RuntimeError):  # too few trials, or all alike
        return {}
    return {key: float(share) for key, share in found.items() if math.isfinite(share)}


def _importance(plan: Plan, importance: dict[str, float]) -> Figure:
    width, height = 640, 130 + 34 * len(importance)
    figure = style.new_figure(width, height)
    axes = style.place(figure, 190, 50, width - 250, height - 104)
    axes.set_title(_title(plan, "Importance"), x=-170 / (width - 250))
    keys = list(importance)[::-1]
    axes.barh(keys, [importance[key] for key in keys], color=style.BLUE, height=0.6)
    for row, key in enumerate(keys):
        axes.text(importance[key], row, f" {importance[key]:.2f}", va="center", color=style.MUTED)
    axes.set_xlim(0, max(importance.values()) * 1.15 or 1)
    axes.set_xlabel("share of what good trials have in common (PED-ANOVA)")
    return figure


def _slices(plan: Plan, parameters: Sequence[Parameter], trials: Sequence[FrozenTrial]) -> Figure:
    """Value against each key by itself."""
    width, height = 300 * len(parameters) + 60, 360
    figure = style.new_figure(width, height)
    for index, parameter in enumerate(parameters):
        axes = style.place(figure, 70 + 300 * index, 50, 250, height - 104)
        for state, colour in (("pruned", style.LINE), ("complete", style.BLUE)):
            some = [trial for trial in trials if state_of(trial) == state and parameter.key in trial.params]
            places = [_place(parameter, trial.params[parameter.key]) for trial in some]
            axes.plot(places, [trial.value for trial in some], "o", color=colour, alpha=0.8)
        _label(axes, parameter, "x")
        axes.grid(axis="y")
        if index == 0:
            axes.set_title(_title(plan, "Slices"))
            axes.set_ylabel(_worth(plan))
    return figure


def _place(parameter: Parameter, value: Any) -> float:
    """Where a value lies on its axis: choices count from 0."""
    return float(parameter.choices.index(value)) if parameter.kind == "choice" else float(value)


def _label(axes: Axes, parameter: Parameter, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    unit = f" (of {parameter.of})" if parameter.of else ""
    axis.set_label_text(f"{parameter.key}{unit}")
    if parameter.kind == "choice":
        axis.set_ticks(range(len(parameter.choices)), [str(choice) for choice in parameter.choices])
    elif parameter.log:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda place, _: f"{place:g}"))
        axis.set_minor_formatter(NullFormatter())


def _pair(parameters: Sequence[Parameter]) -> tuple[Parameter, Parameter] | None:
    """Bins and sigma, if both vary; else the first two numbers."""
    by_key = {parameter.key: parameter for parameter in parameters}
    sigma = next((by_key[key] for key in PAIR[1] if key in by_key), None)
    if PAIR[0] in by_key and sigma is not None:
        return by_key[PAIR[0]], sigma
    return (parameters[0], parameters[1]) if len(parameters) > 1 else None


def _contour(plan: Plan, across: Parameter, up: Parameter, trials: Sequence[FrozenTrial]) -> Figure:
    """Values over two keys: the trials, and a surface between them where there are enough."""
    figure, axes = _one(plan, "Bins and sigma" if across.key == PAIR[0] else "Two keys", 700, 460)
    x = np.array([_place(across, trial.params[across.key]) for trial in trials])
    y = np.array([_place(up, trial.params[up.key]) for trial in trials])
    values = np.array([trial.value for trial in trials], dtype=np.float64)
    _label(axes, across, "x")
    _label(axes, up, "y")
    if len(trials) >= 2 * FEWEST and values.std() > 0:
        grid = _surface(axes, x, y, values, across, up)
        axes.contourf(*grid, levels=12, cmap=COLOURS, alpha=0.5)
    dots = axes.scatter(x, y, c=values, cmap=COLOURS, edgecolors=style.INK, linewidths=0.7, s=46, zorder=3)
    bar = figure.colorbar(dots, ax=axes)
    bar.set_label(_worth(plan))
    return figure


def _surface(
    axes: Axes, x: np.ndarray, y: np.ndarray, values: np.ndarray, across: Parameter, up: Parameter
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values between the trials: a mean weighted by nearness (a Gaussian of a sixth of the axes)."""

    def unit(places: np.ndarray, parameter: Parameter) -> np.ndarray:
        return np.log(places) if parameter.log else places

    sides = []
    for places, parameter in ((x, across), (y, up)):
        own = unit(places, parameter)
        line = np.linspace(own.min(), own.max(), 60)
        sides.append((own, line, max(float(np.ptp(own)), 1e-12)))
    (own_x, line_x, wide), (own_y, line_y, high) = sides
    far = ((line_x[None, :, None] - own_x) / wide) ** 2 + ((line_y[:, None, None] - own_y) / high) ** 2
    weights = np.exp(-0.5 * far * 36)
    surface = (weights * values).sum(-1) / np.maximum(weights.sum(-1), 1e-12)
    surface = np.where(weights.sum(-1) > 0.05, surface, np.nan)  # nothing is known far from all trials
    back = [np.exp(line) if parameter.log else line for line, parameter in ((line_x, across), (line_y, up))]
    return back[0], back[1], np.ma.masked_invalid(surface)


def _parallel(plan: Plan, parameters: Sequence[Parameter], trials: Sequence[FrozenTrial]) -> Figure:
    """A line per trial through the places of its values, the best last and boldest."""
    figure, axes = _one(plan, "Parallel coordinates", 180 * (len(parameters) + 1) + 180, 420)
    ordered = sorted(trials, key=lambda trial: trial.value or 0.0)
    values = np.array([trial.value for trial in ordered], dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    for index, trial in enumerate(ordered):
        heights = [_height(parameter, trial.params[parameter.key]) for parameter in parameters]
        share = (values[index] - low) / (high - low) if high > low else 1.0
        axes.plot(
            range(len(parameters) + 1),
            [*heights, share],
            color=style.ORANGE if index == len(ordered) - 1 else style.BLUE,
            alpha=0.15 + 0.85 * share**2,
            linewidth=2.5 if index == len(ordered) - 1 else 1.2,
        )
    for place, (bottom, top) in enumerate([*(_ends(parameter) for parameter in parameters), (low, high)]):
        axes.axvline(place, color=style.LINE, zorder=0)
        for height, label in ((0.0, bottom), (1.0, top)):
            text = label if isinstance(label, str) else f"{label:.3g}"
            axes.annotate(
                text, (place, height), (5, 0), textcoords="offset points", color=style.MUTED, va="center"
            )
    names = [parameter.key for parameter in parameters]
    axes.set_xticks(range(len(parameters) + 1), [*names, _worth(plan)])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlim(-0.1, len(parameters) + 0.3)
    return figure


def _height(parameter: Parameter, value: Any) -> float:
    """A value's place between its bounds, 0 to 1."""
    place = _place(parameter, value)
    if parameter.kind == "choice":
        return place / (len(parameter.choices) - 1)
    low, high = parameter.low, parameter.high
    if parameter.log:
        place, low, high = math.log(place), math.log(low), math.log(high)
    return (place - low) / (high - low)


def _ends(parameter: Parameter) -> tuple[Any, Any]:
    if parameter.kind == "choice":
        return str(parameter.choices[0]), str(parameter.choices[-1])
    return parameter.low, parameter.high
