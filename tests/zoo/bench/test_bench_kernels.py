"""`catzoo bench kernels`: other libraries compute the same, pictures are drawn, the command is thin."""

import argparse
import dataclasses
import os
import subprocess
import sys

import matplotlib.image
import pytest
import torch

from catzoo.kernels.bench import BenchError, Settings, counters, results, settings, sides, tasks
from catzoo.kernels.bench.command import make_parser as make_own_parser
from catzoo.zoo.bench.kernels import kernel_peers, kernel_pictures
from catzoo.zoo.bench.kernels.measure_kernels import bench_kernels
from catzoo.zoo.cli import bench_kernels as arguments
from catzoo.zoo.cli.main import main, parse

CPU = torch.device("cpu")
TINY = {"quick": True, "rows": (8, 16), "bins": (5, 7), "batches": (4, 8), "actions": (2,), "budget": 1e-4}


def error_of(task, call):
    result = call()
    rows = torch.arange(len(result[0]))
    return max(counters.errors(result, task.truth(rows), rows))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_hl_gauss_pytorch_agrees_with_float64(dtype):
    pytest.importorskip("hl_gauss_pytorch")
    cell = settings.Cell("throughput", "hl_gauss", 300, 51, dtype)
    task = tasks.loss_task("hl_gauss", tasks.make_inputs(cell, CPU))
    assert error_of(task, kernel_peers.hl_gauss_pytorch(task)) < (1e-4 if dtype == "float32" else 2**-8)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_liger_kernel_agrees_with_float64(dtype, error):
    pytest.importorskip("liger_kernel")
    script = f"""if True:
        import inspect
        import torch
        from catzoo.kernels.bench import settings, tasks
        from catzoo.zoo.bench.kernels import kernel_peers

        cell = settings.Cell("throughput", "hl_gauss", 30, 51, "{dtype}")
        task = tasks.loss_task("hard", tasks.make_inputs(cell, torch.device("cpu")))
        call = kernel_peers.liger_kernel(task)
        call()
        made, expected = inspect.getclosurevars(call).nonlocals, task.truth(torch.arange(30))
        torch.testing.assert_close(made["loss"].double(), expected[0], rtol={error}, atol={error})
        torch.testing.assert_close(made["logits"].double(), expected[1], rtol={error}, atol={error})
    """
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"TRITON_INTERPRET": "1"})


@pytest.mark.filterwarnings("ignore:No target network updater")
def test_torchrl_agrees_with_float64():
    task = tasks.make_td_task(settings.Cell("td", "c51", 200, 51, actions=6), CPU)
    assert (task.discount == 0).any()
    call = kernel_peers.torchrl_c51(task)
    assert error_of(task, call) < 1e-4
    assert error_of(task, call) < 1e-4, "a second call does the same"
    assert counters.operations(call) > 2 * counters.operations(sides.td_eager(task))


def test_what_is_not_installed_is_said(monkeypatch):
    said = []
    assert kernel_peers.peers(said.append, CPU).keys() <= {"throughput", "td"}
    monkeypatch.setattr(kernel_peers, "find_spec", lambda name: None)
    assert kernel_peers.peers(said.append, CPU) == {}
    assert "hl-gauss-pytorch: left out: it is not installed: pip install 'catzoo[bench]'" in said
    assert not any(line.startswith("liger-kernel") for line in said), "not on a CPU"
    kernel_peers.peers(said.append, torch.device("cuda"))
    assert "liger-kernel: left out: it is not installed: pip install 'catzoo[bench]'" in said
    assert any(line.startswith("torchrl: left out") for line in said)


@pytest.mark.filterwarnings("ignore:No target network updater")
def test_rows_and_pictures(tmp_path):
    said = []
    rows = bench_kernels("cpu", out=tmp_path, progress=said.append, **TINY)
    assert {r["side"] for r in rows if r["label"] == "c51" and r["part"] == "td"} >= {
        "torchrl",
        "catzoo fused",
    }
    assert not any(r["side"] == "torchrl" and r["label"] != "c51" for r in rows)
    assert [r["note"] for r in rows if r["note"]] == []
    assert "cores" in rows[0]["device"]
    assert {path.name for path in tmp_path.iterdir()} == {"kernels.csv", "bandwidth.png", "td_latency.png"}
    assert results.read(tmp_path / "kernels.csv") == rows
    for name in ("bandwidth.png", "td_latency.png"):
        assert str(tmp_path / name) in said
        assert matplotlib.image.imread(tmp_path / name).std() > 0.05


