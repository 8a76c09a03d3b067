"""Whole training loops on a GPU: environment steps a second of every agent on Atari, as CSV.

Each agent runs by its own recipe for `ALE/*`, with the replay beside the network and a thread that collects
ahead; variants differ in how the updates are made. Timing begins when updates do.
"""

from __future__ import annotations

import csv
import datetime
import time
from pathlib import Path
from typing import Any

import torch

from catzoo.hparams import Recipe
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.system.machine import usable_cores

Row = dict[str, Any]
COLUMNS = ("agent", "env", "loss", "variant", "num_envs", "steps", "updates", "seconds", "steps_per_second",
           "frames_per_second", "updates_per_second", "cores", "device", "torch", "date")  # fmt: skip
AGENTS = (("dqn", "mse"), ("dqn", "hl_gauss"), ("rainbow", "hl_gauss"), ("pqn", "hl_gauss"))
VARIANTS: dict[str, dict[str, Any]] = {
    "eager": {},
    "eager, no overlap": {"overlap": False},
    "graph": {"cuda_graph": True},
    "graph bf16": {"cuda_graph": True, "precision": "bf16"},
    "graph compiled bf16": {"cuda_graph": True, "precision": "bf16", "compile": True},
}


def loop_recipe(agent: str, loss: str, env: str, compute: dict[str, Any]) -> Recipe:
    """The agent's own recipe, but for a replay that is soon filled and a learner that begins at once."""
    overrides: list[dict[str, Any]] = [{"compute": compute, "steps": 10**9}]
    if agent != "pqn":
        place = "memory" if compute["device"] == "cpu" else "device"
        overrides.append({"replay": {"capacity": 100_000, "place": place}, "learning_starts": 1_000})
    return find_recipe(agent, env, loss, overrides)


def measure_loop(recipe: Recipe, seconds: float) -> Row:
    """Steps, updates and seconds of a training loop, from its first updates on."""
    from catzoo.zoo.training.build import build_trainer

    agent = build_trainer(recipe)
    try:
        while agent.updates < 64:  # graphs are captured and kernels chosen by then
            agent.iterate()
        steps, updates, start = agent.steps, agent.updates, time.perf_counter()
        while time.perf_counter() - start < seconds:
            agent.iterate()  # acting waits for the GPU, so little is ever queued
        if agent.learner.device.type == "cuda":
            torch.cuda.synchronize()
        spent = time.perf_counter() - start
    finally:
        agent.close()
    steps, updates = agent.steps - steps, agent.updates - updates
    return {
        "steps": steps,
        "updates": updates,
        "seconds": round(spent, 2),
        "steps_per_second": round(steps / spent, 1),
        "frames_per_second": round(4 * steps / spent, 1),
        "updates_per_second": round(updates / spent, 1),
    }


def bench_loops(
    out: Path, device: torch.device, env: str = "ALE/Pong-v5", seconds: float = 15.0
) -> list[Row]:
    """Measures every agent in every variant and writes `loops-gpu.csv` in `out`; returns its rows."""
    out.mkdir(parents=True, exist_ok=True)
    on_gpu = device.type == "cuda"
    stamp = {
        "cores": usable_cores(),
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }
    rows = []
    with (out / "loops-gpu.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for agent, loss in AGENTS:
            for variant, options in VARIANTS.items():
                if options.get("cuda_graph") and not on_gpu:
                    continue
                compute = {"device": str(device), "overlap": True, **options}
                what = {"agent": agent, "env": env, "loss": loss, "variant": variant}
                try:
                    recipe = loop_recipe(agent, loss, env, compute)
                    measured = measure_loop(recipe, seconds)
                except Exception as error:  # one variant's trouble is not the others'
                    reason = (str(error).strip().splitlines() or ["no message"])[0]
                    print(f"{agent}, {variant}: left out: {type(error).__name__}: {reason[:160]}", flush=True)
                    continue
                rows.append(what | {"num_envs": recipe.num_envs} | measured | stamp)
                writer.writerow(rows[-1])
                file.flush()
                print(
                    f"{agent:8} {loss:9} {variant:20} {measured['frames_per_second']:>10,.0f} frames/s",
                    flush=True,
                )
    return rows
