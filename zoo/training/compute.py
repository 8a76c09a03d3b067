"""What a run computes on: device, precision, threads, and whether it collects ahead."""

from __future__ import annotations

from typing import Any

import torch

from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo.system.machine import has_bf16, usable_cores


def build_device(recipe: Recipe) -> torch.device:
    """The device that the recipe names; `auto` is a GPU if there is one."""
    name = recipe.compute.device
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


def wants_bf16(recipe: Recipe) -> bool:
    if recipe.compute.precision == "auto":
        return build_device(recipe).type == "cpu" and has_bf16()
    return recipe.compute.precision == "bf16"


def overlaps(recipe: Recipe) -> bool:
    """Whether to collect while learning: what the recipe says, or where there is something to gain by it."""
    if recipe.compute.overlap is not None:
        return recipe.compute.overlap
    # A thread that collects on a core that the learner needs slows both: on two cores Pong made 237 steps a
    # second beside two threads of torch, and 365 in turn.
    cores = usable_cores()
    return build_device(recipe).type == "cuda" or cores > (recipe.compute.threads or cores)


def resolved_compute(recipe: Recipe) -> dict[str, Any]:
    """What the recipe's `compute` came to on this machine, where it leaves something open."""
    return {
        "device": str(build_device(recipe)),
        "precision": "bf16" if wants_bf16(recipe) else "fp32",
        "overlap": overlaps(recipe),
        "threads": torch.get_num_threads(),
    }
