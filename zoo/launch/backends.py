"""What does jobs: processes of this machine, or a Ray cluster. The loop knows these methods and no more.

A third one, such as Slurm, is one more class with them and a line in `opened`; see docs/scale.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from catzoo.hparams import RecipeError
from catzoo.zoo.launch.jobs import Ending, Needs, Work
from catzoo.zoo.launch.processes import Processes


class AtWork(Protocol):
    """A job that was started. Only `wait` waits; nothing else blocks on a machine that does not answer."""

    job: Any

    def ending(self) -> Ending | None:
        """How it ended; None while it is at work, or waits for room."""

    def look_for_life(self, now: float) -> None:
        """Ends it if it has done nothing for too long."""

    def interrupt(self) -> None:
        """Asks it to save and end."""

    def wait(self, seconds: float | None = None) -> None:
        """Waits until it has ended, or so long."""

    def stop(self) -> None:
        """Ends it at once, as its job is not wanted any more."""

    def kill(self) -> None:
        """Ends it at once."""


class Backend(Protocol):
    """Where jobs are done."""

    def places(self) -> int:
        """How many jobs at a time there is room for, now; at least one."""

    def limited(self, jobs: int) -> Backend:
        """The same for at most so many jobs at a time."""

    def start(self, job: Any) -> AtWork:
        """Starts a job, or has it wait for room.

        Raises:
            OSError: it cannot be started.
        """

    def check(self, words: Sequence[Mapping[str, Any]], needs: Needs) -> str | None:
        """Builds runs where they would be trained; why one cannot be built, None if all can."""


@contextmanager
def opened(
    workers: int | None,
    cluster: str | None,
    jobs: Sequence[Work],
    *,
    bring_back: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Iterator[Backend]:
    """The backend that was asked for, for as long as the block.

    Args:
        workers: jobs at a time; None: one, or as many as the cluster has room for.
        cluster: a Ray cluster's address, or `auto`; None: processes of this machine.
        jobs: what is to be done, or the first of it: what the cluster must have room and folders for.
        bring_back: jobs work in folders of their nodes, which are brought here when they end.
        tell: prints a line; None: nothing is shown.

    Raises:
        RecipeError: the cluster cannot be used; nothing has been written.
    """
    if workers is not None and workers < 1:
        raise RecipeError(f"workers={workers}: must be at least 1")
    if cluster is None:
        if bring_back:
            raise RecipeError("--bring-back is for runs on a cluster: name one with --cluster")
        yield Processes(workers or 1)
    elif not jobs:  # nothing to do
        yield Processes(1)
    else:
        from catzoo.zoo.launch.ray_workers import on_ray

        with on_ray(cluster, workers, jobs, bring_back=bring_back, tell=tell) as backend:
            yield backend
