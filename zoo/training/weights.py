"""Weights on disk as safetensors: written, read back behind a check of the header, and made an agent of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catzoo.hparams import Recipe, RecipeError
from catzoo.hparams.published_files import replace, sync
from catzoo.hparams.schema import brief
from catzoo.version import __version__
from catzoo.zoo.catalogue.pretrained import find_run
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.training.torch_state import own_torch

if TYPE_CHECKING:
    from torch import Tensor

    from catzoo.agents import Agent, BestWeights

DTYPES = {
    "torch.float32": "F32",
    "torch.float64": "F64",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}
"""What safetensors calls the kinds of numbers that an agent has."""


def load_agent(path: str | Path, *, best: bool = False, trust: bool = False) -> tuple[Recipe, Agent]:
    """The recipe of a finished run and its agent with the trained weights.

    Nothing in a run's folder is code, but the name of its environment may ask for some:
    `my_package:MyEnv-v0` imports `my_package`.

    Args:
        path: the run's folder, or the name of one of the zoo's own trained agents.
        best: the weights of the best mean training return instead of the last ones.
        trust: import what the environment's name asks for.

    Raises:
        RecipeError: not a run, not finished, corrupt, or in want of trust.
    """
    with own_torch():
        return open_agent(path, best=best, trust=trust)


def open_agent(path: str | Path, *, best: bool, trust: bool) -> tuple[Recipe, Agent]:
    """`load_agent`, for those that have torch to themselves; sets the recipe's threads and seed."""
    from catzoo.zoo.training.build import build_agent, build_env

    run, recipe = find_trained(path, best=best, trust=trust)
    # It may have been trained on a machine that had more, or less.
    recipe = dataclasses.replace(recipe, compute=dataclasses.replace(recipe.compute, device="auto"))
    env = build_env(recipe, 1)
    agent = build_agent(recipe, env)
    env.close()
    load_weights(run, agent, best=best)
    return recipe, agent.eval()


def find_trained(path: str | Path, *, best: bool, trust: bool) -> tuple[Run, Recipe]:
    """A finished run and its recipe, without what takes time; arguments and errors as `load_agent`'s."""
    run = Run(find_run(path))
    recipe = run.recipe()
    if ":" in recipe.env and not trust:
        raise RecipeError(
            f"{path}: its environment {recipe.env} imports {recipe.env.rpartition(':')[0]}: if you know it, "
            "add --trust (trust=True)"
        )
    _weights_of(run, best)
    return run, recipe


def _weights_of(run: Run, best: bool) -> Path:
    """The file of a run's weights, which is there."""
    weights = run.best_weights if best else run.weights
    if best and run.weights.is_file() and not weights.is_file():
        raise RecipeError(f"{run.path}: no {weights.name}: no training episode ended, or the zoo's own")
    if not weights.is_file():
        raise RecipeError(f"{run.path}: no {weights.name} yet: let the training finish first")
    return weights


def save_weights(run: Run, agent: Agent, steps: int, best: BestWeights | None = None) -> None:
    """Publishes an agent's parameters after so many steps in a run's folder, by rename, and the best ones."""
    _save(run, run.weights, agent.weights(), steps)
    if best is not None and best.weights:
        _save(run, run.best_weights, best.weights, best.steps)


def _save(run: Run, file: Path, tensors: dict[str, Tensor], steps: int) -> None:
    from catzoo.agents.checkpoints.state_files import save_tensors

    for leftover in run.folder.glob(".tmp??????"):  # safetensors' own, of a save that was killed
        leftover.unlink()
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    temporary = file.with_suffix(".tmp")
    save_tensors(tensors, temporary, {"catzoo": __version__, "steps": str(steps)})
    sync(temporary)
    replace(temporary, file)


def save_batch(run: Run, batch: Any) -> Path:
    """Writes a batch, by column, to a run's not_finite.safetensors; returns the file."""
    from catzoo.agents.checkpoints.state_files import save_tensors

    file = run.folder / "not_finite.safetensors"
    columns = batch._asdict().items()
    tensors = {name: column.cpu().clone() for name, column in columns if column is not None}
    save_tensors({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


def load_weights(run: Run, agent: Agent, *, best: bool = False) -> None:
    """Loads a run's weights.safetensors into `agent`, or the best; `agent.trained_steps` says from when.

    Raises:
        RecipeError: missing, corrupt, or of another architecture.
    """
    from safetensors import SafetensorError, safe_open

    weights = _weights_of(run, best)
    own = agent.state_dict()
    try:
        with safe_open(weights, framework="pt") as file:
            stored = _stored_names(set(file.keys()), own, agent.followers)
            _check_header(file, {stored[name]: tensor for name, tensor in own.items()})
            agent.load_state_dict({name: file.get_tensor(stored[name]) for name in own})
            steps = (file.metadata() or {}).get("steps", "")
    except (SafetensorError, OSError):
        raise RecipeError(f"{weights}: corrupt") from None
    except (RuntimeError, ValueError) as error:
        raise RecipeError(f"{weights}: does not fit the recipe: {brief(str(error), 200)}") from None
    known = steps.isascii() and steps.isdecimal() and len(steps) < 19
    agent.trained_steps = int(steps) if known else (run.result() or {}).get("steps", 0)


def _stored_names(names: set[str], own: Iterable[str], followers: Mapping[str, str]) -> dict[str, str]:
    """Where an agent's tensors are in a file with these names: without its followers, in what they follow."""
    if any(name.startswith(tuple(followers)) for name in names):
        return {name: name for name in own}
    stored = {}
    for name in own:
        prefix = next((prefix for prefix in followers if name.startswith(prefix)), None)
        stored[name] = name if prefix is None else followers[prefix] + name.removeprefix(prefix)
    return stored


def _check_header(file: Any, own: dict[str, Tensor]) -> None:
    """ValueError unless an open safetensors file holds tensors of these names, shapes and kinds.

    Called before anything large is read.
    """
    names = set(file.keys())
    for problem, found in (("lacks", own.keys() - names), ("has", names - own.keys())):
        if found:
            raise ValueError(f"it {problem} {min(found)[:80]!r}")
    for name, tensor in own.items():
        there = file.get_slice(name)
        shape, kind = list(there.get_shape()), there.get_dtype()
        if shape != list(tensor.shape):
            raise ValueError(f"{name} has shape {shape}, not {list(tensor.shape)}")
        if kind != DTYPES.get(str(tensor.dtype)):
            raise ValueError(f"{name} is of {kind}, not {tensor.dtype}")
