"""Writes a share of the transitions that a run collects to a dataset, see `dataset.py`.

Every transition is kept with the same probability, by a random stream of the recorder's own, so that
recording changes nothing else in a run. Columns are files that grow; a checkpoint counts their rows, and when
a run goes on from one, what lies beyond that count is cut off.

Legend: N environments, T steps, M transitions.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from tensordict import TensorDictBase
from torch import Tensor

from catzoo.agents.replay.dataset import FORMATS, MANIFEST, META, crc32, write_json
from catzoo.agents.replay.dataset_kinds import DTYPES, NO_ACTION
from catzoo.agents.replay.n_step import flat_tensors, nested_tensors
from catzoo.hparams.published_files import settle


class Recorder:
    """Keeps each transition with probability `share`; the newest step of each environment waits for its next
    action, and one that still waits at the end of a run is not recorded.

    Args:
        folder: of the dataset; made when there is something to write, and what an earlier start left there
            is overwritten.
        share: in (0, 1].
        num_actions: A; 0 where actions are continuous.
        seed: of the recorder's stream.
        about: plain data for the manifest, such as where the data is from.

    Raises:
        ValueError: a share that is none.
    """

    def __init__(
        self,
        folder: Path | str,
        share: float,
        *,
        num_actions: int,
        seed: int = 0,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share={share} must be above 0 and at most 1")
        self.folder, self.share, self.num_actions = Path(folder), share, num_actions
        self.about = dict(about or {})
        self.random = np.random.default_rng(seed)
        self.waiting: TensorDictBase | None = None
        self.count = 0
        """Transitions written."""
        self.seen = 0
        """Transitions that could have been."""
        self.episodes, self.total_return = 0, 0.0
        self.columns: dict[str, dict[str, Any]] = {}
        """Shape and dtype of each, and the CRC-32 of its rows."""
        self._files: dict[str, BinaryIO] = {}

    def add(self, rollout: TensorDictBase, scores: Iterable[float] = ()) -> None:
        """Takes a rollout [N, T] in TorchRL's layout, on the host, and the returns of what ended in it."""
        for score in scores:
            self.episodes += 1
            self.total_return += score
        before, self.waiting = self.waiting, rollout[:, -1:].clone()
        action = rollout["action"]
        if before is not None:
            self._keep(before, action[:, :1])
        self._keep(rollout[:, :-1], action[:, 1:])

    def _keep(self, steps: TensorDictBase, next_action: Tensor) -> None:
        """Writes a share of steps [N, T], time-major; reset steps are none."""
        following = steps["next"]
        mask = steps.get(("collector", "mask"), None)
        valid = torch.ones(steps.shape).T if mask is None else mask.T
        index = valid.flatten().nonzero().squeeze(-1)
        self.seen += len(index)
        index = index[torch.from_numpy(self.random.random(len(index)) < self.share)]
        if not len(index):
            return
        where = (index % len(steps), index // len(steps))
        done, next_action = following["done"][where].squeeze(-1), next_action[where]
        next_action[done] = math.nan if next_action.is_floating_point() else NO_ACTION
        self._write({
            "observation": steps["observation"][where],
            "action": steps["action"][where],
            "reward": following["reward"][where].squeeze(-1),
            "next_observation": following["observation"][where],
            "terminated": following["terminated"][where].squeeze(-1),
            "next_action": next_action,
        })  # fmt: skip

    def _write(self, columns: dict[str, Tensor]) -> None:
        """Appends transitions [M] to the files."""
        columns = {name: column.contiguous() for name, column in columns.items()}
        if not self.columns:
            self.columns = {
                name: {"shape": list(column.shape[1:]), "dtype": str(column.dtype), "crc32": 0}
                for name, column in columns.items()
            }
        self._open()
        for name, column in columns.items():
            self._files[name].write(memoryview(column.numpy()).cast("B"))
            self.columns[name]["crc32"] = crc32(column, self.columns[name]["crc32"])
        self.count += len(columns["action"])

    def _open(self) -> None:
        """Opens the columns' files and cuts them to what is counted."""
        if self._files:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MANIFEST).unlink(missing_ok=True)
        for name in self.columns:
            path = self.folder / f"{name}.memmap"
            path.touch()
            self._files[name] = file = path.open("r+b")
            file.truncate(self.count * self._row_bytes(name))
            file.seek(0, os.SEEK_END)
        if self.count:
            self.publish()

    def _row_bytes(self, name: str) -> int:
        spec = self.columns[name]
        return math.prod(spec["shape"]) * DTYPES[spec["dtype"]].itemsize

    def publish(self) -> None:
        """Sees that all rows are on the disk, and writes the manifest of them; nothing without a row.

        Raises:
            OSError: it cannot be written.
        """
        if not self.count:
            return
        self._open()
        for file in self._files.values():
            file.flush()
            settle(file.fileno())
        columns = {
            name: {"device": "cpu", "shape": [self.count, *spec["shape"]], "dtype": spec["dtype"]}
            for name, spec in self.columns.items()
        }
        kind = "<class 'tensordict._td.TensorDict'>"
        nested = {name: {**spec, "is_nested": False} for name, spec in columns.items()}
        write_json(self.folder / META, {**nested, "shape": [self.count], "device": "cpu", "_type": kind})
        write_json(self.folder / MANIFEST, self.manifest())

    def manifest(self) -> dict[str, Any]:
        """What is recorded by now."""
        return {
            "format": FORMATS[-1],
            "kind": "transitions",
            **self.about,
            "count": self.count,
            "steps": self.seen,
            "share": self.share,
            "num_actions": self.num_actions,
            "mean_return": self.total_return / self.episodes if self.episodes else None,
            "episodes": self.episodes,
            "columns": self.columns,
        }

    def cut(self) -> None:
        """Marks the steps that wait as truncated, for when what follows is another episode."""
        if self.waiting is not None:
            self.waiting["next", "done"][:] = True

    def close(self) -> None:
        """Closes the files, without a word to the manifest."""
        files, self._files = self._files, {}
        for file in files.values():
            file.close()

    def state_dict(self) -> dict[str, Any]:
        """Counts and the random stream; publishes, so that what a checkpoint counts is on the disk."""
        self.publish()
        return {
            "count": self.count,
            "seen": self.seen,
            "episodes": self.episodes,
            "total_return": self.total_return,
            "columns": {name: dict(spec) for name, spec in self.columns.items()},
            "random": self.random.bit_generator.state,
            "waiting": None if self.waiting is None else flat_tensors(self.waiting),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores them; what was recorded since is overwritten.

        Raises:
            ValueError: the dataset has lost rows.
        """
        self.close()
        self.count, self.seen = state["count"], state["seen"]
        self.episodes, self.total_return = state["episodes"], state["total_return"]
        self.columns = {name: dict(spec) for name, spec in state["columns"].items()}
        self.random.bit_generator.state = state["random"]
        self.waiting = None if state["waiting"] is None else nested_tensors(state["waiting"])
        for name in self.columns:
            path = self.folder / f"{name}.memmap"
            if not path.is_file() or path.stat().st_size < self.count * self._row_bytes(name):
                raise ValueError(f"the recorded dataset has lost rows: {path.name} is missing or torn")
