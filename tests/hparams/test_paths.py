"""Names as people type them: `~` is a home directory, everything else stands for itself."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from catzoo.hparams import RecipeError, parse_override
from catzoo.hparams.paths import LONGEST, path_of

NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="/"), min_size=1),
    st.sampled_from(
        ["~", "~x", "-x", "first [dqn]", "a'b\"c", "$HOME", "*?", ":cat:", "a #1", "#1", "[x", "é" * 99]
    ),
).filter(lambda name: len(os.fsencode(name)) <= LONGEST)


@given(NAMES)
def test_a_name_is_what_was_typed(name):
    typed = f"./{name}"
    assert os.path.abspath(path_of(typed)) == os.path.abspath(typed)
    assert path_of(path_of(typed)) == path_of(typed)


def test_a_tilde_in_front_is_a_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert path_of("~/runs/first") == path_of(Path("~/runs/first")) == Path("/home/ada/runs/first")
    assert path_of("runs/~/first") == Path("runs/~/first")


def test_a_folder_called_tilde_is_none_for_libraries_either(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert path_of("./~/x") == tmp_path / "~" / "x"


@pytest.mark.parametrize("name", ["", "a\nb", "a\0b", "a\x1b[2J", "\udce9", "a\u2028b", "x" * 256])
def test_what_no_file_can_be_called_is_refused_in_one_line(name):
    with pytest.raises(RecipeError) as refused:
        path_of(name)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


@given(NAMES)
def test_a_dataset_is_taken_as_it_stands(name):
    written = yaml.safe_dump(name, default_flow_style=True, width=10**6).splitlines()[0]
    assert parse_override(f"dataset={written}") == {"dataset": name}
    if name[0] not in "'\"" and name.lower() not in ("~", "null"):
        assert parse_override(f"dataset={name}") == {"dataset": name}


def test_null_is_no_dataset():
    assert parse_override("dataset=null") == {"dataset": None}
