"""Greedy evaluation: the scores of a fixed number of episodes, whole unless a limit cuts them.

Every environment plays the same number of episodes (give or take one), and only those count. Taking
the first episodes to finish would favour short ones; a budget that is spent does, and is said to have cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import nn

from catzoo.agents.agent import Agent
from catzoo.agents.collecting.collector import Episode, VectorCollector

EPISODE_CAP = 27_000
"""Agent steps after which an episode is cut: 108,000 Atari frames, half an hour of play."""


class Scores(list[float]):
    """Undiscounted returns of episodes, in the order in which they ended."""

    envs: Sequence[int] = ()
    """In which environment each was played."""
    cut: int = 0
    """How many of them were cut, and count with what they had by then."""
    spent: bool = False
    """Whether the budget ended the evaluation, so that there may be fewer than were asked for."""
    metrics: Mapping[str, float] = MappingProxyType({})
    """What else was measured of the same agent, by name."""


def evaluate_policy(
    policy: nn.Module,
    env: VectorEnv,
    episodes: int,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    max_steps: int = EPISODE_CAP,
    budget: float = math.inf,
    block: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """Undiscounted returns of `episodes` episodes.

    Args:
        policy: observation [N, ...] to actions [N] on the host.
        env: vector environment; it is reset, and not closed.
        episodes: how many; all environments play as many, or one block less than the first ones.
        seed: of environment 0; the others follow.
        device: where the policy lives.
        max_steps: an episode is cut after so many, looked at every 8. The environment goes on, which counts
            as the next episode: a limit of its own is better.
        budget: steps of all episodes together. When they are played, those that are open are cut, and no
            more begin.
        block: episodes in a row that belong together, such as the two games of an opening.
        progress: called with the number of episodes done.
    """
    blocks = math.ceil(episodes / block)
    quota = np.full(env.num_envs, block * (blocks // env.num_envs))
    quota[: blocks % env.num_envs] += block
    quota[(blocks - 1) % env.num_envs] -= blocks * block - episodes
    played: list[int] = []
    collector = VectorCollector(env, policy, frames_per_batch=8 * env.num_envs, device=device, seed=seed)
    scores = Scores()

    def take() -> list[Episode]:
        """Episodes that ended, as far as they count."""
        taken = []
        for episode in collector.take_finished():
            if quota[episode.env] > 0:
                quota[episode.env] -= 1
                scores.append(episode.score)
                played.append(episode.env)
                taken.append(episode)
        return taken

    while quota.any() and not scores.spent:
        collector.rollout()
        scores.cut += sum(episode.length >= max_steps for episode in take())
        scores.spent = bool(quota.any()) and collector.frames >= budget
        collector.cut_episodes(1 if scores.spent else max_steps)
        scores.cut += len(take())
        if progress is not None:
            progress(len(scores))
    scores.envs = played
    return scores


def evaluate_agent(
    agent: Agent,
    env: VectorEnv,
    episodes: int,
    *,
    seed: int,
    epsilon: float = 0.0,
    **limits: Any,
) -> Scores:
    """Returns of the agent's greedy policy, noisy layers silent; see `evaluate_policy`.

    `epsilon` is the share of random actions: with a little of it the episodes of a deterministic game differ.
    """
    policy = agent.policy(env.single_action_space, seed=seed)
    policy.epsilon = epsilon
    device = next(agent.network.parameters()).device
    with evaluation_mode(agent):
        return evaluate_policy(policy, env, episodes, seed=seed, device=device, **limits)


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Puts a module and its parts in evaluation mode, in which noisy layers are silent, and back."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
