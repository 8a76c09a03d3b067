"""Where rollouts come from: collected when they are asked for, or one ahead in a thread.

`Ahead` lets the environments run while the learner works: the thread spends its time in the environments'
C++ and in torch, which both let go of Python's lock. What it costs is age: a rollout was collected by
weights that have missed the updates of the iteration before, one burst and never more. Weights are copied
between two rollouts, so what is collected depends on no timing, and a seed still decides the run.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDict
from torch import nn

from catzoo.agents.collecting.collector import Episode, VectorCollector
from catzoo.agents.collecting.collector_pool import CollectorPool, PlayedElsewhere
from catzoo.agents.networks import set_noise_generator
from catzoo.agents.replay import flat_tensors, nested_tensors

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent

Rollout = tuple[TensorDict, list[Episode]]
"""Steps [N, T] in TorchRL's layout, and the episodes that ended in them."""


class OnDemand:
    """Collects with the newest weights while the learner waits.

    Args:
        collector: with a policy that holds `network`, or a copy of it.
        network: the one that learns.
    """

    def __init__(self, collector: VectorCollector | CollectorPool, network: nn.Module) -> None:
        self.collector = collector
        self.network = network
        self.epsilon = 1.0
        self.policy_age = 0
        self.pending: Rollout | None = None
        """One that was collected before a checkpoint and not learned from."""

    def next(self, epsilon: float, updates: int) -> Rollout:
        """The next rollout, with the epsilon given; `updates` counts the gradient steps so far."""
        if self.pending is not None:
            rollout, self.pending = self.pending, None
            return rollout
        self.epsilon = epsilon
        self.collector.policy.epsilon = epsilon
        return self._collect()

    def _collect(self) -> Rollout:
        return self.collector.rollout(), self.collector.take_finished()

    def rest(self) -> None:
        """Waits until nothing is being collected."""

    def has_rested(self, patience: float) -> bool:
        """Whether nothing is being collected any more within so many seconds; for the end."""
        return True

    def waiting(self) -> Rollout | None:
        """The rollout that is there and was not asked for yet."""
        return self.pending

    def cut(self) -> bool:
        """Ends the episodes open in the rollout that waits, as truncated; False if there is none."""
        if self.pending is None:
            return False
        following = self.pending[0]["next"]
        following["truncated"][:, -1] |= ~following["terminated"][:, -1]
        following["done"][:, -1] = True
        return True

    def state_dict(self) -> dict[str, Any]:
        """The rollout that waits, once it is there."""
        state: dict[str, Any] = {"epsilon": self.epsilon, "rollout": None}
        waiting = self.waiting()
        if waiting is not None:
            state["rollout"] = flat_tensors(waiting[0])
            state["episodes"] = [tuple(episode) for episode in waiting[1]]
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores it."""
        self.epsilon = state["epsilon"]
        self.pending = None
        if state["rollout"] is not None:
            episodes = [Episode(*episode) for episode in state["episodes"]]
            self.pending = (nested_tensors(state["rollout"]), episodes)


def make_rollouts(agent: Agent, env: Any, *, seed: int, device: torch.device, overlap: bool) -> OnDemand:
    """Rollouts of an agent's policy in N environments, on demand or one ahead.

    Args:
        agent: who plays; its recipe says how long rollouts are.
        env: a `gymnasium.vector.VectorEnv`.
        seed: of the environments and of the exploration.
        device: where the policy computes.
        overlap: whether to collect ahead.
    """
    recipe, space = agent.recipe, env.single_action_space
    acting = copy.deepcopy(agent.network) if overlap else agent.network
    if isinstance(env, PlayedElsewhere):
        pool = CollectorPool(env, agent, acting, rollout_length=recipe.rollout_length, seed=seed)
        return (Ahead if overlap else OnDemand)(pool, agent.network)
    policy = agent.policy(space, seed=seed, network=acting)
    if overlap:  # its own stream: two threads must not share one
        policy.noise = torch.Generator(device).manual_seed(seed)
        set_noise_generator(acting, policy.noise)
    collector = VectorCollector(
        env,
        policy,
        frames_per_batch=recipe.rollout_length * env.num_envs,
        device=device,
        seed=seed,
        gamma=recipe.gamma,
        reward_clip=recipe.reward_clip,
    )
    return (Ahead if overlap else OnDemand)(collector, agent.network)


class Helper:
    """A thread that does one thing after another.

    Unlike the standard library's executors it keeps no process from ending: an environment may hang.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, task: Callable[[], Any]) -> Future[Any]:
        """Has something done."""
        future: Future[Any] = Future()
        self._tasks.put((future, task))
        return future

    def end(self) -> None:
        """Ends the thread when what was submitted is done."""
        self._tasks.put(None)

    def _work(self) -> None:
        while (item := self._tasks.get()) is not None:
            future, task = item
            try:
                future.set_result(task())
            except BaseException as error:
                future.set_exception(error)


