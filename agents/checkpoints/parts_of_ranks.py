"""Where each learner's part of a checkpoint lies, and how the parts of N learners are dealt out to M others.

Each new learner gets every M-th of all transitions, by age, with their priorities, and whole environments'
steps that wait for their n-step return. Open episodes are cut. A random stream goes on where there was one of
this rank; a rank that was not there before begins its own.

Legend: N learners before, M now; E environments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tensordict import TensorDict
from torch import Tensor
from torchrl.checkpoint import Checkpoint

from catzoo.agents.checkpoints.journal import NAME
from catzoo.agents.checkpoints.state_files import read_state
from catzoo.agents.learning.data_parallel import Ranks
from catzoo.agents.replay import Replay
from catzoo.agents.replay.prioritized import Prioritized
from catzoo.hparams import RecipeError

RANKS = "ranks"
"""Folder of a checkpoint with a folder of each rank but 0, whose part lies beside it."""
Rows = dict[str, Tensor]


def of_rank(name: str, rank: int) -> str:
    """The name of a file or folder that each rank has: as it is for rank 0."""
    return f"{name}-{rank}" if rank else name


def place_of(rank: int) -> Path:
    """The folder of a rank's part in a checkpoint."""
    return Path(RANKS, str(rank)) if rank else Path()


def is_of_rank(name: str, rank: int) -> bool:
    """Whether a file of a checkpoint, by its path there, is a rank's, or one that all share if it is 0."""
    first, *others = Path(name).parts
    return bool(others and others[0] == str(rank)) if first == RANKS else rank == 0


class Dealt:
    """The parts of N learners in a checkpoint, for one of M.

    Args:
        path: the checkpoint, which is whole.
        before: N.
        ranks: M, and which this is.
    """

    def __init__(self, path: Path, before: int, ranks: Ranks) -> None:
        self.folders = [path / place_of(rank) for rank in range(before)]
        self.before, self.ranks = before, ranks
        self.mine = self.folders[ranks.rank] if ranks.rank < before else None
        """That of the same rank, if there was one."""

    def state(self, name: str, folder: Path | None = None) -> Any:
        """The state of a component of a learner before, of rank 0 if it is not said of which."""
        return read_state(_component(folder or self.folders[0], name))

    def load(self, name: str, part: Any, steps: int) -> None:
        """Gives a component what is its own of the parts; `steps` are those of the checkpoint.

        Raises:
            RecipeError: it cannot be dealt out.
        """
        if name == "progress":
            part.load_state_dict(self.state(name))
        elif name == "collector":
            mine = {} if self.mine is None else self.state(name, self.mine)
            kept = {key: mine[key] for key in ("exploration",) if key in mine}
            part.load_state_dict({"frames": steps // self.ranks.count, **kept})  # type: ignore[arg-type]
        elif name == "rollouts":
            part.load_state_dict({**self.state(name), "rollout": None})
        elif isinstance(part, Replay):
            self._replay(part, [_component(folder, name) for folder in self.folders])
        elif name != "running" and self.mine is not None:  # random streams; returns of open episodes are cut
            part.load_state_dict(self.state(name, self.mine))

    def _replay(self, replay: Replay, folders: Sequence[Path]) -> None:
        if replay.frames is not None:
            raise RecipeError(
                f"replay.store=frames cannot be dealt out: go on with compute.devices={self.before}"
            )
        states = [read_state(folder) for folder in folders]
        replay.records.begin(0)
        found = [
            dealt
            for rank, (folder, state) in enumerate(zip(folders, states, strict=True))
            for dealt in self._rows(folder / "rows", state, rank)
        ]
        if found:
            age = torch.cat([own for own, _ in found])
            order = age.argsort(descending=True)[-replay.capacity :]
            columns = {name: torch.cat([rows[name] for _, rows in found])[order] for name in found[0][1]}
            priority = columns.pop("priority", None)
            replay.records.extend(TensorDict(columns, batch_size=[len(order)]).to(replay.device))
            if isinstance(replay.sampler, Prioritized) and priority is not None:
                slots = torch.arange(len(order), device=replay.device)
                replay.sampler.tree.set(slots, priority.to(replay.device))
                largest = torch.stack([state["sampler"]["max_priority"] for state in states]).amax(0)
                replay.sampler.max_priority.copy_(largest)
        replay.n_step.load_state_dict(self._waiting([state["waiting"] for state in states]))

    def _rows(self, folder: Path, state: Any, rank: int) -> Iterator[tuple[Tensor, Rows]]:
        """This learner's rows of those of a learner before, segment by segment, with their age among all."""
        count, capacity, many = state["count"], state["kind"]["capacity"], self.ranks.count
        for path in sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name)):
            rows = load_file(path)
            number = int(path.name.split("-")[1]) + torch.arange(len(next(iter(rows.values()))))
            age = (count - 1 - number) * self.before + self.before - 1 - rank
            kept = (age % many == many - 1 - self.ranks.rank) & (number >= count - capacity)
            own = {name: column[kept] for name, column in rows.items()}
            if state["sampler"] is not None:
                own["priority"] = state["sampler"]["leaves"].cpu()[number[kept] % capacity]
            yield age[kept], own

    def _waiting(self, states: Sequence[Rows]) -> dict[str, Any]:
        """The steps of this learner's E environments that wait for their n-step return."""
        waiting = [state["waiting"] for state in states if "waiting" in state]
        if len(waiting) < self.before:
            return {}
        joined = {name: torch.cat([rows[name] for rows in waiting]) for name in waiting[0]}
        rank, many = self.ranks.rank, self.ranks.count
        return {"waiting": {name: column.chunk(many)[rank].clone() for name, column in joined.items()}}


def _component(folder: Path, name: str) -> Path:
    """Where a component lies in a learner's part."""
    return folder / str(Checkpoint().manifest(folder)["components"][name]["path"])
