"""`catzoo bench soak`: whether a run that trains for long keeps to its memory, threads, files and processes.

A process of its own trains at full rate, saves and evaluates all the while, and is stopped by SIGTERM. It is
looked at from outside every few seconds, and looks at itself before and after the training; what libraries
keep was loaded by a short run before. The slope is that of a least-squares line through the memory,
from when the replay was full and half of the time was over: over means of 20 stretches, since neighbouring
samples are alike. The rows, by `what`:

| what | row |
|---|---|
| sample | what was seen from outside, `step` being the newest logged and `checkpoint` the newest saved |
| before, after | what the process saw of itself around the training |
| summary | the slope, and what is left after the training that was not there before |
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from catzoo.hparams import Playing, Recipe, RecipeError, Replaying
from catzoo.zoo.bench.rows import Row, stamp, write_results
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.pictures import style
from catzoo.zoo.statistics.intervals import STUDENT
from catzoo.zoo.system.atomic_files import write_atomically
from catzoo.zoo.system.console import say
from catzoo.zoo.system.csv_rows import newest_row, read_rows
from catzoo.zoo.system.exit_status import exit_status, last_words
from catzoo.zoo.system.job_of_parent import take_job
from catzoo.zoo.system.signals import stops_raise
from catzoo.zoo.training.train import recipe_of, train_recipe

COLUMNS = (
    "what", "seconds", "step", "checkpoint", "memory_mb", "threads", "files", "processes", "from_seconds",
    "replay_full", "slope_mb_h", "low_mb_h", "high_mb_h", "steps_per_second", "checkpoints", "evaluations",
    "longest_gap_s", "left", "device", "versions", "load", "date", "command",
)  # fmt: skip
"""Of the CSV. Memory is what is resident, in 1e6 bytes; the interval of the slope is one of 95 %;
`longest_gap_s` is between two checkpoints, as far as the samples show."""
COUNTS = ("threads", "files", "processes")
STRETCHES = 20
GRACE = 300.0
"""Seconds to start in, and to end in after SIGTERM."""
COMMAND = [sys.executable, "-P", "-m", "catzoo.zoo.bench.soak"]


def bench_soak(
    out: Path | None,
    *,
    minutes: float = 60.0,
    agent: str = "rainbow",
    env: str = "MinAtar/Breakout",
    loss: str | None = "hl_gauss",
    every: int = 10_000,
    interval: float = 5.0,
    overrides: Sequence[str] = (),
    command: str = "",
    progress: Callable[[str], None] = say,
) -> list[Row]:
    """Trains for so many minutes in a process of its own, and watches it.

    Args:
        out: a folder for `soak.csv` and `soak.png`, which are written anew. None: nothing is written.
        minutes: of training.
        agent, env, loss, overrides: of the recipe.
        every: agent steps between checkpoints, and between evaluations.
        interval: seconds between samples.
        command: how this was asked for, for the rows.
        progress: gets some lines.

    Returns:
        the rows; see `COLUMNS`.

    Raises:
        RecipeError: it cannot be trained.
        RuntimeError: the training ended by itself.
    """
    settings = [*overrides, f"checkpoint_every={every}", f"eval.every={every}", "steps=1000000000"]
    job = {"agent": agent, "env": env, "loss": loss, "overrides": settings}
    recipe = recipe_of(**job)
    about = stamp(command)
    with (
        stops_raise(),
        tempfile.TemporaryDirectory(prefix="catzoo-soak-") as name,
        started(name, job) as process,
    ):
        folder = Path(name)
        run = Run(folder / "run")
        wait_for(folder / "before.json", process)
        samples = []
        for sample in sampled(process, run, minutes * 60, interval):
            samples.append(sample)
            if len(samples) % max(round(60 / interval), 1) == 1:
                progress(describe(sample))
        process.send_signal(signal.SIGTERM)
        process.wait(GRACE)
        expect(process, folder, 128 + signal.SIGTERM)
        before, after = (json.loads((folder / f"{when}.json").read_text()) for when in ("before", "after"))
        evaluations = sum(bool(row.get("eval/return")) for row in read_rows(run.metrics))
    capacity = recipe.replay.capacity if isinstance(recipe, Replaying) else 0
    summary = summarise(samples, capacity) | {"evaluations": evaluations, "left": left_over(before, after)}
    rows = [*samples, {"what": "before", **before["counts"]}, {"what": "after", **after["counts"]}]
    rows.append({"what": "summary", **summary, **about})
    progress(conclusion(rows))
    if out is not None:
        write_results(out / "soak.csv", COLUMNS, rows)
        draw(rows, out / "soak.png", f"{agent} on {env}")
    return rows


@contextlib.contextmanager
def started(folder: str, job: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """A process at work on a job, with its output in `log`; it outlives neither the block nor us."""
    with Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, process_group=0
        )
    assert process.stdin is not None
    try:
        with process.stdin as stream:  # open for as long as the process is to live
            stream.write(json.dumps({"folder": folder, "train": job}).encode() + b"\n")
            stream.flush()
            yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def expect(process: subprocess.Popen[bytes], folder: Path, status: int | None) -> None:
    """Raises the process's last words unless its status is this one, None while it runs."""
    if process.poll() != status:
        words = last_words((folder / "log").read_text(errors="replace"))
        if process.returncode == 2:
            raise RecipeError(words)
        raise RuntimeError(f"the training ended by itself, with status {process.returncode}: {words}")


def wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    """Waits until the process has written a file."""
    deadline = time.monotonic() + GRACE
    while not file.exists():
        expect(process, file.parent, None)
        if time.monotonic() > deadline:
            raise RuntimeError(f"the training did not begin within {GRACE:.0f} seconds")
        time.sleep(0.1)


def sampled(process: subprocess.Popen[bytes], run: Run, seconds: float, interval: float) -> Iterator[Row]:
    """Samples of a process in training, at equal intervals."""
    start, number = time.monotonic(), 0
    while (now := time.monotonic() - start) <= seconds:
        expect(process, run.path.parent, None)
        saved = [path.name.removeprefix("step-") for path in run.checkpoints.glob("step-*")]
        yield {
            "what": "sample",
            "seconds": round(now, 2),
            "step": int(newest_row(run.metrics, "step").get("step", 0)),
            "checkpoint": max(map(int, saved), default=0),
            **look(process.pid)["counts"],
        }
        number += 1
        time.sleep(max(number * interval - (time.monotonic() - start), 0))


def look(pid: int) -> dict[str, Any]:
    """What the system says of a process: `counts`, and the `names` of what was counted."""
    process, own = psutil.Process(pid), Path("/proc", str(pid))
    names = {  # psutil has no names of threads, and of files none but those of regular ones
        "threads": told(own.glob("task/*/comm"), lambda file: file.read_text().strip()),
        "files": told(own.glob("fd/*"), os.readlink),
        "processes": told(process.children(), psutil.Process.name),
    }
    counts = {"memory_mb": round(process.memory_info().rss / 1e6, 2)}
    return {"counts": counts | {kind: len(names[kind]) for kind in COUNTS}, "names": names}


def told(things: Iterable[Any], name: Callable[[Any], str]) -> list[str]:
    """The names of some things, without those that have ended since."""
    names = []
    for thing in things:
        with contextlib.suppress(OSError, psutil.Error):
            names.append(name(thing))
    return names


