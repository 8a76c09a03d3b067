"""How right an agent's values are while it learns, and how often its greedy action changes.

Errors are taken along greedy play, and one step ahead on its replay, both in units of the spread of the
returns that followed, since an agent that scores more has larger values to err about.

Legend: N environments, T steps, M states, B batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from catzoo.zoo.studies.study import Row

if TYPE_CHECKING:
    import numpy as np

ENVS = 20
"""Environments of greedy play."""
BATCH = 4_096
"""Transitions of a Bellman error."""
FORGOTTEN = 0.01
"""A state counts, though its episode went on, if all that was not seen is discounted by so much."""


def accuracy(work: Any, recipe: Any, play_steps: int) -> Row:
    """Errors and mean bias of an agent's values, in standard deviations of its Monte-Carlo returns."""
    import numpy as np
    import torch

    from catzoo.agents.callbacks.evaluation import evaluation_mode

    agent = work.agent
    with evaluation_mode(agent), torch.no_grad():
        value, outcome = greedy_play(agent, recipe, play_steps)
        _, td_error_B = agent.critic_loss(_replayed(work))
    # Where nothing was scored there is no spread, and errors stay as they are.
    spread = float(np.std(outcome)) or 1.0
    error = value - outcome
    return {
        "monte_carlo_error": math.sqrt(float(np.mean(error**2))) / spread,
        "bellman_error": math.sqrt(float((td_error_B**2).mean())) / spread,
        "bias": float(np.mean(error)) / spread,
        "mean_return_to_go": float(np.mean(outcome)),
        "spread": spread,
    }


def _replayed(work: Any) -> Any:
    """A batch of the replay; what is measured must not change what is trained."""
    import torch

    state = torch.get_rng_state()
    batches, _ = work.feed.replay.sample(BATCH)
    torch.set_rng_state(state)
    return batches.at(0)


def churn(work: Any, iterations: int) -> float:
    """The share of replayed states whose greedy action an iteration of training changes, mean over some.

    After Schaul et al. 2022 (arXiv 2206.00730), who ask it of single updates. The training goes on.
    """
    import torch

    from catzoo.agents.callbacks.evaluation import evaluation_mode

    states = _replayed(work).observation

    def greedy() -> torch.Tensor:
        with evaluation_mode(work.agent), torch.no_grad():
            return work.agent.appraise(states)[1]  # type: ignore[no-any-return]

    changed, before = 0.0, greedy()
    for _ in range(iterations):
        work.iterate()
        after = greedy()
        changed, before = changed + float((after != before).float().mean()), after
    return changed / iterations


def greedy_play(agent: Any, recipe: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of the states of greedy play [M], and the discounted returns that followed."""
    import numpy as np
    import torch

    from catzoo.zoo.environments.making import stream_seed
    from catzoo.zoo.training.build import build_env

    env = build_env(recipe, ENVS)
    try:
        observation, _ = env.reset(seed=stream_seed(recipe.seed, "accuracy"))
        shape = (steps, ENVS)
        value, reward, done = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
        for t in range(steps):
            outputs_NAK, action = agent.appraise(torch.as_tensor(observation))
            value[t] = agent.value_loss.decode(outputs_NAK).amax(dim=-1).numpy() * agent.unit
            observation, reward[t], terminated, truncated, _ = env.step(action.numpy())
            done[t] = terminated | truncated
    finally:
        env.close()
    outcome, whole = returns_to_go(reward, done, recipe.gamma)
    if not whole.any():  # no episode ended: take all, cut where the play was
        whole[:] = True
    return value[whole], outcome[whole]


def returns_to_go(reward_TN: np.ndarray, done_TN: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Discounted returns [T, N] from each step on, and whether all that counts of its episode was seen."""
    import numpy as np

    outcome, whole = np.zeros(reward_TN.shape), np.zeros(reward_TN.shape, dtype=bool)
    following, ended = np.zeros(reward_TN.shape[1]), np.zeros(reward_TN.shape[1], dtype=bool)
    for t in range(len(reward_TN) - 1, -1, -1):
        following = reward_TN[t] + gamma * np.where(done_TN[t], 0.0, following)
        ended = ended | done_TN[t] | (gamma ** (len(reward_TN) - t) < FORGOTTEN)
        outcome[t], whole[t] = following, ended
    return outcome, whole
