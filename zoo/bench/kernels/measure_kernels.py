"""`catzoo bench kernels`: the categorical losses beside eager PyTorch, torch.compile and other libraries.

What is measured, and how, is in `catzoo.kernels.bench`, which needs nothing but torch; here the other
libraries and the pictures come in, each where its packages are there. So
`python -m catzoo.zoo.bench.kernels.measure_kernels` runs from the source tree on a machine that has no more
than torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from catzoo.kernels.bench import Row, Settings, run_bench
from catzoo.kernels.bench.command import main as run_command
from catzoo.kernels.bench.results import csv_file
from catzoo.kernels.bench.run import say
from catzoo.kernels.bench.settings import PARTS
from catzoo.zoo.bench.kernels.kernel_peers import peers
from catzoo.zoo.system.provenance import cpu_model


def bench_kernels(
    device: str = "auto",
    *,
    parts: Sequence[str] = PARTS,
    rows: Sequence[int] | None = None,
    bins: Sequence[int] | None = None,
    dtypes: Sequence[str] | None = None,
    batches: Sequence[int] | None = None,
    actions: Sequence[int] | None = None,
    td_bins: int = 51,
    budget: float | None = None,
    limit: float | None = None,
    threads: int | None = None,
    compile: bool | None = None,
    quick: bool = False,
    out: Path | str | None = None,
    fresh: bool = False,
    command: str = "",
    progress: Callable[[str], None] = say,
) -> list[Row]:
    """Measures the losses side by side; a benchmark that was interrupted goes on.

    Args:
        device: `cpu`, `cuda` (or `cuda:1`), or `auto`: a GPU if there is one.
        parts: of `throughput` (HL-Gauss loss and gradient), `td` (the whole Bellman step), `linear` (a layer
            with its loss) and `labels` (what each label costs beside an integer one).
        rows, bins, dtypes: the sizes of `throughput`, rows also of `linear`; by default the device's.
        batches, actions, td_bins: the sizes of `td`.
        budget: seconds of timing for each cell of the table; by default 0.7 on a GPU, 2 on a CPU.
        limit: no cell begins later than after so many seconds; None: all are measured.
        threads: PyTorch's on the CPU; by default 1 for measuring a CPU.
        compile: whether torch.compile is a side; by default on a GPU.
        quick: sizes that take seconds, to see that it runs.
        out: a CSV file, or a folder for `kernels.csv`; rows are appended as they come, what is there already
            on the same device and versions is not measured again, and pictures go beside it. None: nothing is
            written.
        fresh: what is in the file is thrown away first.
        command: how this was asked for, for the rows.
        progress: gets a line for every cell.

    Returns:
        The rows of all that was asked for, old and new; see `catzoo.kernels.bench.results.COLUMNS`.

    Raises:
        BenchError: something that cannot be measured, or an `out` that cannot be used.
    """
    settings = Settings(
        device, parts, rows, bins, dtypes, batches, actions, td_bins, budget, limit, threads, compile, quick
    )
    settled = settings.settle()  # mistakes before anything is said
    measured = run_bench(
        settings,
        out,
        fresh=fresh,
        peers=peers(progress, settled.device),
        device_name=cpu_model(),
        command=command,
        progress=progress,
    )
    file = csv_file(out)
    if file is None:
        progress("nothing was written: --out DIR keeps the rows and draws them")
    elif find_spec("matplotlib") is None:
        progress("no pictures: matplotlib is not installed")
    else:
        from catzoo.zoo.bench.kernels.kernel_pictures import draw

        for picture in draw(measured, file):
            progress(str(picture))
    return measured


if __name__ == "__main__":
    raise SystemExit(
        run_command(prog="python -m catzoo.zoo.bench.kernels.measure_kernels", bench=bench_kernels)
    )
