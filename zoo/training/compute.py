"""What a run computes on: device, precision, threads, collecting ahead. Asked once, then carried."""

from __future__ import annotations

from typing import Any

import torch

from catzoo.agents import Compute
from catzoo.agents.learning.data_parallel import ALONE, Ranks
from catzoo.hparams import CollectingComputeConfig, Recipe, RecipeError
from catzoo.zoo.system.machine import has_bf16, usable_cores


def resolve_compute(recipe: Recipe, ranks: Ranks = ALONE) -> Compute:
    """What the recipe's `compute` comes to here, for one of `ranks`; torch's threads are set to it.

    Raises:
        RecipeError: a device that is not there.
    """
    asked, device = recipe.compute, build_device(recipe.compute.device)
    threads = asked.threads
    if ranks.count > 1:
        threads = threads or max(usable_cores() // ranks.neighbours, 1)
        # Slurm may show each task its own GPU alone, as number 0.
        alone = asked.launcher == "slurm" and torch.cuda.device_count() == 1
        number = 0 if alone else ranks.local
        device = build_device(f"cuda:{number}") if device.type == "cuda" else device
    if threads:
        torch.set_num_threads(threads)
    bf16 = asked.precision == "bf16" or (asked.precision == "auto" and device.type == "cpu" and has_bf16())
    overlap = asked.overlap if isinstance(asked, CollectingComputeConfig) else False
    if overlap is None:
        # A thread that collects on a core that the learner needs slows both: on two cores Pong made 237 steps
        # a second beside two threads of torch, and 365 in turn.
        cores = usable_cores()
        overlap = device.type == "cuda" or cores > (threads or cores)
    return Compute(device, "bf16" if bf16 else "fp32", overlap, torch.get_num_threads(), ranks)


def build_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one.

    Raises:
        RecipeError: none is called so, or it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.split(":")[0] not in ("cpu", "cuda", "mps"):
        raise RecipeError(f"compute.device={name}: must be auto, cpu, mps, cuda or cuda:0, cuda:1 …")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(f"compute.device={name}: {str(error).splitlines()[0]}") from None
    return device


def compute_words(compute: Compute) -> dict[str, Any]:
    """For a result file."""
    return {
        "device": str(compute.device),
        "precision": compute.precision,
        "overlap": compute.overlap,
        "threads": compute.threads,
        "devices": compute.ranks.count,
    }
