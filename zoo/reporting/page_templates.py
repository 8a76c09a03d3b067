"""How pages are filled: jinja2, everything escaped, one look (`page.css`) for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from catzoo.hparams.schema import brief

if TYPE_CHECKING:
    from jinja2 import Template


class Bold(str):
    """A table's cell that stands out."""


def template(name: str, folder: Path) -> Template:
    """A template of a room, which may include what is in this one."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["brief"] = brief
    environment.tests["bold"] = lambda cell: isinstance(cell, Bold)
    return environment.get_template(name)
