"""`make gpu`: whole training loops on a GPU, environment steps a second of every agent on Atari, as CSV.

    python -m catzoo.zoo.bench.loops.gpu_loop --out results-gpu

Each agent runs by its own recipe, with the replay beside the network and a thread that collects ahead;
variants differ in how the updates are made. Timing begins when updates do. `learner_updates_per_second` is of
the learner alone, on the batches that it had last.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from catzoo.zoo.bench.rows import Row, stamp, whole, write_results

if TYPE_CHECKING:
    from catzoo.hparams import Recipe

COLUMNS = ("agent", "env", "loss", "variant", "num_envs", "steps", "updates", "seconds", "steps_per_second",
           "frames_per_second", "updates_per_second", "learner_updates_per_second", "cores", "device",
           "versions", "load", "date", "command")  # fmt: skip
NEEDS = ("ale_py", "lightning", "psutil", "torchrl")
AGENTS = (("dqn", "mse"), ("dqn", "hl_gauss"), ("rainbow", "hl_gauss"), ("pqn", "hl_gauss"))
VARIANTS: dict[str, dict[str, Any]] = {
    "eager": {},
    "graph": {"cuda_graph": True},
    "graph bf16": {"cuda_graph": True, "precision": "bf16"},
    "graph compiled bf16": {"cuda_graph": True, "precision": "bf16", "compile": True},
    "eager, no overlap": {"overlap": False},
}
"""The first ones first, for all agents."""


def loop_recipe(agent: str, loss: str, env: str, compute: dict[str, Any]) -> Recipe:
    """The agent's own recipe, but for a replay that is soon filled and a learner that begins at once."""
    from catzoo.zoo.catalogue.recipe_files import find_recipe

    overrides: list[dict[str, Any]] = [{"compute": compute, "steps": 10**9}]
    if agent != "pqn":
        place = "memory" if compute["device"] == "cpu" else "device"
        overrides.append({"replay": {"capacity": 100_000, "place": place}, "learning_starts": 1_000})
    return find_recipe(agent, env, loss, overrides)


def measure_loop(recipe: Recipe, seconds: float) -> Row:
    """Steps, updates and seconds of a training loop from its first updates on, and then the learner alone."""
    from catzoo.zoo.bench.loops.loop_worker import rate
    from catzoo.zoo.environments.protocols import protocol_of
    from catzoo.zoo.training.build import build_trainer

    work = build_trainer(recipe)
    take, had = work.learner.learn, []

    def take_and_keep(*given: Any) -> Any:
        had[:] = given
        return take(*given)

    work.learner.learn = take_and_keep
    try:
        while work.updates < 64:  # graphs are captured and kernels chosen by then
            work.iterate()
        steps, updates, start = work.steps, work.updates, time.perf_counter()
        while time.perf_counter() - start < seconds:
            work.iterate()  # acting waits for the GPU, so little is ever queued
        _wait(work.learner.device)
        spent = time.perf_counter() - start
        steps, updates = work.steps - steps, work.updates - updates
        bursts = rate(lambda: (take(*had), _wait(work.learner.device)), seconds / 5)
    finally:
        work.close()
    return {
        "steps": steps,
        "updates": updates,
        "seconds": round(spent, 2),
        "steps_per_second": round(steps / spent, 1),
        "frames_per_second": round(protocol_of(recipe.env).frames_per_step * steps / spent, 1),
        "updates_per_second": round(updates / spent, 1),
        "learner_updates_per_second": round(bursts * len(had[0].action), 1),
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def bench_loops(
    out: Path,
    device: torch.device,
    envs: Sequence[str] = ("ALE/Pong-v5",),
    seconds: float = 15.0,
    limit: float | None = None,
    command: str = "",
) -> list[Row]:
    """Measures every agent in every variant and writes `loops-gpu.csv` in `out`; returns its rows.

    No loop begins after `limit` seconds.
    """
    began = time.monotonic()
    on_gpu = device.type == "cuda"
    about = stamp(command, device=torch.cuda.get_device_name(device) if on_gpu else None)
    rows: list[Row] = []
    for env, (variant, options), (agent, loss) in itertools.product(envs, VARIANTS.items(), AGENTS):
        if limit is not None and time.monotonic() - began > limit:
            print(f"{agent}, {variant}: left out: {limit:.0f} s are over", flush=True)
            continue
        if options.get("cuda_graph") and not on_gpu:
            continue
        try:
            recipe = loop_recipe(agent, loss, env, {"device": str(device), "overlap": True, **options})
            measured = measure_loop(recipe, seconds)
        except Exception as error:  # one variant's trouble is not the others'
            reason = (str(error).strip().splitlines() or ["no message"])[0]
            print(f"{agent}, {variant}: left out: {type(error).__name__}: {reason[:160]}", flush=True)
            continue
        what = {"agent": agent, "env": env, "loss": loss, "variant": variant, "num_envs": recipe.num_envs}
        rows.append(whole(COLUMNS, about, what, measured))
        write_results(out / "loops-gpu.csv", COLUMNS, rows)
        rates = "{frames_per_second:>10,.0f} frames/s {learner_updates_per_second:>8,.0f} updates/s alone"
        print(f"{agent:8} {loss:9} {variant:20} {rates.format(**measured)}", flush=True)
    return rows


def _folder(typed: str) -> Path:
    """As everywhere, but without what a machine with nothing but torch has not."""
    return Path(typed).expanduser()


def main() -> None:
    """`python -m catzoo.zoo.bench.loops.gpu_loop --out DIR`."""
    parser = argparse.ArgumentParser(description=bench_loops.__doc__)
    parser.add_argument("--out", type=_folder, default="results-gpu", help="folder for the CSV")
    parser.add_argument("--env", nargs="+", default=["ALE/Pong-v5"], help="default ALE/Pong-v5")
    parser.add_argument(
        "--device", default="cuda", help="cpu shows that it runs, and measures nothing of use"
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="of each loop; default 15")
    parser.add_argument("--limit", type=float, help="seconds after which no other loop begins")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.exit(2, "no CUDA device: --device cpu for a dry run\n")
    if missing := [name for name in NEEDS if not find_spec(name)]:
        print(f"loops: not measured: {', '.join(missing)} are missing")
        return
    words = f"--env {' '.join(arguments.env)} --device {arguments.device} --seconds {arguments.seconds:g}"
    command = f"python -m catzoo.zoo.bench.loops.gpu_loop {words}"
    with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
        bench_loops(arguments.out, device, arguments.env, arguments.seconds, arguments.limit, command)


if __name__ == "__main__":
    main()
