"""A gallery's folder: what of it is ours, and which films are those of today's agents."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from catzoo.hparams import RecipeError
from catzoo.hparams.json_text import from_json, to_json
from catzoo.hparams.paths import Typed, path_of
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.system.atomic_files import write_atomically, writing

MADE_BY = "catzoo gallery"
"""What tells our gallery.json from others."""
NAME = re.compile(r"\w[\w.-]*", re.ASCII)
"""What an agent may be called here: also files are, and a page's anchors."""


@dataclass(frozen=True)
class Film:
    """A film that is in the folder."""

    key: str
    """What it is of, see `key_of`."""
    steps: int
    """Of the episode."""
    score: float
    """The episode's return, undiscounted and unclipped."""
    shown: int
    """Steps of the episode's beginning that the film shows."""


class GalleryFolder:
    """A folder, existing or to be made, with a page, films and pictures.

    Args:
        path: the folder.
    """

    def __init__(self, path: Typed) -> None:
        self.path = path_of(path)
        """As it was typed, for messages."""
        self.folder = self.path.absolute()
        self.page = self.folder / "index.html"
        self.list = self.folder / "gallery.json"
        """The films, by the names of their agents."""

    def film(self, name: str) -> Path:
        """An agent's film."""
        return self.folder / f"{name}.mp4"

    def poster(self, name: str) -> Path:
        """A still of it."""
        return self.folder / f"{name}.webp"

    def curve(self, name: str) -> Path:
        """An agent's learning curve."""
        return self.folder / f"{name}-curve.png"

    def films(self) -> dict[str, Film]:
        """The films that the folder's list has; writes nothing.

        Raises:
            RecipeError: the folder holds something else.
        """
        try:
            content = from_json(self.list.read_bytes())
            if content["made_by"] != MADE_BY:
                raise ValueError
            return {name: Film(**film) for name, film in content["films"].items() if NAME.fullmatch(name)}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            pass
        try:
            taken = self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir()))
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be used: {error.strerror or error}") from None
        if taken:
            raise RecipeError(f"{self.path}: has other files in it, and no gallery: choose another folder")
        return {}

    def make(self) -> None:
        """Makes the folder, and it ours.

        Raises:
            RecipeError: it cannot be written.
        """
        if not self.list.is_file():
            self.write({})

    def write(self, films: Mapping[str, Film]) -> None:
        """Publishes the list, by rename.

        Raises:
            RecipeError: it cannot be written.
        """
        with writing(self.list):
            content = {"made_by": MADE_BY, "films": {name: asdict(film) for name, film in films.items()}}
            write_atomically(self.list, to_json(content))

    def clear(self, names: Iterable[str]) -> None:
        """Removes the files of agents that are not shown any more."""
        for name in names:
            for file in (self.film(name), self.poster(name), self.curve(name)):
                file.unlink(missing_ok=True)


def key_of(run: Run, *settings: object) -> str:
    """What a film is of: it changes with the run's recipe, its weights, and how it is filmed."""
    found = hashlib.sha256(repr(settings).encode())
    for file in (run.recipe_file, run.weights):
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()[:16]
