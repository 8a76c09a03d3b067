"""A run's folder: the recipe, the metrics, the checkpoints, the weights and the result.

| file | what |
|---|---|
| recipe.yaml | the resolved recipe, with versions and protocol; what a second command is compared with |
| metrics.csv, tensorboard/ | metrics by step |
| episodes.csv | every training episode: step, return, length |
| checkpoints/ | what a continued run needs |
| weights.safetensors | network (and target network) at the end |
| weights-best.safetensors | the same at the best mean training return |
| result.json | greedy evaluation: mean return, every episode's return, steps, seed, protocol, versions |
| learning_curve.png | the picture |
| dataset/ | the share of its transitions that the run was to record |
| not_finite.safetensors | the batch whose loss was not a number, where that ended the run |
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from catzoo import __version__
from catzoo.hparams import Recipe, RecipeError, build, read_yaml
from catzoo.hparams.schema import brief, shown
from catzoo.zoo.catalogue import know_losses
from catzoo.zoo.holding import lock
from catzoo.zoo.pretrained import NETWORK, TARGET, find_run
from catzoo.zoo.result_file import read_result

if TYPE_CHECKING:
    from torch import Tensor

    from catzoo.agents import Agent, Batch, BestWeights

FORMAT = 1
"""Version of the folder's layout."""
DTYPES = {
    "torch.float32": "F32",
    "torch.float64": "F64",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}
"""What safetensors calls the kinds of numbers that an agent has."""
MAY_DIFFER = (
    "steps",
    "eval",
    "checkpoint_every",
    "log_every",
    "compute.device",
    "compute.threads",
    "compute.precision",
    "compute.overlap",
)
"""Keys that a continued run may change."""
INCIDENTAL = (
    "steps",
    "eval.every",
    "eval.interim_episodes",
    "checkpoint_every",
    "log_every",
    "record",
    "compute.device",
    "compute.threads",
)
"""Keys that do not make another experiment: its result at so many steps is the same with any of them."""


