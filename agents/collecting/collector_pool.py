"""Many collectors for one learner, as one: rollouts of all their environments, side by side.

The pool takes a `VectorCollector`'s place. It hands the newest weights to its players between two rollouts,
so that every step of a rollout was played by one set of weights, and a seed decides a run whatever the
players' speed. A player that dies is replaced, a few times; its open episodes end there.

Legend: N environments, T steps.
"""

from __future__ import annotations

import copy
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from gymnasium.vector import VectorEnv
from tensordict import TensorDict
from torch import Tensor, nn

from catzoo.agents.collecting.collector import Episode
from catzoo.agents.collecting.players import PATIENCE, Asked, LostPlayerError, Played, Share
from catzoo.agents.learning.data_parallel import ALONE
from catzoo.agents.replay import nested_tensors

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent

REPLACEMENTS = 3
"""Times that a dead player is replaced, all of a run's together."""
ANEW = ("collector", "anew")
"""Column [N, T] of steps before which an environment was begun anew, without an end."""


class PlayedElsewhere(VectorEnv):
    """Stands for N environments that players make: it has their spaces, and is never stepped.

    Args:
        sample: an environment of the kind, for its spaces.
        num_envs: N.
        workers: players, which share the N evenly.
        make: makes so many environments, where they are played; it can be pickled.
        start: starts a player.
        put: takes weights to where all players find them; None: the players share this machine's memory.
        leave: called when they are not needed any more.

    Raises:
        ValueError: environments that cannot be shared evenly.
    """

    def __init__(
        self,
        sample: VectorEnv,
        num_envs: int,
        workers: int,
        make: Callable[[int], VectorEnv],
        start: Callable[[Share], Asked],
        put: Callable[[Sequence[Tensor]], Any] | None = None,
        leave: Callable[[], None] = lambda: None,
    ) -> None:
        if num_envs % workers:
            raise ValueError(f"num_envs={num_envs} cannot be shared evenly by {workers} collectors")
        self.sample, self.num_envs, self.workers = sample, num_envs, workers
        self.make, self.start, self.put, self.leave = make, start, put, leave
        self.single_observation_space = sample.single_observation_space
        self.single_action_space = sample.single_action_space
        self.metadata, self.spec = sample.metadata, sample.spec

    @property
    def unwrapped(self) -> Any:
        """The sample's."""
        return self.sample.unwrapped

    def close_extras(self, **kwargs: Any) -> None:
        """Closes the sample, and leaves where the others were played."""
        self.sample.close()
        self.leave()


