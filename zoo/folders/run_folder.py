"""A run's folder: the recipe, the metrics, the checkpoints, the weights and the result.

| file | what |
|---|---|
| recipe.yaml | the resolved recipe, with versions and protocol; what a second command is compared with |
| metrics.csv, tensorboard/ | metrics by step |
| episodes.csv | every training episode: step, return, length; game, if the run has several |
| checkpoints/ | what a continued run needs |
| weights.safetensors | network (and target network) at the end |
| weights-best.safetensors | the same at the best mean training return |
| result.json | greedy evaluation: mean return, every episode's return, steps, seed, protocol, versions |
| learning_curve.png | the picture |
| dataset/ | the share of its transitions that the run was to record |
| not_finite.safetensors | the batch whose loss was not a number, where that ended the run |
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from catzoo.hparams import Recipe, RecipeError, build_recipe, merge, read_yaml
from catzoo.hparams.json_text import to_json
from catzoo.hparams.old_formats import FORMAT, LATER, upgraded
from catzoo.hparams.paths import Typed, path_of
from catzoo.zoo.catalogue.recipe_files import know_losses
from catzoo.zoo.environments.names import in_file_names
from catzoo.zoo.environments.protocols import Protocol
from catzoo.zoo.folders.result_file import read_result
from catzoo.zoo.folders.run_recipe import compare, flat, stamped
from catzoo.zoo.system.atomic_files import write_atomically
from catzoo.zoo.system.file_locks import held_path

MOST_NAMED = 8
"""Keys named by a message that says how two recipes differ."""


class Run:
    """A run folder, existing or to be made.

    Args:
        path: the folder.
    """

    def __init__(self, path: Typed) -> None:
        self.path = path_of(path)
        """As it was typed, for messages."""
        self.folder = folder = self.path.absolute()
        """Where it is, though an environment may make another folder the working directory."""
        self.recipe_file = folder / "recipe.yaml"
        self.weights = folder / "weights.safetensors"
        self.best_weights = folder / "weights-best.safetensors"
        self.result_file = folder / "result.json"
        self.metrics = folder / "metrics.csv"
        self.episodes = folder / "episodes.csv"
        self.tensorboard = folder / "tensorboard"
        self.checkpoints = folder / "checkpoints"
        self.curve = folder / "learning_curve.png"
        self.scratch = folder / "replay"
        self.dataset = folder / "dataset"

    def recipe(self) -> Recipe:
        """The recipe that the folder belongs to.

        Raises:
            RecipeError: no run there, or a corrupt recipe.
        """
        try:
            there = self.recipe_file.exists()
        except OSError:
            there = False
        if not there:
            raise RecipeError(f"{self.path}: not a run folder: there is no recipe.yaml in it")
        values, stamp = self._stored()
        where = str(self.recipe_file)
        values = upgraded(values, stamp.get("format"), where)
        value_loss = values.get("value_loss")
        if isinstance(value_loss, dict) and isinstance(value_loss.get("name"), str):
            know_losses([value_loss["name"]])
        return build_recipe(values, where=where)

    def _stored(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The recipe's keys as they were written, and the stamp above them."""
        values = read_yaml(self.recipe_file)
        stamp = values.pop("catzoo", None)
        return values, stamp if isinstance(stamp, dict) else {}

    def _begun(self) -> Any:
        """The format of the version that began the run; this one's where none has."""
        stamp = self._stored()[1] if self.recipe_file.exists() else {"format": FORMAT}
        return stamp.get("begun", stamp.get("format"))

    def as_begun(self, recipe: Recipe) -> Recipe:
        """`recipe` for this folder: in a run of an earlier version, with what that did and could not say."""
        if self._begun() == FORMAT:
            return recipe
        return build_recipe(merge(recipe.to_dict(), LATER), where=str(self.recipe_file))

    def check(self, recipe: Recipe) -> None:
        """Refuses a folder that is not `recipe`'s to use; writes nothing.

        Raises:
            RecipeError: it belongs to another recipe (says what differs) or holds other files.
        """
        try:
            ours = self.recipe_file.exists()
            taken = self.folder.exists() and (not self.folder.is_dir() or any(_not_ours(self.folder)))
        except OSError as error:  # no leave to look, or too many names in it
            raise RecipeError(f"{self.path}: cannot be used: {error}") from None
        if ours:
            own = self.recipe()
            if differences := compare(own, self.as_begun(recipe)):
                raise RecipeError(
                    f"{self.path} belongs to another recipe: {_in_words(differences, flat(own.to_dict()))}; "
                    "choose another --run-dir, or delete the folder"
                )
        elif taken:
            raise RecipeError(f"{self.path} exists and is not a run folder: choose another --run-dir")

    @contextmanager
    def training(self, recipe: Recipe, protocol: Protocol | None = None) -> Iterator[None]:
        """Makes the folder for `recipe`, or takes up the one that is there, and holds it for one process.

        Raises:
            RecipeError: see `check`; it cannot be written; or another process is training in it.
        """
        self.check(recipe)
        refuse_links(self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        with held_path(self.folder, "training in this folder"):
            if not self.recipe_file.exists():
                self.save_recipe(recipe, protocol)
            yield

    def save_recipe(self, recipe: Recipe, protocol: Protocol | None = None) -> None:
        """Publishes recipe.yaml by rename.

        Raises:
            RecipeError: it cannot be written.
        """
        try:
            content = stamped(recipe, protocol, self._begun())
            write_atomically(self.recipe_file, yaml.safe_dump(content, sort_keys=False))
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    def result(self) -> dict[str, Any] | None:
        """The content of result.json, or None before the end of the run."""
        return read_result(self.result_file) if os.path.lexists(self.result_file) else None

    def save_result(self, result: dict[str, Any]) -> None:
        """Publishes result.json by rename."""
        write_atomically(self.result_file, to_json(result))

    def drop_scratch(self) -> None:
        """Removes the replay that lay on disk while the run trained."""
        shutil.rmtree(self.scratch, ignore_errors=True)


def _in_words(differences: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """What differs, in one line: of another agent, environment or loss the keys that follow are counted."""
    decisive = [key for key in ("agent", "env", "value_loss.name") if key in differences]
    named = decisive or list(differences)[:MOST_NAMED]
    said = [f"{key} is {_set(before.get(key))}, asked for {_set(differences[key])}" for key in named]
    rest = len(differences) - len(named)
    return "; ".join(said) + (f"; and {rest} more" if rest else "")


def _set(value: Any) -> str:
    return "not set" if value is None else str(value)


def _not_ours(folder: Path) -> Iterator[Path]:
    """What lies in a folder beside the temporary files of a start that failed."""
    return (path for path in folder.iterdir() if path.suffix != ".tmp")


def refuse_links(folder: Path) -> None:
    """Refuses a folder with symbolic links in it: whoever made it would have us write elsewhere.

    Not those of Weights & Biases, which earlier versions kept there: nothing of ours is written among them.

    Raises:
        RecipeError: names one.
    """
    for here, inside, files in os.walk(folder):
        if Path(here) == folder and "wandb" in inside and not (folder / "wandb").is_symlink():
            inside.remove("wandb")
        for name in (*inside, *files):
            if Path(here, name).is_symlink():
                raise RecipeError(f"{Path(here, name)}: is a symbolic link, and a run folder holds none")


def default_folder(recipe: Recipe, suffix: str = "") -> Path:
    """`runs/dqn-CartPole-v1-hl_gauss-s0`, with the preset after the environment if there is one."""
    env = in_file_names(recipe.env)
    preset = f"-{recipe.preset}" if recipe.preset else ""
    return Path("runs") / f"{recipe.agent}-{env}{preset}-{recipe.value_loss.name}{suffix}-s{recipe.seed}"


def finished_result(run: Run, recipe: Recipe) -> dict[str, Any] | None:
    """The run's result if it already has the recipe's steps; also refuses another recipe's folder."""
    run.check(recipe)
    result = run.result()
    return result if result is not None and result["steps"] >= recipe.steps else None
