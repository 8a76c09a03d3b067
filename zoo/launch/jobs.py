"""What a process of its own is started for, and how that ended."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo.folders.run_folder import Run

PYTHON = [sys.executable, "-P", "-m"]
"""-P: the working directory is for the user's packages, and hides none of the library's."""
COMMAND = [*PYTHON, "catzoo.zoo.launch.worker"]


@dataclass(frozen=True)
class Needs:
    """What a job asks a cluster for, and has for itself."""

    cpus: int = 1
    """Cores, and as many threads."""
    gpus: float | None = 0.0
    """Shares of one, or whole ones; None: one if a node has any."""
    memory: float = 0.0
    """GB."""
    devices: int = 1
    """Learners, each with a GPU where one is taken if there is any."""


class Work(Protocol):
    """What a process of its own is started for: a run, or a task of a study."""

    @property
    def log(self) -> Path:
        """Of the process's output."""

    @property
    def command(self) -> list[str]:
        """Of the process, which takes a line of JSON on standard input; see `worker`."""

    def title(self) -> str:
        """For the log."""

    def words(self, threads: int) -> dict[str, Any]:
        """What the process is to do with so many threads, as plain data."""

    def has_result(self) -> bool:
        """Whether it is done."""

    @property
    def needs(self) -> Needs:
        """What it asks a cluster for."""

    @property
    def root(self) -> Path:
        """The folder below which all is that it reads or writes of its own."""

    @property
    def makes(self) -> Path:
        """The folder there that it makes, and no other job writes to."""

    @property
    def reads(self) -> Sequence[Path]:
        """Folders there, of those that exist, that it goes on from."""

    @property
    def holds(self) -> Path:
        """The folder that its process holds while it writes there, see `held_path`."""

    def moved(self, root: Path) -> Self:
        """The same job below another folder."""


AnyWork = TypeVar("AnyWork", bound=Work)


@dataclass(frozen=True)
class Ending:
    """How a job ended."""

    problem: str | None
    """Why it has no result, in a few words; None: it has one, or nobody wants it any more."""
    crashed: bool = False
    """Whether another attempt may fare better."""
    no_room: bool = False
    """Whether the disk was full, so that no other attempt fares better until somebody makes room."""


@dataclass(frozen=True)
class Job:
    """One run: its recipe, its folder, the log of its process, and the arguments of its `train`."""

    recipe: Recipe
    run: Run
    log: Path
    arguments: dict[str, Any]

    @property
    def command(self) -> list[str]:
        """See `Work`."""
        return COMMAND

    def title(self) -> str:
        """See `Work`."""
        return shlex.join(["train", self.recipe.agent, "--run-dir", str(self.run.path)])

    def words(self, threads: int) -> dict[str, Any]:
        """See `Work`."""
        threads = max(threads // self.recipe.compute.devices - self._collectors, 1)  # of each learner
        if 0 < self.recipe.compute.threads <= threads:
            return self.arguments
        overrides = [*self.arguments["overrides"], {"compute": {"threads": threads}}]
        return {**self.arguments, "overrides": overrides}

    def has_result(self) -> bool:
        """See `Work`."""
        try:
            return "interval_95" in (self.run.result() or {})
        except RecipeError:
            return False

    @property
    def needs(self) -> Needs:
        """See `Work`."""
        asked, device = self.recipe.compute, self.recipe.compute.device
        gpus: float | None = asked.gpus
        if gpus is None and device != "auto":
            gpus = float(device.startswith("cuda"))
        cpus = asked.devices * (max(asked.threads, 1) + self._collectors)
        return Needs(cpus, gpus and gpus * asked.devices, asked.memory or 0.0, asked.devices)

    @property
    def _collectors(self) -> int:
        """Processes of a learner that play for it, a core each."""
        collect = getattr(self.recipe, "collect", None)
        collectors = collect.workers if collect is not None and isinstance(collect.workers, int) else 1
        return collectors if collectors > 1 else 0

    @property
    def root(self) -> Path:
        """See `Work`."""
        return self.run.folder.parent

    @property
    def makes(self) -> Path:
        """See `Work`."""
        return self.run.folder

    @property
    def reads(self) -> Sequence[Path]:
        """See `Work`."""
        return (self.makes,)

    @property
    def holds(self) -> Path:
        """See `Work`."""
        return self.makes

    def moved(self, root: Path) -> Job:
        """See `Work`."""
        run = Run(root / self.makes.name)
        arguments = {**self.arguments, "run_dir": str(run.path)}
        return dataclasses.replace(
            self, run=run, log=root / self.log.parent.name / self.log.name, arguments=arguments
        )
