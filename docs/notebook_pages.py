"""Notebooks as pages of the site: their words, their code, and the outputs that they are committed with.

Nothing is run. A page keeps the notebook's name, so that a link to `notebooks/first_agent.ipynb` leads to the
notebook where it lies in the repository, and to its page on the site; links in its text are checked as those
of any other page. What a cell wrote to standard error is left out.

mkdocs-jupyter 0.26 does the same with some 30 more packages, and was tried: each page has 0.6 MB of style
sheets and may ask a stranger's server for a script, and a link to `../losses.md` leads nowhere.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

Cell = dict[str, Any]
PICTURES = {"image/png": "png", "image/gif": "gif", "image/jpeg": "jpg"}
"""What an output may be that becomes a file beside the page, and how that ends."""


class Notebook(File):
    """A file that becomes a page, though it is no Markdown by its name."""

    def is_documentation_page(self) -> bool:
        """Yes."""
        return True


def on_files(files: Files, *, config: Any) -> Files:
    """Puts a page in the place of every notebook, with its pictures, and the notebook to be downloaded."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        source = PurePosixPath(file.src_uri)
        markdown, pictures = page_of(json.loads(file.content_string), source.stem)
        copy = f"files/{source}"
        link = "../" * (len(source.parts) - 1) + copy
        markdown += f"\n\n[Download this notebook]({link}), to run it in Jupyter.\n"
        files.remove(file)
        files.append(Notebook.generated(config, str(source), content=markdown))
        files.append(File.generated(config, copy, abs_src_path=str(file.abs_src_path)))
        for name, content in pictures.items():
            files.append(File.generated(config, str(source.with_name(name)), content=content))
    return files


def page_of(notebook: Cell, name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and the pictures that it shows, by file name: `NAME-1.png`."""
    blocks: list[str] = []
    pictures: dict[str, bytes] = {}
    heading = name
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            titles = [line.lstrip("# ") for line in source.splitlines() if line.startswith("#")]
            heading = titles[-1] if titles else heading
            blocks.append(source)
            continue
        blocks.append(_fenced(source, ".python"))
        for kind, content in _outputs(cell):
            if kind in PICTURES:
                file = f"{name}-{len(pictures) + 1}.{PICTURES[kind]}"
                pictures[file] = base64.b64decode(content)
                blocks.append(f"![{heading}]({file})")
            else:
                blocks.append(
                    _fenced(content, ".text .output") if kind == "text/plain" else f"<div>{content}</div>"
                )
    return "\n\n".join(blocks), pictures


def _outputs(cell: Cell) -> Iterator[tuple[str, str]]:
    """What a cell shows: kind and content, the richest that a page can have."""
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            found = {"text/plain": output["text"]} if output["name"] == "stdout" else {}
        else:
            found = output["data"]
        kind = next((kind for kind in (*PICTURES, "text/html", "text/plain") if kind in found), None)
        if kind is not None:
            yield kind, "".join(found[kind]).rstrip("\n")


def _fenced(text: str, classes: str) -> str:
    """Code, or what it printed: the site's style sheet tells one from the other by the class `output`."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence} {{ {classes} }}\n{text}\n{fence}"
