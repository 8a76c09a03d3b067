"""`make gpu`: what is to be measured on a GPU, in order of worth, within some minutes.

    python -m catzoo.zoo.bench.gpu_session --minutes 9.5 --out results-gpu

Parts, each a process with a time of its own, whose output is shown and kept in `OUT/PART.log`:

* `tests`: the tests that are marked `gpu`.
* `kernels`: losses and Bellman steps beside eager PyTorch, torch.compile and copying the same bytes.
* `loops`: whole training loops on Atari, and the learner alone.
* `pqn-Breakout`, `pqn-Pong`: two losses train side by side, each game for half of what is left, and for at
  most 10 million frames.

Rows are written as they come; a part that fails or takes too long ends none of the others. It needs no
installation: a part whose packages are not there is left out.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from catzoo.zoo.system.signals import stops_raise

GRACE = 20.0
"""Seconds that a part has to save what it has, after it was asked to end."""
LOOP_NEEDS = ("ale_py", "lightning", "psutil", "torchrl")
GAMES = (("pqn", "Breakout"), ("pqn", "Pong"))


@dataclass(frozen=True)
class Part:
    """What is done, and how long it may take.

    Args:
        name: of its log.
        share: of the whole time, 0: what is left.
        words: Python's arguments; `{out}` and `{seconds}` are filled in, the seconds less `spare`.
        needs: packages.
        spare: seconds that it needs beside what it is told.
    """

    name: str
    share: float
    words: Sequence[str]
    needs: Sequence[str] = field(default=())
    spare: float = 20.0


def parts(device: str) -> list[Part]:
    """The parts in their order."""
    measure = ["-m", "catzoo.zoo.bench.kernels.measure_kernels", "--device", device]
    loop = ["-m", "catzoo.zoo.bench.loops.gpu_loop", "--device", device, "--seconds", "4"]
    limited = ["--limit", "{seconds}", "--out", "{out}"]
    asked = ["--loss", "hl_gauss,mse", "--steps", "2.5M", "--workers", "2", "--run-dir"]
    keys = [f"compute.device={device}", "eval.episodes=20"]
    games = [
        Part(f"{agent}-{game}", 0,
             ["-m", "catzoo", "train", agent, "--env", f"ALE/{game}-v5", *asked, "{out}/" + game, *keys],
             LOOP_NEEDS)
        for agent, game in GAMES
    ]  # fmt: skip
    return [
        # Verbose: of a part that is cut the log is all there is.
        Part("tests", 0.2, ["-m", "pytest", "-v", "-m", "gpu", "tests"], ["pytest"]),
        Part("kernels", 0.4, [*measure, *limited]),
        Part("loops", 0.2, [*loop, *limited], LOOP_NEEDS),
        *games,
    ]


def run_session(out: Path, minutes: float, device: str = "cuda", only: Sequence[str] = ()) -> dict[str, str]:
    """Does the parts one after the other; returns what became of each: `done`, `failed`, `cut` or why not.

    Args:
        out: folder for rows and logs.
        minutes: of all parts together.
        device: `cpu` shows that it runs.
        only: names of parts; all by default.
    """
    out.mkdir(parents=True, exist_ok=True)
    began, whole, said = time.monotonic(), 60 * minutes, {}
    lacks = {part.name: [name for name in part.needs if not find_spec(name)] for part in parts(device)}
    asked = [part for part in parts(device) if not only or part.name in only]
    for number, part in enumerate(asked):
        left = whole - (time.monotonic() - began)
        sharing = sum(not (later.share or lacks[later.name]) for later in asked[number:])
        if lacks[part.name]:
            said[part.name] = f"left out: {', '.join(lacks[part.name])} missing"
        elif left < 2 * GRACE:
            said[part.name] = "left out: no time is left"
        else:
            said[part.name] = _do(part, out, min(part.share * whole or left / sharing, left) - GRACE)
        print(f"== {part.name}: {said[part.name]}, after {time.monotonic() - began:.0f} s", flush=True)
    return said


def _do(part: Part, out: Path, seconds: float) -> str:
    """Runs a part; asks it to end when its time is up, and kills it where it does not."""
    filled = {"out": out, "seconds": f"{max(seconds - part.spare, 5):.0f}"}
    command = [sys.executable, *(word.format(**filled) for word in part.words)]
    print(f"== {part.name}, for {seconds:.0f} s: {' '.join(command[1:])}", flush=True)
    with (out / f"{part.name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            cut = not _ended(process, seconds)
        finally:  # also where the session itself is stopped: nothing stays on the GPU
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                if not _ended(process, GRACE):
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
    print("\n".join((out / f"{part.name}.log").read_text(errors="replace").splitlines()[-12:]), flush=True)
    return "cut" if cut else "done" if process.returncode == 0 else "failed"


def _ended(process: subprocess.Popen, seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m catzoo.zoo.bench.gpu_session",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("results-gpu"), help="folder; default results-gpu")
    parser.add_argument("--minutes", type=float, default=9.5, help="of all parts together; default 9.5")
    parser.add_argument(
        "--device", default="cuda", help="cpu shows that it runs, and measures nothing of use"
    )
    parser.add_argument("--only", nargs="+", default=(), choices=[part.name for part in parts("cuda")])
    asked = parser.parse_args()
    with stops_raise():
        said = run_session(asked.out.expanduser().absolute(), asked.minutes, asked.device, asked.only)
    raise SystemExit(int("failed" in said.values() or said.get("tests") == "cut"))


if __name__ == "__main__":
    main()