class Ahead(OnDemand):
    """Collects the next rollout in a thread while the learner works on the last one.

    `collector.policy.network` must be a copy of `network`; it is brought up to date before each rollout.
    """

    def __init__(self, collector: VectorCollector | CollectorPool, network: nn.Module) -> None:
        super().__init__(collector, network)
        self.thread = Helper("collector")
        self.under_way: Future[Rollout] | None = None
        device = collector.device
        # Its own stream: on the learner's, every action would wait for the whole burst of updates.
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._begun_at = 0

    def next(self, epsilon: float, updates: int) -> Rollout:
        """The rollout under way, after having started the one that follows it."""
        if self.pending is not None:
            rollout, self.pending = self.pending, None
        else:
            if self.under_way is None:
                self._begin(epsilon, updates)
            assert self.under_way is not None
            rollout = self.under_way.result()
        self.policy_age = updates - self._begun_at
        self._begin(epsilon, updates)
        return rollout

    @torch.no_grad()
    def _begin(self, epsilon: float, updates: int) -> None:
        """Hands the collector the newest weights while it rests, and sends it off."""
        self.epsilon = epsilon
        policy = self.collector.policy
        policy.epsilon = epsilon
        torch._foreach_copy_(list(policy.network.parameters()), list(self.network.parameters()))
        if (norm := getattr(policy.network, "normalize", None)) is not None:
            norm.take_over(self.network.normalize)
        self._begun_at = updates
        ready = None if self.stream is None else torch.cuda.current_stream(self.stream.device).record_event()
        self.under_way = self.thread.submit(lambda: self._collect_on_stream(ready))

    def _collect_on_stream(self, ready: torch.cuda.Event | None) -> Rollout:
        if self.stream is not None and ready is not None:
            self.stream.wait_event(ready)
        with torch.cuda.stream(self.stream) if self.stream is not None else contextlib.nullcontext():
            return self._collect()

    def rest(self) -> None:
        """Waits until nothing is being collected; what was is kept for `next`."""
        if self.under_way is not None:
            self.under_way.exception()

    def has_rested(self, patience: float) -> bool:
        """As `OnDemand.has_rested`; ends the thread."""
        self.thread.end()
        if self.under_way is not None:
            try:
                self.under_way.exception(patience)
            except TimeoutError:
                return False
        return True

    def waiting(self) -> Rollout | None:
        """As `OnDemand.waiting`, when it is there; none where its collection failed, which `next` raises."""
        if self.under_way is None:
            return self.pending
        return None if self.under_way.exception() else self.under_way.result()

    def state_dict(self) -> dict[str, Any]:
        """As `OnDemand.state_dict`, with the age of the rollout's weights."""
        return {**super().state_dict(), "begun_at": self._begun_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores it."""
        super().load_state_dict(state)
        self._begun_at = state.get("begun_at", 0)
