"""What `catzoo doctor` says: of a whole installation, of a broken one, and of what is not there."""

import sys
from importlib import metadata

import pytest

from catzoo.zoo.cli.main import main
from catzoo.zoo.system import installation
from catzoo.zoo.system.installation import BROKEN, EXTRAS, GOOD, MISSING, examine


@pytest.fixture
def asked(monkeypatch):
    """Requirements in place of ours."""

    def asked(*requirements):
        monkeypatch.setattr(metadata, "requires", lambda name: list(requirements))
        return {found.what: found for found in examine()}

    return asked


def test_here_nothing_is_broken(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "torchrl's C++ parts" in out
    assert "broken" not in out


def test_every_extra_is_known():
    known = {extra for _, extra in installation._requirements() if extra}
    assert known == EXTRAS.keys()


def test_a_version_that_does_not_fit_is_broken_and_said_how_to_mend(asked, capsys):
    found = asked("numpy<1", "no-such-package~=2.0", "pyyaml>=6.0")
    assert found["numpy"].state == BROKEN
    assert found["numpy"].words.endswith("and <1 is needed: pip install 'numpy<1'")
    assert found["no-such-package"].words == "not installed: pip install 'no-such-package~=2.0'"
    assert found["pyyaml"].state == GOOD
    assert main(["doctor"]) == 2
    assert "numpy, no-such-package: see above" in capsys.readouterr().err


def test_a_missing_extra_is_no_fault_and_says_what_it_brings(asked):
    found = asked('no-such-simulator~=1.0; extra == "dmc"', 'pyyaml>=6; extra == "chess"')
    assert found["extra dmc"].state == MISSING
    assert found["extra dmc"].words == (
        "DeepMind Control: pip install 'catzoo[dmc]' (lacks no-such-simulator)"
    )
    assert found["extra chess"].state == GOOD


def test_torchrl_without_its_cpp_parts(asked, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchrl._torchrl", None)
    found = asked()["torchrl's C++ parts"]
    assert found.state == BROKEN
    assert "pip install --force-reinstall torch torchrl" in found.words
