"""Batches from datasets: nothing is played, and steps are gradient updates.

An iteration is one burst of updates; target network, resets and random shifts are as with a replay. Of the
metrics that `bookkeeping.py` lists, those of episodes and exploration are missing here, and
`time/steps_per_second` counts updates.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from catzoo.agents.bookkeeping import Bookkeeping
from catzoo.agents.feeds.bursts import Bursts
from catzoo.agents.learning.learner import Learner
from catzoo.agents.replay import Dataset, ManyReplays

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent


class DatasetFeed:
    """Verifies datasets and samples them, each as much.

    Args:
        agent: who learns.
        learner: takes its steps.
        env: a `gymnasium.vector.VectorEnv`, for its spaces: it is not played.
        seed: of sampling and, where the recipe has it, reward noise.
        datasets: what the agent learns from; of several each is filled up to the environment's spaces.
        settings: of feeds that play, without meaning here.

    Raises:
        ValueError: no dataset, a damaged one, or one of another kind or other spaces; several for an agent
            without discrete actions.
    """

    resumed = True
    """There are no open episodes to lose."""

    def __init__(
        self,
        agent: Agent,
        learner: Learner,
        env: Any,
        *,
        seed: int = 0,
        datasets: Sequence[Dataset] = (),
        **settings: Any,
    ) -> None:
        recipe = agent.recipe
        if not datasets:
            raise ValueError("an offline agent needs a dataset")
        alone = len(datasets) == 1
        if not alone and (agent.replay.kind != "transitions" or agent.actions is not Discrete):
            raise ValueError("several datasets need an agent that learns discrete actions from transitions")
        for dataset in datasets:
            dataset.verify()
            check_columns(dataset, agent.replay.columns_of(dataset), getattr(agent.network, "reads", {}))
            check_spaces(dataset, env, filled_up=not alone)
        if (norm := getattr(agent.network, "normalize", None)) is not None:
            for dataset in datasets:
                norm.update(dataset.columns["observation"])
        self.agent, self.learner, self.env = agent, learner, env
        parts = [
            agent.replay.from_recipe(dataset, recipe, device=learner.device, seed=seed + number)
            for number, dataset in enumerate(datasets)
        ]
        if learner.ranks.rank:  # samples of its own, of data with the same noise
            for number, part in enumerate(parts):
                part.random.manual_seed(learner.ranks.seed(seed + number))
        self.replay = parts[0] if alone else ManyReplays(parts, env.single_observation_space.shape)
        self.bursts = Bursts(agent, learner, self.replay)

    def batches(self, books: Bookkeeping) -> Iterator[Any]:
        """The batches [K, B, ...] of one burst; a row of metrics is due at its end or later."""
        every = self.agent.recipe.log_every
        most = min(books.total_steps - books.steps, every - books.steps % every)
        yield self.bursts.sample(most, books)
        books.steps = books.updates

    def learned(self, td_error_KB: Tensor, books: Bookkeeping) -> None:
        """See `Bursts.learned`."""
        self.bursts.learned(td_error_KB, books)

    def row(self, books: Bookkeeping) -> dict[str, float]:
        """Nothing: no policy plays."""
        return {}

    def components(self) -> dict[str, Any]:
        """The replay's random streams, and the learner."""
        return {"replay": self.replay, "learner": self.learner}

    def rest(self) -> None:
        """Nothing is ever being collected."""

    def cut(self) -> None:
        """Nothing is ever open."""

    def close(self) -> None:
        """Closes the environment that was there for its spaces."""
        self.env.close()


def check_columns(
    dataset: Dataset, columns: Mapping[str, Tensor], reads: Mapping[str, tuple[Any, Any, Any]]
) -> None:
    """Refuses a dataset that a network cannot read.

    Args:
        dataset: of whom it is said.
        columns: its own, [M, ...].
        reads: by column the shape of a row, and the least and the largest of its numbers.

    Raises:
        ValueError: says which column is of another shape, or beyond.
    """
    for name, (shape, least, largest) in reads.items():
        own = tuple(columns[name].shape[1:])
        if own != shape:
            raise ValueError(f"{dataset.folder}: {name} is {list(own)} in each row, not {list(shape)}")
        low, high = columns[name].aminmax(dim=0)
        if not ((low >= torch.as_tensor(least)) & (high <= torch.as_tensor(largest))).all():
            raise ValueError(f"{dataset.folder}: {name} holds numbers that cannot be")


def check_spaces(dataset: Dataset, env: Any, *, filled_up: bool = False) -> None:
    """Refuses a dataset of other observations or actions than an environment's.

    Args:
        dataset: of one action space or another.
        env: for its spaces.
        filled_up: whether the dataset may have less of both.

    Raises:
        ValueError: says which. Kinds of other items than steps have no spaces of an environment's.
    """
    if dataset.kind != "transitions":
        return
    actions = int(getattr(env.single_action_space, "n", 0))
    for name, space in (("observation", env.single_observation_space), ("action", env.single_action_space)):
        own, shape = tuple(dataset.columns[name].shape[1:]), tuple(space.shape)
        less = filled_up and len(own) == len(shape) and all(map(operator.le, own, shape))
        if own != shape and not less:
            within = "not within" if filled_up else "not"
            raise ValueError(f"{dataset.folder}: its {name}s are {list(own)}, {within} {list(shape)}")
    if dataset.num_actions != actions and not (filled_up and 0 < dataset.num_actions < actions):
        raise ValueError(f"{dataset.folder}: it has {dataset.num_actions} actions, not {actions}")
