"""What a Ray cluster costs: `python -m catzoo.zoo.bench.cluster_overhead --out zoo/results`.

| what | row: median of some times, in seconds |
|---|---|
| start | starting Ray on this machine, as `--cluster auto` does where none runs, and asking its nodes |
| join | joining a Ray that runs, and asking its nodes |
| process | a job that does nothing, as a process of this machine |
| ray | the same job on a node of a Ray that runs; the difference is what a job costs there |
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catzoo.zoo.bench.rows import Row, stamp, whole, write_results
from catzoo.zoo.launch.backends import Backend, opened
from catzoo.zoo.launch.job_loop import run_jobs
from catzoo.zoo.launch.jobs import Ending, Needs
from catzoo.zoo.system.console import say

COLUMNS = (
    "what", "times", "median_s", "least_s", "most_s", "cpu", "cores", "versions", "load", "date", "command",
)  # fmt: skip


@dataclass(frozen=True)
class Nothing:
    """A job that does nothing; see `jobs.Work`."""

    root: Path
    needs: Needs = dataclasses.field(default_factory=Needs)

    @property
    def log(self) -> Path:
        """See `Work`."""
        return self.root / "log"

    @property
    def command(self) -> list[str]:
        """See `Work`."""
        return [sys.executable, "-S", "-c", ""]

    @property
    def makes(self) -> Path:
        """See `Work`."""
        return self.root / "nothing"

    @property
    def reads(self) -> Sequence[Path]:
        """See `Work`."""
        return ()

    @property
    def holds(self) -> Path:
        """See `Work`."""
        return self.makes

    def moved(self, root: Path) -> Nothing:
        """See `Work`."""
        return dataclasses.replace(self, root=root)

    def title(self) -> str:
        """See `Work`."""
        return "nothing"

    def words(self, threads: int) -> dict[str, Any]:
        """See `Work`."""
        return {}

    def has_result(self) -> bool:
        """See `Work`."""
        return True


def bench_cluster(
    out: Path | None, *, times: int = 5, command: str = "", progress: Callable[[str], None] = say
) -> list[Row]:
    """Measures it on this machine, one thing after the other.

    Args:
        out: a CSV file, or a folder for `cluster.csv`, which is written anew. None: nothing is written.
        times: each thing is done so often.
        command: how this was asked for, for the rows.
        progress: gets a line for every row.

    Raises:
        RecipeError: Ray is not installed.
    """
    about, rows = stamp(command, also=("ray",)), []
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as place:
        os.environ["RAY_TMPDIR"] = place  # a Ray of our own
        job = Nothing(Path(place))
        with opened(1, None, [job]) as processes:
            rows.append(_row("process", [_one(processes, job) for _ in range(times)]))
        rows.append(_row("start", [_opening("auto", job) for _ in range(times)]))
        with _running() as address:
            rows.append(_row("join", [_opening(address, job) for _ in range(times)]))
            with opened(1, address, [job]) as ray:
                _one(ray, job)  # the first of all starts what the others find
                rows.append(_row("ray", [_one(ray, job) for _ in range(times)]))
    rows = [whole(COLUMNS, about, row) for row in rows]
    for row in rows:
        progress(f"{row['what']:8} {row['median_s']:.3f} s  ({row['least_s']:.3f} to {row['most_s']:.3f})")
    if out is not None:
        write_results(out if out.suffix == ".csv" else out / "cluster.csv", COLUMNS, rows)
    return rows


def _row(what: str, seconds: Sequence[float]) -> Row:
    figures = (statistics.median(seconds), min(seconds), max(seconds))
    names = ("median_s", "least_s", "most_s")
    rounded = zip(names, (round(figure, 4) for figure in figures), strict=True)
    return {"what": what, "times": len(seconds), **dict(rounded)}


def _one(backend: Backend, job: Nothing) -> float:
    """Seconds from a job's start to its end."""
    start = time.perf_counter()
    problems: list[str | None] = []

    def end(job: Any, ending: Ending, again: bool) -> None:
        problems.append(ending.problem)

    run_jobs(iter([job]), backend, end=end)
    if problems != [None]:
        raise RuntimeError(f"a job that does nothing failed: {problems}")
    return time.perf_counter() - start


def _opening(address: str, job: Nothing) -> float:
    """Seconds until a cluster can take jobs."""
    start = time.perf_counter()
    with opened(1, address, [job]):
        return time.perf_counter() - start


@contextmanager
def _running() -> Iterator[str]:
    """A Ray of this machine that does not end with its first user; its address."""
    script = (
        "import ray, sys; ray.init('local', include_dashboard=False, log_to_driver=False); "
        "print('at', ray.get_runtime_context().gcs_address, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield next(line.split()[1] for line in process.stdout if line.startswith("at "))
        assert process.stdin is not None
        process.stdin.close()


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description="What a Ray cluster costs.")
    parser.add_argument("--out", type=Path, help="a CSV file, or a folder for cluster.csv")
    parser.add_argument("--times", type=int, default=5, help="each thing is done so often; default 5")
    arguments = parser.parse_args()
    words = " ".join(["python -m catzoo.zoo.bench.cluster_overhead", *sys.argv[1:]])
    bench_cluster(arguments.out, times=arguments.times, command=words)


if __name__ == "__main__":
    main()
