"""Lightning as one process, whatever a cluster's launcher has left in the environment.

Left alone, Lightning takes the variables of Slurm, torchrun, MPI and LSF as a wish for as many processes as
they name, writes no logs where they say that this is not the first, and asks Slurm to start the job again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.rank_zero import rank_zero_only


class OneProcess(LightningEnvironment):
    """The environment of a process that is alone."""

    @property
    def creates_processes_externally(self) -> bool:
        """No."""
        return False

    def local_rank(self) -> int:
        """The first."""
        return 0

    def node_rank(self) -> int:
        """The first."""
        return 0

    def teardown(self) -> None:
        """Nothing: Lightning's own takes a variable from the environment."""


@contextmanager
def first_rank() -> Iterator[None]:
    """Lets Lightning's loggers write: it took this process's rank from the environment."""
    before, rank_zero_only.rank = rank_zero_only.rank, 0
    try:
        yield
    finally:
        rank_zero_only.rank = before
