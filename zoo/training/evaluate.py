"""`evaluate`: the greedy policy's score, with everything that it was measured under."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from catzoo.hparams import Playing, Recipe, RecipeError
from catzoo.zoo.environments.making import stream_seed
from catzoo.zoo.environments.names import in_one_run
from catzoo.zoo.environments.protocols import Protocol, protocol_of, protocols_of_games, with_limit
from catzoo.zoo.statistics.intervals import bootstrap_interval, contrast_interval
from catzoo.zoo.system.provenance import cpu_model, versions
from catzoo.zoo.training.named_metrics import named_metrics
from catzoo.zoo.training.torch_state import own_torch
from catzoo.zoo.training.weights import open_agent

if TYPE_CHECKING:
    from catzoo.agents.callbacks.evaluation import Scores

MAX_ENVS = 20
"""Environments that an evaluation steps together."""


@own_torch()
def evaluate(
    run: str | os.PathLike[str],
    *,
    env: str | None = None,
    episodes: int | None = None,
    seed: int | None = None,
    progress: Callable[[int], None] | None = None,
    best: bool = False,
    trust: bool = False,
) -> dict[str, Any]:
    """Scores the greedy policy of a finished run; nothing is written.

    Args:
        run: the run's folder, or the name of one of the zoo's own trained agents.
        env: another environment with the same observations and actions, such as `chess/stockfish-3`.
        episodes: how many, whatever time they take; the recipe's `eval.episodes` by default, within its
            `eval.share`.
        seed: of the evaluation's environments; the run's own by default, which repeats its result.
        progress: called with the number of episodes done.
        best: see `load_agent`.
        trust: see `load_agent`.

    Returns:
        The same mapping as `result.json`.

    Raises:
        RecipeError: not a finished run, a corrupt one, or an environment that does not fit.
    """
    recipe, agent = open_agent(run, best=best, trust=trust)
    if env is not None:
        recipe = _elsewhere(recipe, env)
    scores = evaluate_trained(
        agent, recipe, episodes or recipe.eval.episodes, seed=seed, progress=progress,
        after=None if episodes else recipe.steps,
    )  # fmt: skip
    # The last iteration may have gone a few steps beyond those asked for.
    return {**result_of(recipe, scores), "steps": min(agent.trained_steps or recipe.steps, recipe.steps)}


def _elsewhere(recipe: Recipe, env: str) -> Recipe:
    """The recipe in another environment with the same spaces.

    Raises:
        RecipeError: there is none of this name, or its spaces are others.
    """
    from catzoo.zoo.training.build import build_env

    other, spaces = dataclasses.replace(recipe, env=in_one_run(env)), []
    for one in (recipe, other):
        with contextlib.closing(build_env(one, 1)) as played:
            spaces.append((played.single_observation_space, played.single_action_space))
    if spaces[0] != spaces[1]:
        raise RecipeError(f"{env}: its observations or actions are not those of {recipe.env}")
    return other


@own_torch()
def evaluate_trained(
    agent: Any,
    recipe: Recipe,
    episodes: int,
    *,
    seed: int | None = None,
    purpose: str = "evaluation",
    after: int | None = None,
    protocol: Protocol | None = None,
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """Returns of `episodes` greedy episodes of an agent on its recipe's environment, with its named metrics.

    Args:
        agent, recipe: who plays, and where.
        episodes: how many.
        seed: of the environments; the recipe's by default.
        purpose: tells the evaluation's random streams from others.
        after: steps of the training that this evaluation follows, of which it takes `eval.share` at most;
            None: as many as it needs.
        protocol: the recipe's, where it is known already.
        progress: called with the number of episodes done.
    """
    from catzoo.agents import evaluate_agent
    from catzoo.zoo.training.build import build_env

    most = recipe.eval.max_steps
    protocol = with_limit(protocol or protocol_of(recipe.env, recipe.env_options), most)
    # Each game of several has as many episodes, in as many environments.
    games = len(recipe.games)
    episodes = games * math.ceil(episodes / games)
    together = most_envs(recipe, protocol)
    # An environment of chess has an opening for every two games, one with each colour.
    block = 2 if protocol.name == "chess" else 1
    together = min(together, max(episodes // block, 1))
    num_envs = games * max(min(episodes, together) // games, 1)
    env = build_env(recipe, num_envs, protocol)
    try:
        first = stream_seed(recipe.seed if seed is None else seed, purpose)
        scores = evaluate_agent(
            agent, env, episodes, seed=first, epsilon=recipe.eval.epsilon, progress=progress,
            max_steps=most, block=block, budget=math.inf if after is None else recipe.eval.share * after,
        )  # fmt: skip
    finally:
        env.close()
    if found := named_metrics(agent, recipe):
        scores.metrics = found
    return scores


def most_envs(recipe: Recipe, protocol: Protocol) -> int:
    """How many to step together: a stranger's as often as in training, for want of licences."""
    each = protocols_of_games(protocol)
    stranger = any(one.name == "gymnasium" for one in each) and isinstance(recipe, Playing)
    return min(recipe.num_envs, MAX_ENVS) if stranger else MAX_ENVS


def _by_game(recipe: Recipe, scores: Sequence[float]) -> dict[str, list[float]]:
    """The returns of each game of several; nothing for one."""
    games = recipe.games
    played = list(zip(scores, getattr(scores, "envs", ()), strict=False))
    each = {game: [score for score, env in played if env % len(games) == i] for i, game in enumerate(games)}
    return {game: own for game, own in each.items() if own} if len(games) > 1 else {}


def _of_game(returns: Sequence[float]) -> dict[str, Any]:
    return {
        "mean_return": float(np.mean(returns)),
        "interval_95": list(bootstrap_interval(returns)),
        "std_return": float(np.std(returns)),
        "episodes": len(returns),
    }


def result_of(recipe: Recipe, scores: Sequence[float], protocol: Protocol | None = None) -> dict[str, Any]:
    """What result.json says about `scores`."""
    each = _by_game(recipe, scores)
    mean, (low, high) = float(np.mean(scores)), bootstrap_interval(scores)
    if each:  # of several games the mean over them, however many episodes each has
        mean = float(np.mean([np.mean(own) for own in each.values()]))
        if all(len(own) > 1 for own in each.values()):
            _, low, high = contrast_interval(list(each.values()), [1 / len(each)] * len(each))
    games = {"games": {game: _of_game(own) for game, own in each.items()}} if each else {}
    metrics = dict(getattr(scores, "metrics", {}))
    return {
        "agent": recipe.agent,
        "env": recipe.env,
        "loss": recipe.value_loss.name,
        "seed": recipe.seed,
        "steps": recipe.steps,
        "mean_return": mean,
        "interval_95": [low, high],
        **games,
        **({"metrics": metrics} if metrics else {}),
        "median_return": float(np.median(scores)),
        "std_return": float(np.std(scores)),
        "episodes": len(scores),
        "returns": list(scores),
        "cut": getattr(scores, "cut", 0),
        "spent": getattr(scores, "spent", False),
        "policy": f"epsilon-greedy, {recipe.eval.epsilon:g}" if recipe.eval.epsilon else "greedy",
        "protocol": (protocol or protocol_of(recipe.env, recipe.env_options)).to_dict(),
        "versions": versions(),
        "cpu": cpu_model(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
