"""`catzoo board`: which tool is started on what, and that it ends; every mistake is one line."""

import json
import os
import signal
import socket
from importlib.metadata import entry_points

import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.cli.main import main
from catzoo.zoo.reporting import browser_boards
from catzoo.zoo.reporting.browser_boards import DASHBOARD, TENSORBOARD, board

SERVER = """
import json, os, socket, sys
tool, *words = sys.argv[1:]
listening = socket.create_server((words[-3], int(words[-1])),
                                 family=socket.AF_INET6 if ":" in words[-3] else socket.AF_INET)
tree = words[1] if words[0] == "--logdir" else os.devnull
links = {os.path.relpath(os.path.join(here, name), tree): os.readlink(os.path.join(here, name))
         for here, inside, _ in os.walk(tree) for name in inside if os.path.islink(os.path.join(here, name))}
with open("seen.json", "w") as file:
    json.dump({"pid": os.getpid(), "tool": tool, "words": words, "links": links}, file)
while True:
    listening.accept()
"""
FAILING = "raise SystemExit('ValueError: no such storage')"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with runs and a study; in the tools' place is a server that says what it got."""
    monkeypatch.chdir(tmp_path)
    for run in ("runs/a", "runs/deep/b", "first [dqn], or:not"):
        (tmp_path / run / "tensorboard").mkdir(parents=True)
        (tmp_path / run / "recipe.yaml").touch()
        (tmp_path / run / "tensorboard" / "events.out.tfevents.1.x").touch()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.yaml").write_text("format: 1\n")
    (tmp_path / "study" / "study.journal").write_text('{"op_code": 0}\n')
    monkeypatch.setattr(browser_boards, "CALL", SERVER)
    monkeypatch.setattr(browser_boards, "find_spec", lambda name: name)
    return tmp_path


@pytest.fixture
def port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def ipv6():
    """Whether this machine can listen at ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def served(folders, port, host="localhost", shown="localhost"):
    """What the tool was started with, once it was interrupted; it is gone then."""
    lines = []

    def interrupt(line):
        lines.append(line)
        os.kill(os.getpid(), signal.SIGINT)

    board(folders, port=port, host=host, progress=interrupt)
    with open("seen.json") as file:
        seen = json.load(file)
    with pytest.raises(ProcessLookupError):
        os.kill(seen["pid"], 0)
    assert [line.partition(": ")[2] for line in lines] == [f"http://{shown}:{port}/   Ctrl+C ends it"]
    return seen


def test_runs_are_shown_by_tensorboard_under_their_names(here, port):
    seen = served(["runs/deep/b", here / "first [dqn], or:not"], port)
    assert seen["tool"] == "tensorboard"
    assert seen["words"][2:] == ["--host", "localhost", "--port", str(port)]
    assert seen["links"] == {
        "runs/deep/b": str(here / "runs/deep/b/tensorboard"),
        "first [dqn], or:not": str(here / "first [dqn], or:not/tensorboard"),
    }


def test_a_folder_of_runs_is_shown_as_a_whole(here, port):
    assert served(["runs/a", "runs"], port)["links"] == {"runs": str(here / "runs")}


@pytest.mark.parametrize(
    ("words", "links"),
    [
        ([".."], {"runs": "runs"}),
        (["../a", "../deep/b"], {"a": "runs/a/tensorboard", "deep/b": "runs/deep/b/tensorboard"}),
        (["../a", "../../runs/deep/../deep/b", "../../first [dqn], or:not"],
         {"runs/a": "runs/a/tensorboard", "runs/deep/b": "runs/deep/b/tensorboard",
          "first [dqn], or:not": "first [dqn], or:not/tensorboard"}),
        (["..", "../../runs/a"], {"runs": "runs"}),
    ],
)  # fmt: skip
def test_a_folder_above_this_one_lies_where_its_name_says(here, monkeypatch, port, words, links):
    monkeypatch.chdir(here / "runs" / "a")
    assert served(words, port)["links"] == {name: str(here / place) for name, place in links.items()}


@pytest.mark.skipif(not ipv6(), reason="this machine has no IPv6")
def test_an_address_with_colons_has_brackets(port, capsys):
    assert served("runs", port, "::1", "[::1]")["words"][2:4] == ["--host", "::1"]
    with socket.create_server(("::1", port), family=socket.AF_INET6):
        assert main(["board", "runs", "--host", "::1", "--port", str(port)]) == 2
    assert f"[::1]:{port}: cannot listen there" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["study", "study/study.journal"])
def test_a_study_is_shown_by_optuna_dashboard(here, port, name):
    seen = served(name, port)
    assert seen["tool"] == "optuna-dashboard"
    assert seen["words"] == [str(here / "study/study.journal"), "--host", "localhost", "--port", str(port)]


def test_so_is_a_storage_of_any_kind(port):
    assert served("sqlite:///x.db", port)["words"][0] == "sqlite:///x.db"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nowhere"], "nowhere: no such folder, and no study"),
        (["empty"], "empty: neither a study nor a run"),
        (["runs", "study"], "name runs, or one study"),
        (["study/study.yaml"], "neither a journal nor an SQLite file"),
        (["runs", "--port", "70000"], "port=70000: must be between 1 and 65535"),
        (["runs", "--host", "nobody.invalid"], "nobody.invalid:6006: cannot listen there"),
    ],
)
def test_a_mistake_is_one_line(here, capsys, words, line):
    (here / "empty").mkdir()
    assert main(["board", *words]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


def test_a_port_in_use_is_named(capsys):
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
        assert main(["board", "runs", "--port", str(port)]) == 2
    assert f"localhost:{port}: cannot listen there: Address already in use" in capsys.readouterr().err


def test_a_study_elsewhere_is_asked_for(here):
    (here / "study" / "study.journal").unlink()
    with pytest.raises(RecipeError, match="in a storage elsewhere: name that"):
        board("study")


@pytest.mark.parametrize(("name", "tool"), [("runs", "TensorBoard"), ("study", "optuna-dashboard")])
def test_a_tool_that_is_missing_is_one_line(monkeypatch, name, tool):
    monkeypatch.setattr(browser_boards, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=rf"^{tool} is not installed: pip install 'catzoo\[board\]'$"):
        board(name)


def test_a_tool_that_fails_says_why(monkeypatch, port):
    monkeypatch.setattr(browser_boards, "CALL", FAILING)
    with pytest.raises(
        RecipeError, match="optuna-dashboard ended with status 1: ValueError: no such storage"
    ):
        board("sqlite:///x.db", port=port)


@pytest.mark.parametrize("tool", [TENSORBOARD, DASHBOARD])
def test_the_tools_have_the_commands_that_are_called(tool):
    pytest.importorskip(tool.package)
    assert entry_points(group="console_scripts", name=tool.command)
