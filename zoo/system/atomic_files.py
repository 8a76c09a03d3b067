"""Files that are whole or not there: written beside, then renamed."""

from __future__ import annotations

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
