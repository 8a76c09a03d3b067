"""Files that are whole or not there: written beside, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catzoo.hparams import RecipeError
from catzoo.hparams.published_files import replace, settle


def write_atomically(path: Path, text: str) -> None:
    """Writes a file beside `path`, then renames it: readers see the old one or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            settle(file.fileno())
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def published(out: Path) -> Iterator[Path]:
    """A file beside `out` for others to write, renamed to it at the end; after an error nothing is left.

    It ends as `out` does, in small letters: what writes it may go by that.
    """
    out = out.absolute()  # though who writes may go to another folder
    temporary = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix.lower()}")
    try:
        yield temporary
        replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Makes the folder that a file is written into.

    Raises:
        RecipeError: it cannot be made, or what happens inside cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise RecipeError(f"{out}: cannot be written: {error.strerror or error}") from None
