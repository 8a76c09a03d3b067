"""Names of files and folders, as people type them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from catzoo.hparams.schema import RecipeError, shown

Typed = str | os.PathLike[str]
LONGEST = 240
"""Bytes of a name: systems take 255, and a file is first written under a name that is somewhat longer."""
NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of line ends, control characters and bytes that are no text."""


def path_of(typed: Typed) -> Path:
    """The path that somebody typed: `~` in front is a home directory, all else stands for itself.

    Raises:
        RecipeError: an empty name, one that is not a line of text, or one that no file can have.
    """
    text = os.path.expanduser(os.fspath(typed))
    if not text:
        raise RecipeError("an empty name: name a file or a folder, or . for this one")
    if any(unicodedata.category(character) in NO_TEXT for character in text):
        raise RecipeError(f"{shown(text)}: cannot be used: a name must be one line of text")
    path = Path(text)
    if any(len(os.fsencode(part)) > LONGEST for part in path.parts):
        raise RecipeError(f"{shown(text)}: cannot be used: a name in it is longer than {LONGEST} bytes")
    # A folder that is really called ~, typed as ./~, is no home directory to libraries either.
    return path.absolute() if str(path).startswith("~") else path
