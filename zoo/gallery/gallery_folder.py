"""A gallery's folder: what of it is ours, and which films are those of today's agents."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Mapping
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
        """The names of all agents that have files here, and the films by the names of theirs."""

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
        return self._listed()[0]

    def names(self) -> list[str]:
        """All agents that may have files here, a film or a learning curve; writes nothing.

        Raises:
            RecipeError: the folder holds something else.
        """
        return self._listed()[1]

    def _listed(self) -> tuple[dict[str, Film], list[str]]:
        try:
            content = from_json(self.list.read_bytes())
            if content["made_by"] != MADE_BY:
                raise ValueError
            films = {name: Film(**film) for name, film in content["films"].items() if NAME.fullmatch(name)}
            # Lists of before had the names of films alone.
            return films, [name for name in content.get("names", films) if NAME.fullmatch(name)]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            pass
        try:
            taken = self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir()))
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be used: {error.strerror or error}") from None
        if taken:
            raise RecipeError(f"{self.path}: has other files in it, and no gallery: choose another folder")
        return {}, []

    def make(self) -> None:
        """Makes the folder, and it ours.

        Raises:
            RecipeError: it cannot be written.
        """
        if not self.list.is_file():
            self.write({}, [])

    def write(self, films: Mapping[str, Film], names: Iterable[str]) -> None:
        """Publishes the list, by rename.

        Args:
            films: by the names of their agents.
            names: of all agents that may have files here.

        Raises:
            RecipeError: it cannot be written.
        """
        listed = {name: asdict(film) for name, film in films.items()}
        with writing(self.list):
            write_atomically(self.list, to_json({"made_by": MADE_BY, "names": list(names), "films": listed}))

    def clear(self, films: Container[str], curves: Container[str]) -> None:
        """Removes what the page does not show: all films and stills, and all curves, but of these names."""
        for name in self.names():
            film = () if name in films else (self.film(name), self.poster(name))
            curve = () if name in curves else (self.curve(name),)
            for file in (*film, *curve):
                file.unlink(missing_ok=True)


def key_of(run: Run, *settings: object) -> str:
    """What a film is of: it changes with the run's recipe, its weights, and how it is filmed."""
    found = hashlib.sha256(repr(settings).encode())
    for file in (run.recipe_file, run.weights):
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()[:16]
