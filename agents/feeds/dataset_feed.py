"""Batches from a dataset: nothing is played, and steps are gradient updates.

An iteration is one burst of updates; target network, resets and random shifts are as with a replay. Of the
metrics that `bookkeeping.py` lists, those of episodes and exploration are missing here, and
`time/steps_per_second` counts updates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from catzoo.agents.bookkeeping import Bookkeeping
from catzoo.agents.feeds.bursts import Bursts
from catzoo.agents.learning.learner import Learner
from catzoo.agents.replay import Dataset, read_dataset

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent


class DatasetFeed:
    """Opens, verifies and samples the dataset that the recipe names.

    Args:
        agent: who learns.
        learner: takes its steps.
        env: a `gymnasium.vector.VectorEnv`, for its spaces: it is not played.
        seed: of sampling and, where the recipe has it, reward noise.
        settings: of feeds that play, without meaning here.

    Raises:
        ValueError: no dataset, a damaged one, or one of another kind or other spaces.
    """

    resumed = True
    """There are no open episodes to lose."""

    def __init__(self, agent: Agent, learner: Learner, env: Any, *, seed: int = 0, **settings: Any) -> None:
        recipe = agent.recipe
        if not recipe.dataset:
            raise ValueError("an offline agent needs a dataset")
        dataset = read_dataset(recipe.dataset)
        check_spaces(dataset, env)
        if (norm := getattr(agent.network, "normalize", None)) is not None:
            norm.update(dataset.columns["observation"])
        self.agent, self.learner, self.env = agent, learner, env
        self.replay = agent.replay.from_recipe(dataset, recipe, device=learner.device, seed=seed)
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
        """The replay's random stream, and the learner."""
        return {"replay": self.replay, "learner": self.learner}

    def rest(self) -> None:
        """Nothing is ever being collected."""

    def cut(self) -> None:
        """Nothing is ever open."""

    def close(self) -> None:
        """Closes the environment that was there for its spaces."""
        self.env.close()


def check_spaces(dataset: Dataset, env: Any) -> None:
    """Refuses a dataset of other observations or actions than an environment's.

    Raises:
        ValueError: says which. Kinds of other items than steps have no spaces of an environment's.
    """
    if dataset.kind != "transitions":
        return
    actions = int(getattr(env.single_action_space, "n", 0))
    for name, space in (("observation", env.single_observation_space), ("action", env.single_action_space)):
        own, shape = tuple(dataset.columns[name].shape[1:]), tuple(space.shape)
        if own != shape:
            raise ValueError(f"{dataset.folder}: its {name}s are {list(own)}, not {list(shape)}")
    if dataset.num_actions != actions:
        raise ValueError(f"{dataset.folder}: it has {dataset.num_actions} actions, not {actions}")