def test_a_picture_shows_every_side_over_all_sizes(tmp_path):
    rows = bench_kernels("cpu", parts=("throughput",), progress=[].append, **TINY)
    figure = kernel_pictures._bandwidth(rows)
    assert [axes.get_title() for axes in figure.axes] == ["5 bins, float32", "7 bins, float32"]
    for axes in figure.axes:
        assert {line.get_label() for line in axes.lines} == {r["side"] for r in rows}
        assert all(list(line.get_xdata()) == [8, 16] for line in axes.lines)
    copied = next(line for line in figure.axes[0].lines if line.get_label() == "copy")
    own = [r["gb_per_s"] for r in rows if r["side"] == "copy" and r["bins"] == 5]
    assert list(copied.get_ydata()) == own
    assert kernel_pictures._latency(rows) is None
    assert [path.name for path in kernel_pictures.draw(rows, tmp_path / "h200.csv")] == ["h200-bandwidth.png"]


def test_without_out_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    assert bench_kernels("cpu", parts=("labels",), progress=said.append, **TINY)
    assert list(tmp_path.iterdir()) == []
    assert said[-1].startswith("nothing was written: --out DIR")


def test_mistakes_say_nothing_before_they_are_errors(tmp_path):
    said = []
    with pytest.raises(BenchError, match="unknown part 'thruput'"):
        bench_kernels("cpu", parts=("thruput",), out=tmp_path / "out", progress=said.append)
    assert said == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--parts", "labls"],
            "unknown --parts 'labls': known are throughput, td, linear, labels; did you mean labels?",
        ),
        (["--rows", "0"], "argument --rows: 0 must be at least 1"),
        (["--bins", "1"], "bins=1: must be at least 2 and at most 1024"),
        (["--device", "tpu"], "unknown device 'tpu': must be auto, cpu, cuda or cuda:0, cuda:1, …"),
        (["--budget", "-1"], "argument --budget: '-1' is not a number of seconds above 0"),
        (["--bugdet", "1"], "unknown option --bugdet; did you mean --budget?"),
    ],
)
def test_the_command_says_mistakes_in_one_line(words, message, capsys, tmp_path):
    try:
        status = main(["bench", "kernels", *words, "--out", str(tmp_path / "out")])
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert said.err == f"catzoo: error: {message}\n"
    assert list(tmp_path.iterdir()) == []


def test_the_command_measures_and_prints_the_table(tmp_path, capsys):
    words = ["--device", "cpu", "--quick", "--parts", "throughput", "--rows", "8", "--bins", "5"]
    assert main(["bench", "kernels", *words, "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "[1/1] throughput hl_gauss 8 x 5 float32: catzoo" in shown
    assert "eager / catzoo" in shown
    assert main(["bench", "kernels", *words, "--out", str(tmp_path)]) == 0
    assert "(was there)" in capsys.readouterr().out


def options_of(parser):
    """What an argument parser takes, by name, with defaults."""
    return {action.dest: action.default for action in parser._actions if action.dest != "help"}


def test_command_and_module_take_the_same_options_and_know_the_same_names():
    kernels = argparse.ArgumentParser()
    arguments.add_arguments(kernels)
    taken = options_of(kernels)
    assert taken == options_of(make_own_parser("x"))
    assert taken.keys() == {field.name for field in dataclasses.fields(Settings)} | {"out", "fresh"}
    assert arguments.PARTS == settings.PARTS
    assert tuple(settings.DTYPES) == arguments.DTYPES
    assert parse(["bench", "kernels"]).td_bins == Settings().td_bins


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from catzoo.zoo.cli.main import main\n"
        "try: main(['bench', 'kernels', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "examples:\n  catzoo bench kernels" in done.stdout


def test_the_module_runs_with_nothing_but_torch(tmp_path):
    without = (
        "torchrl",
        "tensordict",
        "lightning",
        "gymnasium",
        "rich",
        "yaml",
        "optuna",
        "hl_gauss_pytorch",
    )
    code = (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({without}))\n"
        "import importlib.util as util\n"
        "known = util.find_spec\n"
        f"absent = {(*without, 'matplotlib')}\n"
        "util.find_spec = lambda name, *rest: None if name in absent else known(name, *rest)\n"
        "runpy.run_module('catzoo.zoo.bench.kernels.measure_kernels', run_name='__main__')\n"
    )
    words = ["--device", "cpu", "--quick", "--parts", "td", "--batches", "4", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "torchrl: left out" in done.stdout
    assert "no pictures: matplotlib is not installed" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["kernels.csv"]