class Run:
    """A run folder, existing or to be made.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.recipe_file = self.path / "recipe.yaml"
        self.weights = self.path / "weights.safetensors"
        self.best_weights = self.path / "weights-best.safetensors"
        self.result_file = self.path / "result.json"
        self.metrics = self.path / "metrics.csv"
        self.episodes = self.path / "episodes.csv"
        self.checkpoints = self.path / "checkpoints"
        self.curve = self.path / "learning_curve.png"
        self.scratch = self.path / "replay"
        self.dataset = self.path / "dataset"

    def recipe(self) -> Recipe:
        """The recipe that the folder belongs to.

        Raises:
            RecipeError: no run there, or a corrupt recipe.
        """
        try:
            there = self.recipe_file.exists()
        except (OSError, ValueError):
            there = False
        if not there:
            raise RecipeError(f"{str(self.path)[:80]}: not a run folder: there is no recipe.yaml in it")
        values = read_yaml(self.recipe_file)
        stamp = values.pop("catzoo", None)
        if not isinstance(stamp, dict) or stamp.get("format") != FORMAT:
            found = stamp.get("format") if isinstance(stamp, dict) else None
            raise RecipeError(f"{self.recipe_file}: run format {shown(found)}, this version reads {FORMAT}")
        value_loss = values.get("value_loss")
        if isinstance(value_loss, dict) and isinstance(value_loss.get("name"), str):
            know_losses([value_loss["name"]])
        return build(Recipe, values, where=str(self.recipe_file))

    def check(self, recipe: Recipe) -> None:
        """Refuses a folder that is not `recipe`'s to use; writes nothing.

        Raises:
            RecipeError: it belongs to another recipe (says what differs) or holds other files.
        """
        try:
            ours = self.recipe_file.exists()
            taken = self.path.exists() and (not self.path.is_dir() or any(_not_ours(self.path)))
        except (OSError, ValueError) as error:  # a name too long, or with a NUL in it
            raise RecipeError(f"{str(self.path)[:80]!r}: cannot be used: {error}") from None
        if ours:
            own = self.recipe()
            before = flat(own.to_dict())
            differences = [
                f"{key} is {before.get(key)}, asked for {value}"
                for key, value in compare(own, recipe).items()
            ]
            if differences:
                raise RecipeError(
                    f"{self.path} belongs to another recipe: {'; '.join(differences)}; "
                    "choose another --run-dir, or delete the folder"
                )
        elif taken:
            raise RecipeError(f"{self.path} exists and is not a run folder: choose another --run-dir")

    @contextmanager
    def training(self, recipe: Recipe) -> Iterator[None]:
        """Makes the folder for `recipe`, or takes up the one that is there, and holds it for one process.

        Raises:
            RecipeError: see `check`; it cannot be written; or another process is training in it.
        """
        self.check(recipe)
        refuse_links(self.path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        try:
            lock(descriptor, self.path)  # it dies with the process
            if not self.recipe_file.exists():
                self.save_recipe(recipe)
            yield
        finally:
            os.close(descriptor)

    def save_recipe(self, recipe: Recipe) -> None:
        """Publishes recipe.yaml by rename.

        Raises:
            RecipeError: it cannot be written.
        """
        try:
            write_atomically(self.recipe_file, yaml.safe_dump(stamped(recipe), sort_keys=False))
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    def result(self) -> dict[str, Any] | None:
        """The content of result.json, or None before the end of the run."""
        return read_result(self.result_file) if os.path.lexists(self.result_file) else None

    def save_result(self, result: dict[str, Any]) -> None:
        """Publishes result.json by rename."""
        write_atomically(self.result_file, json.dumps(result, indent=1) + "\n")

    def save_weights(self, agent: Agent, best: BestWeights | None = None) -> None:
        """Publishes the agent's parameters as safetensors, by rename, and the best that there were."""
        self._save_weights(self.weights, agent.weights(), agent.steps)
        if best is not None and best.weights:
            self._save_weights(self.best_weights, best.weights, best.steps)

    def _save_weights(self, file: Path, tensors: dict[str, Tensor], steps: int) -> None:
        from catzoo.agents.checkpoints.seal import sync
        from catzoo.agents.checkpoints.state_files import save_tensors

        for leftover in self.path.glob(".tmp??????"):  # safetensors' own, of a save that was killed
            leftover.unlink()
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        temporary = file.with_suffix(".tmp")
        save_tensors(tensors, temporary, {"catzoo": __version__, "steps": str(steps)})
        sync(temporary)
        os.replace(temporary, file)

    def save_batch(self, batch: Batch) -> Path:
        """Writes a batch, by column, to not_finite.safetensors; returns the file."""
        from catzoo.agents.checkpoints.state_files import save_tensors

        file = self.path / "not_finite.safetensors"
        columns = batch._asdict().items()
        tensors = {name: column.cpu().clone() for name, column in columns if column is not None}
        save_tensors({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
        return file

    def drop_scratch(self) -> None:
        """Removes the replay that lay on disk while the run trained."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def load_weights(self, agent: Agent, *, best: bool = False) -> None:
        """Loads weights.safetensors into `agent`, or the best; `agent.steps` says from when they are.

        Raises:
            RecipeError: missing, corrupt, or of another architecture.
        """
        from safetensors import SafetensorError, safe_open

        weights = self.best_weights if best else self.weights
        if best and self.weights.is_file() and not weights.is_file():
            raise RecipeError(f"{self.path}: no {weights.name}: no training episode ended, or the zoo's own")
        if not weights.is_file():
            raise RecipeError(f"{self.path}: no {weights.name} yet: let the training finish first")
        own = agent.state_dict()
        try:
            with safe_open(weights, framework="pt") as file:
                stored = _stored_names(file, own)
                _check_header(file, {stored[name]: tensor for name, tensor in own.items()})
                agent.load_state_dict({name: file.get_tensor(stored[name]) for name in own})
                steps = (file.metadata() or {}).get("steps", "")
        except (SafetensorError, OSError):
            raise RecipeError(f"{weights}: corrupt") from None
        except (RuntimeError, ValueError) as error:
            raise RecipeError(f"{weights}: does not fit the recipe: {brief(str(error), 200)}") from None
        known = steps.isascii() and steps.isdecimal() and len(steps) < 19
        agent.steps = int(steps) if known else (self.result() or {}).get("steps", 0)


def _stored_names(file: Any, own: dict[str, Tensor]) -> dict[str, str]:
    """Where an agent's tensors are in a file of weights: without a target network, in the network."""
    without_target = not any(name.startswith(TARGET) for name in file.keys())  # noqa: SIM118
    return {
        name: NETWORK + name.removeprefix(TARGET) if without_target and name.startswith(TARGET) else name
        for name in own
    }


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


def _not_ours(folder: Path) -> Iterator[Path]:
    """What lies in a folder beside the temporary files of a start that failed."""
    return (path for path in folder.iterdir() if path.suffix != ".tmp")


def refuse_links(folder: Path) -> None:
    """Refuses a folder with symbolic links in it: whoever made it would have us write elsewhere.

    Raises:
        RecipeError: names one.
    """
    for here, inside, files in os.walk(folder):
        for name in (*inside, *files):
            if Path(here, name).is_symlink():
                raise RecipeError(f"{Path(here, name)}: is a symbolic link, and a run folder holds none")


def compare(before: Recipe, now: Recipe, ignoring: tuple[str, ...] = MAY_DIFFER) -> dict[str, Any]:
    """Keys that differ between two recipes, but for those that begin as in `ignoring`: values in `now`."""
    old, new = flat(before.to_dict()), flat(now.to_dict())
    return {
        key: new.get(key)
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not key.startswith(ignoring)
    }


def versions() -> dict[str, str]:
    """Versions of everything that decides a number."""
    packages = ("torch", "torchrl", "tensordict", "lightning", "gymnasium", "ale-py", "numpy")
    found = {"catzoo": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def cpu_model() -> str:
    """The processor's name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    except OSError:
        pass
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def stamped(recipe: Recipe) -> dict[str, Any]:
    """A resolved recipe as plain data, with format, versions and protocol."""
    from catzoo.zoo.environments import protocol_of

    stamp = {
        "format": FORMAT,
        "versions": versions(),
        "protocol": protocol_of(recipe.env, recipe.env_options).to_dict(),
    }
    return {"catzoo": stamp, **recipe.to_dict()}


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
    from catzoo.zoo.build import build_agent, build_env

    run = Run(find_run(path))
    recipe = run.recipe()
    if ":" in recipe.env and not trust:
        raise RecipeError(
            f"{path}: its environment {recipe.env} imports {recipe.env.rpartition(':')[0]}: if you know it, "
            "add --trust (trust=True)"
        )
    # It may have been trained on a machine that had more, or less.
    recipe = dataclasses.replace(recipe, compute=dataclasses.replace(recipe.compute, device="auto"))
    env = build_env(recipe, 1)
    agent = build_agent(recipe, env)
    env.close()
    run.load_weights(agent, best=best)
    return recipe, agent.eval()


def write_atomically(path: Path, text: str) -> None:
    """Writes a file beside `path`, then renames it: readers see the old one or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found
