"""What the README and the pages of the documentation show runs as it stands."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
BLOCKS = [
    pytest.param(page, block, id=f"{page}-{number}")
    for page, text in PAGES.items()
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
]


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_python_runs(page, block, monkeypatch, tmp_path):
    import catzoo.losses

    if "onnxruntime" in block:
        pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)  # some write a file
    monkeypatch.setattr(catzoo.losses, "LOSSES", dict(catzoo.losses.LOSSES))  # one block adds to it
    exec(compile(block, page, "exec"), {})


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_are_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if "://" not in target and not target.startswith("#"):
            file = ROOT / Path(page).parent / target.partition("#")[0]
            assert file.exists(), target
            assert file.suffix not in (".png", ".gif") or file.stat().st_size > 1000


def commands():
    lines = (
        line
        for text in PAGES.values()
        for line in re.findall(r"^(catzoo [^\n]*?)(?:   .*)?$", text, re.MULTILINE)
    )
    return [shlex.split(line)[1:] for line in dict.fromkeys(lines)]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_parse(words):
    from catzoo.hparams import parse_override
    from catzoo.zoo.cli.main import parse
    from catzoo.zoo.studies.reproduce import make_study

    arguments = parse(words)
    if arguments.command == "reproduce":
        make_study(arguments.study, arguments.budget, arguments.seeds, arguments.overrides)
        return
    for override in getattr(arguments, "overrides", []):
        parse_override(override)


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {target for text in PAGES.values() for target in re.findall(r"^make (\w+)", text, re.MULTILINE)}
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_readme_is_short_and_the_site_has_every_page():
    assert len(PAGES["README.md"].splitlines()) <= 150
    listed = re.findall(r"[\w/]+\.md", yaml.dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert {f"docs/{page}" for page in listed} == PAGES.keys() - {"README.md"}
