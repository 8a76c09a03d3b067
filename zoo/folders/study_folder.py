"""A study's folder: its settings, its trials' runs, and what comes out."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from catzoo.hparams import Recipe, RecipeError, build_recipe, read_yaml
from catzoo.hparams.old_formats import LATER, upgraded
from catzoo.hparams.paths import Typed, path_of
from catzoo.hparams.schema import shown
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.folders.run_recipe import flat
from catzoo.zoo.system.atomic_files import write_atomically
from catzoo.zoo.system.file_locks import held_path

FORMAT = 1
"""Of study.yaml."""

NEEDS = (".compute.threads", ".compute.gpus", ".compute.memory")
"""What a study may go on with another value of: where its runs find room changes none of them."""


class StudyFolder:
    """A study's folder, existing or to be made.

    Args:
        path: the folder.
    """

    def __init__(self, path: Typed) -> None:
        self.path = path_of(path)
        self.settings_file = self.path / "study.yaml"
        self.journal = self.path / "study.journal"
        self.place_file = self.path / "place"
        self.best = self.path / "best.yaml"
        self.table = self.path / "trials.csv"
        self.verdict = self.path / "verdict.json"
        self.pictures = self.path / "pictures"
        self.trials = self.path / "trials"
        self.confirmation = self.path / "confirm"

    def settings(self) -> dict[str, Any] | None:
        """What the study was made with; None if there is none.

        Raises:
            RecipeError: study.yaml is corrupt, or of another format.
        """
        if not os.path.exists(self.settings_file):
            return None
        settings = read_yaml(self.settings_file)
        found = settings.pop("format", None)
        if found != FORMAT:
            raise RecipeError(
                f"{self.settings_file}: study format {shown(found)}, this version reads {FORMAT}"
            )
        return settings

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuses a folder that holds another study, or something else; writes nothing.

        Raises:
            RecipeError: says what differs.
        """
        there = self.settings()
        if there is not None:
            differing(there, settings, str(self.path))
        elif os.path.exists(self.path) and not (
            self.path.is_dir() and all(map(self._of_a_beginning, self.path.iterdir()))
        ):
            raise RecipeError(f"{self.path} exists and is not a study: choose another --study-dir")

    def _of_a_beginning(self, file: Path) -> bool:
        """Whether a study that was killed before it was under way may have left this."""
        names = (self.place_file.name, self.journal.name, f"{self.journal.name}.lock")
        return file.name in names or file.suffix == ".tmp"

    @contextmanager
    def held(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """Makes the folder, or takes up the one that is there, and holds it for one process.

        Raises:
            RecipeError: see `check`; it cannot be written; or another process is tuning in it.
        """
        self.check(settings)
        fresh = not os.path.exists(self.path)
        made = [folder for folder in self.path.parents if not os.path.exists(folder)]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        with held_path(self.path, "tuning in this folder"):
            try:
                yield
            except RecipeError:
                if fresh and not self.settings_file.exists():  # refused before it began
                    shutil.rmtree(self.path, ignore_errors=True)
                    with suppress(OSError):  # what another process has put there since stays
                        for folder in made:
                            folder.rmdir()
                raise

    def save(self, settings: Mapping[str, Any]) -> None:
        """Makes the folder that study's, once nothing is left that would refuse it.

        Raises:
            RecipeError: it cannot be written.
        """
        try:
            text = yaml.safe_dump({"format": FORMAT, **settings}, sort_keys=False)
            write_atomically(self.settings_file, text)
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    def place(self) -> str:
        """A name for this folder that no other has, on any machine."""
        if not self.place_file.exists():
            write_atomically(self.place_file, uuid.uuid4().hex)
        return self.place_file.read_text(encoding="utf-8")

    def trial(self, number: int) -> Path:
        """The folder of a trial's runs."""
        return self.trials / f"{number:04d}"

    def recipes_of(self, number: int) -> list[Recipe]:
        """The recipes of `runs_of`."""
        return [run.recipe() for run in self.runs_of(number)]

    def runs_of(self, number: int) -> list[Run]:
        """A trial's runs with its first seed, one per environment.

        Raises:
            RecipeError: no such study or trial.
        """
        settings = self.settings()
        if settings is None:
            raise RecipeError(f"{self.path}: not a study: there is no {self.settings_file.name} in it")
        runs = [Run(file.parent) for file in sorted(self.trial(number).glob("*/recipe.yaml"))]
        if not runs:
            if self.trial(number).is_dir():
                raise RecipeError(f"{self.path}: trial {number} was ended before a run of it began")
            known = sorted({int(file.parts[-3]) for file in self.trials.glob("[0-9]*/*/recipe.yaml")})
            span = f"it has {known[0]} to {known[-1]}" if known else "it has none"
            raise RecipeError(f"{self.path}: no trial {number}: {span}")
        recipes = {run: run.recipe() for run in runs}
        first = min(recipe.seed for recipe in recipes.values())
        envs = settings.get("envs")
        order = {env: place for place, env in enumerate(envs if isinstance(envs, list) else [])}
        return sorted(
            (run for run, recipe in recipes.items() if recipe.seed == first),
            key=lambda run: order.get(recipes[run].env, len(order)),
        )


def differing(there: Mapping[str, Any], asked: Mapping[str, Any], where: str) -> None:
    """Refuses settings that are not those of the study.

    Raises:
        RecipeError: says what differs.
    """
    recipes = there.get("recipes")
    if isinstance(recipes, Mapping):  # with the keys that they have now
        upgrades = {env: upgraded(one, 1, where) for env, one in recipes.items() if isinstance(one, Mapping)}
        there = {
            **there,
            "recipes": {env: build_recipe(one, where=where).to_dict() for env, one in upgrades.items()},
        }
    before, now = flat(dict(there)), flat(dict(asked))
    # An earlier version's study was not asked for what recipes could not say then; its recipes have it now.
    later = {f"overrides.{key}" for key in flat(LATER)}
    keys = [
        key
        for key in dict.fromkeys((*before, *now))
        if before.get(key) != now.get(key) and key not in later and not key.endswith(NEEDS)
    ]
    # Recipes differ because something else does, and the steps are an override as well.
    causes = [key for key in keys if not key.startswith(("recipes.", "overrides.steps"))]
    differences = [
        f"{key} is {before.get(key, 'not set')}, asked for {now.get(key, 'nothing')}"
        for key in causes or keys
    ]
    if differences:
        raise RecipeError(
            f"{where} is another study: {'; '.join(differences[:4])}; choose another --study-dir"
        )