class Lead(nn.Module):
    """What a pool's players play by: a network, and a share of random actions."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.epsilon = 1.0


class CollectorPool:
    """Collects with many players; see the module.

    Args:
        env: what is played elsewhere.
        agent: who plays; the players get copies.
        network: whose weights they play with.
        rollout_length: T.
        seed: of the environments and of the exploration.
    """

    def __init__(
        self, env: PlayedElsewhere, agent: Agent, network: nn.Module, *, rollout_length: int, seed: int
    ) -> None:
        self.env, self.policy, self.num_envs = env, Lead(network), env.num_envs
        self.device = next(network.parameters()).device
        """Where weights are handed over from; players compute on the CPU."""
        self.frames_per_batch = rollout_length * env.num_envs
        own = env.num_envs // env.workers
        copied = on_cpu(agent)
        self.shares = [
            Share(copied, env.make, own, number * own, rollout_length, seed, env.num_envs)
            for number in range(env.workers)
        ]
        self.players = [env.start(share) for share in self.shares]
        self.weights = [tensor.detach().to("cpu", copy=True) for tensor in network.state_dict().values()]
        for tensor in self.weights:
            tensor.share_memory_()
        self.begun: set[int] = set()
        """Players that took a dead one's place since the last rollout."""
        self.handed: set[int] = set()
        """Players that have the memory of the weights."""
        self.frames, self.resumed, self.lost = 0, False, 0
        self.finished: list[Episode] = []
        self.counts = [0] * env.workers
        """Frames of each player."""

    def rollout(self) -> TensorDict:
        """One batch [N, T], the players' shares one after the other."""
        with torch.no_grad():
            torch._foreach_copy_(self.weights, list(self.policy.network.state_dict().values()))
        elsewhere = None if self.env.put is None else self.env.put(self.weights)
        for number in range(len(self.players)):
            self._ask(number, elsewhere)
        answers = [self._answer(number, elsewhere) for number in range(len(self.players))]
        for answer in answers:  # when all are in: one that waits would be taken for that of the next question
            if isinstance(answer, FloatingPointError):
                raise answer
        parts = [answer for answer in answers if not isinstance(answer, FloatingPointError)]
        self._book([(episodes, frames) for _, episodes, frames in parts])
        return torch.cat([nested_tensors(steps) for steps, _, _ in parts])  # type: ignore[return-value]

    def _ask(self, number: int, elsewhere: Any) -> None:
        """Has a player play a rollout, with weights from elsewhere or the memory that is shared."""
        weights = elsewhere if elsewhere is not None or number in self.handed else self.weights
        self.handed.add(number)
        self.players[number].ask("rollout", weights, self.policy.epsilon)

    def _answer(self, number: int, elsewhere: Any) -> Played | FloatingPointError:
        """A player's rollout, or that of the one that takes its place; or what its simulator failed with."""
        while True:
            try:
                steps, episodes, frames = self.players[number].answer()
                break
            except FloatingPointError as error:
                return error
            except LostPlayerError as error:
                self._replace(number, error)
                self._ask(number, elsewhere)
        steps[".".join(ANEW)] = torch.zeros_like(steps["collector.mask"])
        steps[".".join(ANEW)][:, 0] = number in self.begun
        self.begun.discard(number)
        return steps, episodes, frames

    def _replace(self, number: int, error: LostPlayerError) -> None:
        self.lost += 1
        if self.lost > REPLACEMENTS:
            raise RuntimeError(f"{error}, the {self.lost}th of this run") from None
        self._start(number, self.shares[number].again())
        self.begun.add(number)

    def _start(self, number: int, share: Share) -> None:
        """Another player in a player's place."""
        self.players[number].close(time.monotonic() + PATIENCE)
        self.shares[number], self.players[number] = share, self.env.start(share)
        self.counts[number] = 0
        self.handed.discard(number)

    def _book(self, answers: Sequence[tuple[list[Episode], int]]) -> None:
        """Counts what all have played; an episode ended when so many steps had been made by all together."""
        before = self.frames
        self.frames += sum(frames - count for (_, frames), count in zip(answers, self.counts, strict=True))
        ended = [
            episode._replace(
                step=min(before + max(episode.step - count, 1) * len(answers), self.frames),
                env=share.first + episode.env,
            )
            for (episodes, _), count, share in zip(answers, self.counts, self.shares, strict=True)
            for episode in episodes
        ]
        self.finished += sorted(ended, key=lambda episode: episode.step)
        self.counts = [frames for _, frames in answers]

    def take_finished(self) -> list[Episode]:
        """Episodes that ended since the last call."""
        finished, self.finished = self.finished, []
        return finished

    def state_dict(self) -> OrderedDict[str, Any]:
        """The counts, and every player's state."""
        for player in self.players:
            player.ask("state")
        states = {str(number): self._state(number) for number in range(len(self.players))}
        return OrderedDict(frames=self.frames, lost=self.lost, players=states)

    def _state(self, number: int) -> dict[str, Any]:
        while True:
            try:
                return self.players[number].answer()  # type: ignore[no-any-return]
            except LostPlayerError as error:
                self._replace(number, error)
                self.players[number].ask("state")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores them; of other collectors only the count of frames, and new episodes begin."""
        self.frames = state["frames"]
        states = state.get("players", {})
        self.resumed = len(states) == len(self.players)
        if self.resumed:
            self.lost = state["lost"]
            for number, player in enumerate(self.players):
                player.ask("load", states[str(number)])
            answers = [player.answer() for player in self.players]  # each, whatever the others said
            self.resumed = all(answers)
            self.counts = [states[str(number)]["frames"] for number in range(len(self.players))]
        else:
            self._start_over()

    def _start_over(self) -> None:
        """New players with seeds that were not used before."""
        for number, share in enumerate(self.shares):
            self._start(number, replace(share, seed=share.seed + self.num_envs + self.frames))

    def shutdown(self) -> None:
        """Ends the players."""
        deadline = time.monotonic() + PATIENCE
        for player in self.players:
            player.dismiss()
        for player in self.players:
            player.close(deadline)
        self.env.close()


def on_cpu(agent: Agent) -> Agent:
    """A copy of an agent on the CPU, which knows of no other learners."""
    ranks, agent.ranks = agent.ranks, ALONE
    try:
        return copy.deepcopy(agent).to("cpu")
    finally:
        agent.ranks = ranks
