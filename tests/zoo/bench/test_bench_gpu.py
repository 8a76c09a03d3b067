"""The GPU benchmark runs dry on a CPU: every agent, rows as documented, and a line where one fails."""

import csv
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from catzoo.zoo.bench import gpu_session
from catzoo.zoo.bench.gpu_session import Part, run_session
from catzoo.zoo.bench.loops import gpu_loop
from catzoo.zoo.catalogue.recipe_files import find_recipe


def test_loops_run_dry(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_loop, "AGENTS", (("rainbow", "hl_gauss"), ("nobody", "mse"), ("pqn", "hl_gauss")))
    monkeypatch.setattr(
        gpu_loop,
        "loop_recipe",
        lambda agent, loss, env, compute: find_recipe(
            {"nobody": "pqn"}.get(agent, agent),
            env,
            loss,
            [
                {"compute": compute, "steps": 10**9},
                # the one agent breaks, the others learn at once
                {"batch_size": 10**6} if agent == "nobody" else {},
                {"learning_starts": 100} if agent == "rainbow" else {},
            ],
        ),
    )
    rows = gpu_loop.bench_loops(tmp_path, torch.device("cpu"), ["CartPole-v1"], seconds=0.1, command="it")
    assert [row["agent"] for row in rows] == ["rainbow", "pqn", "rainbow", "pqn"]
    assert capsys.readouterr().out.count("nobody, eager: left out: ") == 1
    with (tmp_path / "loops-gpu.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert tuple(written[0]) == gpu_loop.COLUMNS
    assert len(written) == len(rows)
    assert all(row["device"] and row["date"] and row["command"] == "it" for row in written)
    rates = ("updates", "steps_per_second", "frames_per_second", "learner_updates_per_second")
    assert all(row[name] > 0 for row in rows for name in rates)


def test_with_nothing_but_torch_it_says_what_is_missing():
    code = (
        "import runpy, sys\n"
        "from importlib.machinery import PathFinder\n"
        "found, gone = PathFinder.find_spec, sys.argv.pop().split()\n"
        "def find(name, path=None, target=None):\n"
        "    return None if name.split('.')[0] in gone else found(name, path, target)\n"
        "PathFinder.find_spec = find\n"
        "sys.argv = ['gpu_loop', '--device', 'cpu']\n"
        "runpy.run_module('catzoo.zoo.bench.loops.gpu_loop', run_name='__main__')\n"
    )
    gone = "ale_py gymnasium lightning optuna psutil rich tensordict torchrl yaml"
    done = subprocess.run([sys.executable, "-c", code, gone], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "loops: not measured: ale_py, lightning, psutil, torchrl are missing\n"


def test_no_loop_begins_after_the_limit(tmp_path, capsys):
    assert gpu_loop.bench_loops(tmp_path, torch.device("cpu"), ["CartPole-v1"], limit=-1.0) == []
    assert "pqn, eager: left out: -1 s are over" in capsys.readouterr().out


def test_a_session_loses_nothing_to_parts_that_fail_hang_or_are_missing(tmp_path, monkeypatch, capsys):
    save = "import signal, sys, time; signal.signal(15, lambda *_: (print('saved', flush=True), sys.exit()))"
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN)"
    asked = [
        Part("told", 0.5, ["-c", "print('{out}'.endswith('out'), float('{seconds}'))"]),
        Part("fails", 0.5, ["-c", "raise SystemExit('why')"]),
        Part("saves", 0.3, ["-c", f"{save}\nprint('begun', flush=True); time.sleep(60)"]),
        Part("deaf", 0.3, ["-c", f"{deaf}\nprint('begun', flush=True); time.sleep(60)"]),
        Part("absent", 0.1, ["-c", ""], ["nobody_has_this"]),
        Part("last", 0, ["-c", "print('rest')"]),
    ]
    monkeypatch.setattr(gpu_session, "parts", lambda device: asked)
    monkeypatch.setattr(gpu_session, "GRACE", 1.0)
    said = run_session(tmp_path / "out", 10 / 60)
    assert said == {
        "told": "done", "fails": "failed", "saves": "cut", "deaf": "cut",
        "absent": "left out: nobody_has_this missing", "last": said["last"],
    }  # fmt: skip
    logs = {path.stem: path.read_text() for path in (tmp_path / "out").glob("*.log")}
    assert (logs["told"], logs["fails"], logs["saves"]) == ("True 5.0\n", "why\n", "begun\nsaved\n")
    assert all(text.strip() in capsys.readouterr().out for text in [logs["saves"]])
    assert run_session(tmp_path / "out", 0, only=["last"]) == {"last": "left out: no time is left"}


def test_what_is_left_is_shared(tmp_path, monkeypatch):
    times = {}
    asked = [
        Part("first", 0.5, []),
        Part("one", 0, []),
        Part("absent", 0, [], ["nobody_has_this"]),
        Part("two", 0, []),
    ]
    monkeypatch.setattr(gpu_session, "parts", lambda device: asked)
    monkeypatch.setattr(
        gpu_session, "_do", lambda part, out, seconds: times.update({part.name: seconds}) or "done"
    )
    run_session(tmp_path, 10)
    grace = gpu_session.GRACE
    assert times == {
        "first": pytest.approx(300 - grace), "one": pytest.approx(300 - grace, abs=1),
        "two": pytest.approx(600 - grace, abs=1),
    }  # fmt: skip


def test_tests_for_a_gpu_are_found_with_nothing_but_torch():
    code = (
        "import functools, sys\n"
        "from importlib.machinery import PathFinder\n"
        "found, gone = PathFinder.find_spec, sys.argv.pop().split()\n"
        "def find(name, path=None, target=None):\n"
        "    return None if name.split('.')[0] in gone else found(name, path, target)\n"
        "PathFinder.find_spec = functools.partial(find)\n"  # pytest would bind a function
        "import pytest\n"
        "sys.exit(pytest.main(['-q', '-m', 'gpu', '--collect-only', '-p', 'no:cacheprovider', 'tests']))\n"
    )
    gone = "ale_py gymnasium optuna sqlalchemy tensordict torchrl"
    root = Path(gpu_session.__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, gone], capture_output=True, text=True, check=False, cwd=root,
        env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2_000:]
    assert "tests/kernels" in done.stdout


def test_the_parts_are_commands_that_exist(tmp_path):
    for part in gpu_session.parts("cpu"):
        module = [word.format(out=tmp_path, seconds=5) for word in part.words][:2]
        assert module[0] == "-m"
        assert find_spec(module[1]), module


def test_a_session_that_is_stopped_leaves_nothing_running(tmp_path, monkeypatch):
    hang = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    monkeypatch.setattr(gpu_session, "parts", lambda device: [Part("hangs", 0, ["-c", hang])])
    monkeypatch.setattr(gpu_session, "GRACE", 1.0)

    def stopped(process, seconds):
        while not (tmp_path / "hangs.log").read_text().endswith("\n"):
            time.sleep(0.05)
        monkeypatch.setattr(gpu_session, "_ended", ended)
        raise KeyboardInterrupt

    ended = gpu_session._ended
    monkeypatch.setattr(gpu_session, "_ended", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_session(tmp_path, 1.0)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "hangs.log").read_text()), 0)
