"""Where datasets are made: a folder that one process holds, and files of a part each."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from catzoo.hparams import RecipeError
from catzoo.hparams.published_files import replace, settle
from catzoo.zoo.system.file_locks import held_path

Columns = dict[str, np.ndarray]


@contextmanager
def held_folder(folder: Path, doing: str) -> Iterator[None]:
    """Makes a folder, if it is not there, and holds it.

    Raises:
        RecipeError: it cannot be made, another process is `doing` that, or what happens inside cannot be
            written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with held_path(folder, doing):
            yield
    except OSError as error:
        raise RecipeError(f"{folder}: cannot be written: {error.strerror or error}") from None


def write_part(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Writes a part's columns, whole."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.savez(file, **columns)
        file.flush()
        settle(file.fileno())
    replace(temporary, path)


def read_part(path: Path) -> Columns:
    """The columns of a part.

    Raises:
        RecipeError: it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as columns:
            return {name: columns[name] for name in columns}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError):
        raise RecipeError(f"{path}: damaged: delete it, and the same command makes it again") from None
