"""What the README shows runs as it stands."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_python_runs(monkeypatch):
    import catzoo.losses

    monkeypatch.setattr(catzoo.losses, "LOSSES", dict(catzoo.losses.LOSSES))  # one block adds to it
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_its_pictures_are_there():
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).stat().st_size > 1000


def commands():
    return [
        shlex.split(line)[1:] for line in re.findall(r"^(catzoo [^\n]*?)(?:   .*)?$", README, re.MULTILINE)
    ]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_its_commands_parse(words):
    from catzoo.hparams import parse_override
    from catzoo.zoo.cli.main import parse
    from catzoo.zoo.studies.reproduce import make_study

    arguments = parse(words)
    if arguments.command == "reproduce":
        make_study(arguments.study, arguments.budget, arguments.seeds, arguments.overrides)
        return
    for override in getattr(arguments, "overrides", []):
        parse_override(override)


def test_its_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