def left_over(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What is there after and was not before, in words; empty if nothing is."""
    found = []
    for kind in COUNTS:
        more = Counter(after["names"][kind]) - Counter(before["names"][kind])
        if len(after["names"][kind]) > len(before["names"][kind]):
            found.append(f"{kind}: {', '.join(sorted(more.elements()))}")
    return "; ".join(found)


def summarise(samples: Sequence[Row], capacity: int) -> Row:
    """The slope of the memory, and how often it was saved, with a replay of so many transitions."""
    seconds, steps, memory = (
        np.array([row[key] for row in samples], float) for key in ("seconds", "step", "memory_mb")
    )
    full = seconds[steps >= capacity]
    begin = max([seconds[-1] / 2, *full[:1]])
    chosen = seconds >= begin
    if chosen.sum() < 3:
        begin, chosen = seconds[-1] / 2, seconds >= seconds[-1] / 2
    slope, half_width = fit(seconds[chosen] / 3600, memory[chosen])
    saved = [
        index
        for index in range(1, len(samples))
        if samples[index]["checkpoint"] > samples[index - 1]["checkpoint"]
    ]
    gaps = np.diff([seconds[0], *(seconds[index] for index in saved), seconds[-1]])
    return {
        "seconds": seconds[-1],
        "step": int(steps[-1]),
        "memory_mb": memory[-1],
        "from_seconds": round(float(begin), 2),
        "replay_full": len(full) > 0,
        "slope_mb_h": round(slope, 3),
        "low_mb_h": round(slope - half_width, 3),
        "high_mb_h": round(slope + half_width, 3),
        "steps_per_second": round(steps[-1] / max(seconds[-1], 1e-9), 1),
        "checkpoints": len({row["checkpoint"] for row in samples} - {0}),
        "longest_gap_s": round(float(gaps.max()), 1),
    }  # fmt: skip


def fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope of the least-squares line and the half-width of its 95 % interval, over means of stretches."""
    number = min(STRETCHES, len(x))
    means = [np.array([part.mean() for part in np.array_split(values, number)]) for values in (x, y)]
    x, y = means[0] - means[0].mean(), means[1] - means[1].mean()
    slope, freedom = float(x @ y / (x @ x)), number - 2
    if freedom < 1:
        return slope, float("inf")
    student = STUDENT[freedom - 1] if freedom <= len(STUDENT) else 1.96 + 2.5 / freedom
    return slope, student * float(np.sqrt(((y - slope * x) ** 2).sum() / freedom / (x @ x)))


def describe(sample: Row) -> str:
    """A sample in a line."""
    counts = ", ".join(f"{sample[kind]} {kind}" for kind in COUNTS)
    return (
        f"{sample['seconds'] / 60:6.1f} min  step {sample['step']:,}  {sample['memory_mb']:.1f} MB, {counts}"
    )


def conclusion(rows: Sequence[Row]) -> str:
    """What came of it, in three lines."""
    first, summary = rows[0], rows[-1]
    last = [row for row in rows if row["what"] == "sample"][-1]
    replay = "full" if summary["replay_full"] else "not full yet: memory still grows as it fills"
    moved = ", ".join(f"{kind} {first[kind]} to {last[kind]}" for kind in ("memory_mb", *COUNTS))
    slope = "{slope_mb_h:+.2f} MB an hour [{low_mb_h:+.2f}, {high_mb_h:+.2f}]".format(**summary)
    return (
        f"memory {slope} from minute {summary['from_seconds'] / 60:.1f} on; replay {replay}\n"
        f"from start to end: {moved}; {summary['steps_per_second']:,.0f} steps/s, "
        f"{summary['checkpoints']} checkpoints, {summary['evaluations']} evaluations, "
        f"{summary['longest_gap_s']:.0f} s between checkpoints at most\n"
        f"left after the end: {summary['left'] or 'nothing'}"
    )


def draw(rows: Sequence[Row], file: Path, heading: str) -> None:
    """Draws memory with its line above, and the counts below, over minutes."""
    samples, summary = [row for row in rows if row["what"] == "sample"], rows[-1]
    minutes = np.array([row["seconds"] for row in samples]) / 60
    memory = np.array([row["memory_mb"] for row in samples])
    with style.styled():
        figure = style.new_figure(1000, 560)
        above, below = style.place(figure, 84, 112, 876, 236), style.place(figure, 84, 392, 876, 92)
        above.plot(minutes, memory, color=style.BLUE, lw=2, label="resident memory")
        part = minutes >= summary["from_seconds"] / 60
        line = memory[part].mean() + summary["slope_mb_h"] / 60 * (minutes[part] - minutes[part].mean())
        interval = f"[{summary['low_mb_h']:+.1f}, {summary['high_mb_h']:+.1f}]"
        label = f"{summary['slope_mb_h']:+.1f} MB an hour {interval}"
        above.plot(minutes[part], line, color=style.ORANGE, lw=1.6, ls="--", label=label)
        span = max(memory.max() - memory.min(), 20)  # from 0 no leak would show
        above.set_ylim(memory.min() - 0.2 * span, memory.max() + 0.2 * span)
        above.set_ylabel("MB")
        for kind, colour, dash in zip(
            COUNTS, (style.BLUE, style.ORANGE, style.GREEN), ("-", "--", ":"), strict=True
        ):
            below.plot(minutes, [row[kind] for row in samples], color=colour, ls=dash, lw=1.6, label=kind)
        below.set_ylim(0)
        below.set_xlabel("minutes")
        for axes in (above, below):
            axes.set_xlim(0, minutes[-1])
            axes.grid(axis="y")
            axes.tick_params(length=0, pad=6)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0, borderpad=0)
        figure.text(0.032, 1 - 46 / 560, f"Soak: {heading}", size=17, weight="bold")
        small = f"{summary['device']}  ·  {summary['date']}"
        figure.text(0.96, 16 / 560, small, color=style.MUTED, size=8.5, ha="right")
        style.publish(figure, file)


def short(recipe: Recipe) -> Recipe:
    """The same work in miniature: what is loaded or started once is there after it."""
    steps = max(512, 4 * recipe.num_envs * recipe.rollout_length) if isinstance(recipe, Playing) else 512
    if isinstance(recipe, Replaying):
        recipe = dataclasses.replace(recipe, learning_starts=min(recipe.learning_starts, steps // 2))
    return dataclasses.replace(
        recipe,
        steps=steps,
        checkpoint_every=steps // 2,
        eval=dataclasses.replace(recipe.eval, every=steps // 2, episodes=1, interim_episodes=1),
    )


def main() -> int:
    """Trains until it is stopped, with a look at itself before and after."""
    job = take_job()
    folder, recipe = Path(job["folder"]), recipe_of(**job["train"])
    status = _train(short(recipe), folder / "short", folder / "before.json")
    return status or _train(recipe, folder / "run", folder / "after.json")


def _train(recipe: Recipe, run_dir: Path, seen: Path) -> int:
    """The exit status of a run, after which the process looks at itself."""

    def action() -> None:
        train_recipe(recipe, Run(run_dir))

    status = exit_status(action, "train")
    gc.collect()
    if status != 2:
        write_atomically(seen, json.dumps(look(os.getpid())))
    return status


if __name__ == "__main__":
    sys.exit(main())
