"""Many seeds of one DQN in one process: they collect side by side and learn in one computation.

Legend: S members of a group, N environments of each, T steps, B batch, K batches.

Each member is the ordinary agent of its seed, with environments, exploration, replay and optimizer of its
own, and draws from the random streams that it would draw from alone: it makes the same updates on the same
samples, equal to rounding. (Sooner or later an argmax turns on a rounding error; from there on it is another
run of the same law.) What is shared is arithmetic: parameters are stacked [S, ...], and one forward and
backward pass serves all, on the sum of the members' mean losses. Adam is element-wise: each member's
optimizer moves its part of the stack, with a count of its own, since members that lose steps to resets are
not always due together. Those that owe no update are computed along and not moved.

On a CPU, members are computed in groups that the processor's caches can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import numpy as np
import torch
from torch import Tensor

from catzoo.agents.agent import Agent
from catzoo.agents.collector import _to_tensordict
from catzoo.agents.dqn import DQN
from catzoo.agents.exploration import EpsilonGreedy
from catzoo.agents.networks import StackedNetwork
from catzoo.agents.off_policy import MAX_BURST
from catzoo.agents.replay import Batch

GROUP_BYTES = 4 * 2**20
"""Of parameters of a group's networks, on a CPU; their targets, gradients and moments are four times that."""


