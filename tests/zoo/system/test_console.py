"""What is printed: as it is, and so that it can be pasted."""

import shlex
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catzoo.zoo.system.console import pasteable, print_table, say

MARKUP = ["first [dqn]", "sweep[/lr]", "[bold]x", "a:cat:b", "\\[x]", "x" * 300, "a  b", "{x}"]


@pytest.mark.parametrize("text", MARKUP)
def test_a_text_is_printed_as_it_is(capsys, text):
    say(text)
    assert capsys.readouterr().out == f"{text}\n"


@pytest.mark.parametrize("text", [text for text in MARKUP if len(text) < 20])
def test_so_is_every_part_of_a_table(capsys, text):
    print_table(f"title {text}", ("name", text), [(text, "1")], note=f"note {text}")
    title, *table, note = capsys.readouterr().out.splitlines()
    assert (title, note) == (f"title {text}", f"note {text}")
    assert sum(line.count(text) for line in table) == 2


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
@example("-x")
def test_a_command_comes_back_as_its_words(name):
    _, path, word = shlex.split(pasteable("catzoo", Path(name), name))
    assert Path(path) == Path(name)
    assert not path.startswith("-")
    assert word == name
