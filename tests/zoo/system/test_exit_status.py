"""How a command ends: one line for what went wrong."""

import re
import tomllib
from pathlib import Path

import pytest

from catzoo.zoo.system.exit_status import NEEDED, exit_status

MODULES = {"pyyaml": "yaml", "pillow": "PIL"}


def missing(module):
    raise ModuleNotFoundError(f"No module named {module!r}", name=module)


@pytest.mark.parametrize("module", ["rich", "yaml", "torchrl.data"])
def test_a_package_that_was_left_out_is_one_line(capsys, module):
    assert exit_status(lambda: missing(module), "doctor") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert (
        f"{module.partition('.')[0]} is missing: doctor needs the packages that --no-deps leaves out" in said
    )


@pytest.mark.parametrize("module", ["somebodys_package", None])
def test_what_is_not_ours_is_not_hidden(module):
    with pytest.raises(ModuleNotFoundError):
        exit_status(lambda: missing(module), "train")


def test_they_are_those_that_the_package_names():
    file = Path(__file__).parents[3] / "pyproject.toml"
    named = tomllib.loads(file.read_text())["project"]["dependencies"]
    names = {re.match(r"[\w-]+", one)[0] for one in named}
    assert {MODULES.get(name, name.replace("-", "_")) for name in names} == NEEDED
