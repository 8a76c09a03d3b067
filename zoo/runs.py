"""A run's folder: the recipe, the metrics, the checkpoints, the weights and the result.

| file | what |
|---|---|
| recipe.yaml | the resolved recipe, with versions and protocol; what a second command is compared with |
| metrics.csv, tensorboard/ | metrics by step |
| episodes.csv | every training episode: step, return, length |
| checkpoints/ | what a continued run needs |
| weights.safetensors | network (and target network) at the end |
| result.json | greedy evaluation: mean return, every episode's return, steps, seed, protocol, versions |
| learning_curve.png | the picture |
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from catzoo import __version__
from catzoo.hparams import Recipe, RecipeError, build, read_yaml
from catzoo.zoo.catalogue import know_losses

if TYPE_CHECKING:
    from catzoo.agents import Agent

FORMAT = 1
"""Version of the folder's layout."""
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
        self.result_file = self.path / "result.json"
        self.metrics = self.path / "metrics.csv"
        self.episodes = self.path / "episodes.csv"
        self.checkpoints = self.path / "checkpoints"
        self.curve = self.path / "learning_curve.png"

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
            raise RecipeError(f"{self.recipe_file}: run format {found}, this version reads {FORMAT}")
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
            taken = self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir()))
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
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        try:
            _lock(descriptor, self.path)  # it dies with the process
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
            write_atomically(self.recipe_file, stamped_yaml(recipe))
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    def result(self) -> dict[str, Any] | None:
        """The content of result.json, or None before the end of the run."""
        if not self.result_file.exists():
            return None
        try:
            result = json.loads(self.result_file.read_text(encoding="utf-8"))
            if not isinstance(result, dict) or not {"steps", "mean_return"} <= result.keys():
                raise ValueError
            return result
        except (OSError, ValueError):
            raise RecipeError(f"{self.result_file}: corrupt; delete it to evaluate again") from None

    def save_result(self, result: dict[str, Any]) -> None:
        """Publishes result.json by rename."""
        write_atomically(self.result_file, json.dumps(result, indent=1) + "\n")

    def save_weights(self, agent: Agent) -> None:
        """Publishes the agent's parameters as safetensors, by rename."""
        from safetensors.torch import save_file

        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in agent.state_dict().items()}
        temporary = self.weights.with_suffix(".tmp")
        save_file(tensors, temporary, metadata={"catzoo": __version__})
        os.replace(temporary, self.weights)

    def load_weights(self, agent: Agent) -> None:
        """Loads weights.safetensors into `agent`.

        Raises:
            RecipeError: missing, corrupt, or of another architecture.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if not self.weights.exists():
            raise RecipeError(f"{self.path}: no weights.safetensors yet: let the training finish first")
        try:
            agent.load_state_dict(load_file(self.weights))
        except (SafetensorError, OSError):
            raise RecipeError(f"{self.weights}: corrupt") from None
        except RuntimeError as error:
            first = " ".join(str(error).split())[:200]
            raise RecipeError(f"{self.weights}: does not fit the recipe: {first}") from None


def _lock(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system: go without
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecipeError(f"{path}: another process is training in this folder") from None


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


def stamped_yaml(recipe: Recipe) -> str:
    """A resolved recipe as YAML, with format, versions and protocol."""
    from catzoo.zoo.environments import protocol_of

    stamp = {
        "format": FORMAT,
        "versions": versions(),
        "protocol": protocol_of(recipe.env, recipe.env_options).to_dict(),
    }
    return yaml.safe_dump({"catzoo": stamp, **recipe.to_dict()}, sort_keys=False)


def load_agent(path: str | Path) -> tuple[Recipe, Agent]:
    """The recipe of a finished run and its agent with the trained weights.

    Raises:
        RecipeError: not a run, not finished, or corrupt.
    """
    from catzoo.zoo.build import build_agent, build_env

    run = Run(path)
    recipe = run.recipe()
    # It may have been trained on a machine that had more, or less.
    recipe = dataclasses.replace(recipe, compute=dataclasses.replace(recipe.compute, device="auto"))
    env = build_env(recipe, 1)
    agent = build_agent(recipe, env)
    env.close()
    run.load_weights(agent)
    return recipe, agent.eval()


def write_atomically(path: Path, text: str) -> None:
    """Writes a file beside `path`, then renames it: readers see the old one or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found
