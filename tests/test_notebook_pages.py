"""What the site's build makes of a notebook."""

import base64
import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("mkdocs")
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

HOOK = Path(__file__).resolve().parents[1] / "docs" / "notebook_pages.py"
PNG = b"\x89PNG picture"


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("notebook_pages", HOOK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def notebook(*outputs):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "## Part"]},
        {"cell_type": "code", "source": ["x = 1\n", "x"], "outputs": list(outputs)},
    ]
    return {"cells": cells}


def shown(**data):
    data = {kind.replace("_", "/"): content for kind, content in data.items()}
    return {"output_type": "display_data", "data": data}


def test_words_code_and_what_was_printed(hook):
    printed = {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\n"]}
    markdown, pictures = hook.page_of(notebook(printed, shown(text_plain="```\n3")), "first")
    assert markdown.split("\n\n") == [
        "# Title",
        "## Part",
        "``` { .python }\nx = 1\nx\n```",
        "``` { .text .output }\none\ntwo\n```",
        "```` { .text .output }\n```\n3\n````",
    ]
    assert pictures == {}


def test_warnings_of_the_machine_are_left_out(hook):
    said = {"output_type": "stream", "name": "stderr", "text": ["a warning"]}
    assert "warning" not in hook.page_of(notebook(said), "first")[0]


def test_pictures_become_files_and_html_stays(hook):
    picture = shown(text_plain="<Figure>", image_png=base64.b64encode(PNG).decode())
    film = shown(text_plain="<Video>", text_html=["<video>", "</video>"])
    markdown, pictures = hook.page_of(notebook(picture, film), "first")
    assert pictures == {"first-1.png": PNG}
    assert markdown.endswith("![Part](first-1.png)\n\n<div><video></video></div>")


def test_two_pictures_of_a_cell_are_two_files(hook):
    one, two = (shown(image_png=base64.b64encode(content).decode()) for content in (PNG, b"other"))
    assert list(hook.page_of(notebook(one, two), "first")[1].values()) == [PNG, b"other"]


def test_a_notebook_is_a_page_and_a_file_to_download(hook, tmp_path):
    docs, site = tmp_path / "docs", tmp_path / "site"
    (docs / "notebooks").mkdir(parents=True)
    (docs / "notebooks" / "first.ipynb").write_text(json.dumps(notebook(shown(image_png="aGk="))))
    config = MkDocsConfig()
    config.load_dict({"site_name": "x", "docs_dir": str(docs), "site_dir": str(site)})
    config.validate()
    config.plugins._current_plugin = None
    files = Files([File("notebooks/first.ipynb", str(docs), str(site), use_directory_urls=True)])
    files = hook.on_files(files, config=config)
    (page,) = files.documentation_pages()
    assert (page.src_uri, page.url) == ("notebooks/first.ipynb", "notebooks/first/")
    assert "[Download this notebook](../files/notebooks/first.ipynb)" in page.content_string
    assert files.get_file_from_path("notebooks/first-1.png").content_bytes == b"hi"
    assert "cells" in json.loads(files.get_file_from_path("files/notebooks/first.ipynb").content_string)
