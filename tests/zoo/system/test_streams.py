"""Programs without a desktop: no streams, closed ones, ones that only write, and other encodings."""

import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catzoo.zoo.system.console import print_table, say
from catzoo.zoo.system.streams import READINGS, STDOUT

ENCODINGS = ("ascii", "latin-1", "cp437", "cp1252", "shift_jis", "utf-8", "utf-16")


class Writer:
    """A standard output that can only be written to."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def written_in(encoding, write):
    """The text that `write` leaves on a standard output of that encoding."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        write()
        stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp"])))
def test_every_text_can_be_written(encoding, text):
    lines = written_in(encoding, lambda: say(text + "".join(READINGS)))
    assert "?" not in lines.replace(text, "") or "?" in text
    if encoding.startswith("utf") and text.isprintable():
        assert lines == f"{text}{''.join(READINGS)}\n"


def test_our_signs_have_readings_and_names_keep_their_letters():
    assert written_in("ascii", lambda: say("−1 ± 2 … 3")) == "-1 +- 2 ... 3\n"
    assert written_in("ascii", lambda: say("runs/é")) == "runs/\\xe9\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_table_is_square_in_any_encoding(encoding):
    rows = [("a…b", "1 … 2"), ("–", "3")]
    lines = written_in(encoding, lambda: print_table("T", ("name", "return ± 95 %"), rows)).splitlines()
    assert len({len(line) for line in lines[1:]}) == 1


@pytest.mark.parametrize("stream", [None, Writer(), io.StringIO()])
def test_any_standard_output_will_do(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    say("a [b] :cat: …")
    print_table("T", ("name", "value"), [("x", 1)])
    STDOUT.flush()
    text = stream and (stream.text if isinstance(stream, Writer) else stream.getvalue())
    assert text is None or text.startswith("a [b] :cat: …\n")


def test_a_closed_standard_output_will_do(monkeypatch):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    say("for nobody")
    assert not STDOUT.isatty()


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-", "| head -n 1", "2>&1 | true", "> /dev/full"])
def test_a_command_works_where_nobody_reads(closed):
    command = f"set -o pipefail; {sys.executable} -m catzoo list {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", ["show dqn", "train --help", "list", "trian"])
def test_commands_work_in_ascii(words):
    done = subprocess.run(
        [sys.executable, "-m", "catzoo", *words.split()],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "LANG": "C", "PYTHONPATH": ":".join(sys.path), "TERM": "dumb"},
        check=False,
    )
    assert done.returncode == (2 if words == "trian" else 0), done.stderr
    assert (done.stdout + done.stderr).isascii()