class Ensemble:
    """Trains S DQNs that differ in nothing but their seeds; `iterate` is the whole of it.

    Args:
        makers: each makes a member, attached and with its `total_steps`. What it leaves torch's global
            random stream at is where that member's own begins.
        group: members that are computed together; by default as many as fit `GROUP_BYTES`, on a GPU all.

    `culprit` is the member last looked at: the one whose loss it was when a `NotFiniteError` is raised.

    Raises:
        ValueError: members that cannot learn together: not a DQN, prioritised, noisy, compiled, graphed,
            recorded or collecting ahead.
    """

    def __init__(self, makers: Iterable[Callable[[], Agent]], group: int | None = None) -> None:
        self.members: list[DQN] = []
        self._streams: list[Tensor] = []
        self.culprit = 0
        try:
            for make in makers:
                self.members.append(cast(DQN, make()))
                _check(self.members[-1])
                self._streams.append(torch.get_rng_state())
            parts = np.array_split(
                np.arange(len(self.members)), -(-len(self.members) // (group or self._fits()))
            )
            self.groups = [_Group(int(part[0]), [self.members[index] for index in part]) for part in parts]
        except BaseException:
            self.close()
            raise

    def _fits(self) -> int:
        """How many members to compute together."""
        parameters = list(self.members[0].network.parameters())
        if parameters[0].is_cuda:
            return len(self.members)
        return max(GROUP_BYTES // sum(parameter.nbytes for parameter in parameters), 1)

    @contextmanager
    def stream(self, index: int) -> Iterator[None]:
        """Makes a member's random stream torch's global one."""
        before = torch.get_rng_state()
        torch.set_rng_state(self._streams[index])
        try:
            yield
        finally:
            self._streams[index] = torch.get_rng_state()
            torch.set_rng_state(before)

    def playing(self) -> list[int]:
        """Members that have steps left."""
        return [i for i, member in enumerate(self.members) if member.steps < member.total_steps]

    def iterate(self) -> list[int]:
        """Collect and learn, for each member that has steps left; returns which those were."""
        playing = self.playing()
        for group in self.groups:
            rows = [index - group.first for index in playing if 0 <= index - group.first < group.size]
            if rows:
                group.collect(rows)
                self._learn(group, rows)
        for index in playing:
            member, self.culprit = self.members[index], index
            member.check_losses()
            if member.steps - member._last_row >= member.options.log_every:
                member.log_row()
        return playing

    def _learn(self, group: _Group, rows: Sequence[int]) -> None:
        """The updates that are due, as many at once as all have in common who are due any."""
        while True:
            ready = {row: group.members[row] for row in rows if len(group.members[row].replay)}
            due = {row: min(one.updates_due(), one._until_event()) for row, one in ready.items()}
            due = {row: count for row, count in due.items() if count > 0}
            if not due:
                return
            self._burst(group, list(due), min(MAX_BURST, *due.values()))

    def _burst(self, group: _Group, active: Sequence[int], count: int) -> None:
        """`count` updates of some members, each on samples of its own, and what follows from them."""
        sampled = {}
        for row in active:
            with self.stream(group.first + row):
                sampled[row] = group.members[row]._sample(count)[0]
        filler = sampled[active[0]]
        batches = _side_by_side([sampled.get(row, filler) for row in range(group.size)])
        taken = [group.step(batches.at(k), active) for k in range(count)]
        loss_KS = torch.stack([loss_S for loss_S, _ in taken])
        td_error_KSB = torch.stack([td_error_SB for _, td_error_SB in taken])
        for row in active:
            member, self.culprit = group.members[row], group.first + row
            member.check_losses()
            member._learned(sampled[row], loss_KS[:, row], td_error_KSB[:, row])
            with self.stream(self.culprit):
                member._after_burst()

    def close(self) -> None:
        """Closes every member's environments."""
        for member in self.members:
            member.close()


class _Group:
    """Members whose parameters are one stack.

    Args:
        first: which member of the ensemble is the first one here.
        members: those that are.
    """

    def __init__(self, first: int, members: Sequence[DQN]) -> None:
        self.first, self.members, self.size = first, members, len(members)
        one = members[0]
        # It has everybody's network, and knows nothing but `update`.
        network = StackedNetwork([member.network for member in members])
        self.agent = DQN(network, one.value_loss, one.options, double=bool(one.double))
        self.agent.target = StackedNetwork([member.target for member in members]).requires_grad_(False)
        self.parameters = list(network.parameters())
        self.autocast = one.learner.autocast
        for member in members:
            member._attach_learner()  # its moments lie in memory as the parameters do now
        self.seen: np.ndarray | None = None

    def collect(self, rows: Sequence[int]) -> None:
        """A rollout [N, T] of each of some members, into its replay."""
        members = [self.members[row] for row in rows]
        arrays = [member.collector._begin() for member in members]
        for member in members:
            member.rollouts.epsilon = member.options.exploration(member.steps)
            _policy(member).epsilon = member.rollouts.epsilon
        if self.seen is None:
            like = arrays[0]["observation"]
            self.seen = np.zeros((self.size, *like.shape[1:]), like.dtype)
        for t in range(len(arrays[0]["action"])):
            for row, member, own in zip(rows, members, arrays, strict=True):
                self.seen[row] = member.collector._observe(own, t)
            actions = self.act(self.seen, rows)
            for member, own, action in zip(members, arrays, actions, strict=True):
                member.collector._step(own, t, action)
        for member, own in zip(members, arrays, strict=True):
            rollout = _to_tensordict(own)
            member._take(rollout, member.collector.take_finished())
            member.replay.add(rollout)

    @torch.no_grad()
    def act(self, seen: np.ndarray, rows: Sequence[int]) -> list[np.ndarray]:
        """Actions [N] of some members, for what all see, [S, N, ...]."""
        drawn = [_policy(self.members[row]).draw(seen.shape[1]) for row in rows]
        if all(explore.all() for explore, _ in drawn):
            return [anywhere for _, anywhere in drawn]
        observation = torch.from_numpy(seen).to(self.parameters[0].device, non_blocking=True)
        values = self.agent.value_loss.decode(self.agent.network(observation.flatten(0, 1)))
        greedy_SN = values.argmax(dim=-1).view(seen.shape[:2]).cpu().numpy()
        return [
            np.where(explore, anywhere, greedy_SN[row])
            for row, (explore, anywhere) in zip(rows, drawn, strict=True)
        ]

    def step(self, batch: Batch, active: Sequence[int]) -> tuple[Tensor, Tensor]:
        """One update of some members on a batch [S·B, ...] of all: mean losses [S], TD errors [S, B]."""
        with self.autocast:
            loss, td_error = self.agent.update(batch)
        loss_S = loss.view(self.size, -1).mean(1)
        gradients = torch.autograd.grad(loss_S.sum(), self.parameters)
        for row, own in enumerate(zip(*(gradient.unbind() for gradient in gradients), strict=True)):
            if row in active:
                self.members[row].learner.descend(own)
        return loss_S.detach(), td_error.view(self.size, -1)


def _policy(member: DQN) -> EpsilonGreedy:
    return cast(EpsilonGreedy, member.collector.policy)


def _side_by_side(batches: Sequence[Batch]) -> Batch:
    """S times K batches [K, B, ...] as K batches [K, S·B, ...]."""
    given = [name for name, column in batches[0]._asdict().items() if column is not None]
    columns = {name: torch.stack([getattr(batch, name) for batch in batches], 1) for name in given}
    return Batch(**{name: column.flatten(1, 2) for name, column in columns.items()})


def _check(member: Agent) -> None:
    """ValueError for an agent that cannot be a member."""
    if type(member) is not DQN:
        raise ValueError(f"an ensemble is of DQN, not of {type(member).__name__}")
    options = member.options
    refused = {
        "prioritised replay": options.priorities is not None,
        "compile": options.learner.get("compile"),
        "cuda_graph": options.learner.get("cuda_graph"),
        "overlap": options.overlap,
        "a recorder": member.recorder is not None,
    }
    for what, asked in refused.items():
        if asked:
            raise ValueError(f"an ensemble takes no {what}")
