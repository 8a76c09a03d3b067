"""The losses' speed benchmark: its sides compute the same, and its figures are what they say."""

import csv
import subprocess
import sys
import warnings

import pytest
import torch

from catzoo.kernels import reference
from catzoo.kernels.bench import (
    COLUMNS,
    BenchError,
    Settings,
    Side,
    baselines,
    counters,
    results,
    run_bench,
    settings,
    sides,
    table,
    tasks,
    timing,
)
from catzoo.kernels.bench.command import main

CPU = torch.device("cpu")
SMALL = {
    "device": "cpu", "quick": True, "rows": (8,), "bins": (5,), "batches": (4,), "actions": (2,),
    "td_bins": 5, "budget": 1e-4,
}  # fmt: skip
THROUGHPUT = {**SMALL, "parts": ("throughput",)}


def loss_task(label="hl_gauss", rows=300, bins=51, dtype="float32"):
    cell = settings.Cell("throughput", label, rows, bins, dtype)
    return tasks.loss_task(label, tasks.make_inputs(cell, CPU))


def td_task(label, batch=200, actions=6, bins=51):
    return tasks.make_td_task(settings.Cell("td", label, batch, bins, actions=actions), CPU)


def error_of(task, call):
    """The largest error of a call's losses and gradients against float64, in all rows."""
    result = call()
    rows = torch.arange(len(result[0]))
    return max(counters.errors(result, task.truth(rows), rows))


def measured(tmp_path, said=None, **options):
    return run_bench(
        Settings(**THROUGHPUT), tmp_path, progress=(said if said is not None else []).append, **options
    )


# Every side computes the same loss and gradient.


@pytest.mark.parametrize("make", [sides.one_step, sides.autograd, sides.eager])
@pytest.mark.parametrize("bins", [5, 51, 255])
def test_hl_gauss_sides_agree_with_float64(make, bins):
    task = loss_task(bins=bins)
    assert error_of(task, make(task)) < 1e-4


@pytest.mark.parametrize("make", [sides.one_step, sides.autograd, sides.eager])
def test_half_precision_costs_the_gradient_its_rounding_only(make):
    task = loss_task(dtype="bfloat16")
    loss, grad = make(task)()
    assert grad.dtype == torch.bfloat16
    rows = torch.arange(len(loss))
    loss_error, grad_error = counters.errors((loss, grad), task.truth(rows), rows)
    assert loss_error < 1e-4
    assert grad_error < 2**-8


@pytest.mark.parametrize("label", [label for label in tasks.LOSS_LABELS if label != "hard"])
def test_every_label_agrees_with_float64(label):
    task = loss_task(label)
    assert error_of(task, sides.one_step(task)) < 1e-4


def test_hard_labels_agree_with_float64():
    task = loss_task("hard")
    assert error_of(task, sides.hard_label(task)) < 1e-4
    assert len(task.target.unique()) == 51


@pytest.mark.parametrize("make", [sides.linear_step, sides.linear, sides.linear_apart, sides.linear_eager])
@pytest.mark.parametrize("rows", [1, 300])
def test_layers_with_their_loss_agree_with_float64(make, rows):
    task = tasks.make_linear_task(settings.Cell("linear", "hl_gauss", rows, 51), CPU)
    loss, grad = make(task)()
    assert grad.shape == (rows, tasks.FEATURES)
    assert error_of(task, make(task)) < 1e-4
    assert loss.std() > 0 or rows == 1


@pytest.mark.parametrize("make", [sides.td, sides.td_fused, sides.td_eager])
@pytest.mark.parametrize("label", settings.TD_LABELS)
def test_bellman_steps_agree_with_float64(make, label):
    task = td_task(label)
    assert error_of(task, make(task)) < 1e-4


@pytest.mark.parametrize("label", settings.TD_LABELS)
def test_the_eager_step_has_the_td_error_of_ours(label):
    from catzoo.kernels import categorical_td

    task = td_task(label)
    _, error = baselines.td_step(task.rule, CPU)(*task.arguments)
    ours = categorical_td(*task.arguments, task.rule).td_error
    torch.testing.assert_close(error.detach(), ours, atol=1e-4, rtol=1e-4)


def test_the_eager_projection_is_the_references():
    generator = torch.Generator().manual_seed(0)
    centers = torch.linspace(tasks.V_MIN, tasks.V_MAX, 21)
    probs = torch.rand(64, 21, generator=generator).softmax(-1)
    reward = 8 * torch.randn(64, generator=generator)  # many atoms are clipped
    reward[0], discount = 2.0, torch.full((64,), 0.5)
    discount[:8] = 0  # all atoms in one place, the first of them on a center
    expected = reference.c51_projection(probs, reward[:, None] + discount[:, None] * centers, centers)
    got = baselines.project(probs, reward, discount, centers, 1.0)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


def test_inputs_are_the_same_every_time_and_targets_inside():
    first, second = loss_task(), loss_task()
    assert torch.equal(first.logits, second.logits)
    assert first.target.min() >= tasks.V_MIN
    assert first.target.max() <= tasks.V_MAX
    assert first.target.std() > 5


def test_rows_at_both_ends_are_compared():
    rows = tasks.checked_rows(10 * tasks.CHECKED, CPU)
    assert len(rows) == len(set(rows.tolist())) == tasks.CHECKED
    assert (rows.min(), rows.max()) == (0, 10 * tasks.CHECKED - 1)
    assert tasks.checked_rows(3, CPU).tolist() == [0, 1, 2]


# Figures.


def row(side, p50, label="hl_gauss", **more):
    return dict.fromkeys(COLUMNS, "") | {"side": side, "label": label, "p50_us": p50} | more


def test_figures_follow_from_times():
    rows = [
        row("copy", 100.0, "none"),
        row("catzoo", 125.0),
        row("eager", 500.0),
        row("given", 300.0, "given"),
    ]
    rows.append(row("broken", "", note="out of memory"))
    results.derive(rows, {"none": 2e8, "hl_gauss": 2e8, "given": 3e8})
    by_side = {r["side"]: r for r in rows}
    assert by_side["copy"]["gb_per_s"] == 2000
    assert by_side["catzoo"]["gb_per_s"] == 1600
    assert by_side["catzoo"]["copy_share"] == 0.8
    assert by_side["catzoo"]["speedup"] == 4
    assert by_side["given"]["copy_share"] == 0.5, "it has three tensors to move"
    assert by_side["copy"]["speedup"] == ""
    assert by_side["broken"]["gb_per_s"] == by_side["broken"]["speedup"] == ""


def test_without_bytes_and_without_eager_there_are_no_figures():
    rows = [row("catzoo", 10.0)]
    results.derive(rows, {"hl_gauss": 0})
    assert rows[0]["gb_per_s"] == rows[0]["copy_share"] == rows[0]["speedup"] == ""


def test_needed_bytes_are_those_of_the_logits():
    assert loss_task(rows=300, bins=51).needed_bytes == 2 * 300 * 51 * 4
    assert loss_task(rows=300, bins=51, dtype="bfloat16").needed_bytes == 2 * 300 * 51 * 2
    assert loss_task("c51").needed_bytes == 3 * 300 * 51 * 4


def test_percentiles_are_of_blocks_in_microseconds():
    times = timing.percentiles([seconds * 1e-6 for seconds in range(11)], calls=3)
    assert times[:3] == pytest.approx((2, 5, 8))
    assert times[3:] == (11, 3)


class FakeClock:
    """Every call takes a block but one, which takes a microsecond; remembers who was timed."""

    repeats = True

    def __init__(self):
        self.log = []

    def block(self, call, calls):
        self.log.append((call(), calls))
        return 1e-6 if call() == "b" else timing.BLOCK


def test_sides_take_turns_and_short_calls_are_repeated():
    clock = FakeClock()
    calls = {name: (lambda name=name: name) for name in "abc"}
    times = timing.take_turns(calls, clock, budget=0, least=3)
    turns = [name for name, _ in clock.log[6:]]  # twice each to learn how long they take
    assert turns == [*"abc", *"bca", *"cab"]
    long = timing.BLOCK * 1e6
    assert times["a"] == pytest.approx((long, long, long, 3, 1))
    assert times["b"] == pytest.approx((1, 1, 1, 3, timing.MOST_CALLS))


def test_operations_inside_another_are_not_counted():
    x = torch.ones(4, requires_grad=True)
    assert counters.operations(lambda: x.detach() + 1) == 2
    assert counters.operations(lambda: torch.softmax(x.detach(), 0)) == 2, "it has _softmax inside"
    inside_backward = counters.operations(lambda: torch.autograd.grad(x * 2, x, torch.ones(4)))
    assert inside_backward >= 3, "the backward pass counts"


def test_memory_is_counted_at_its_highest():
    x, kib = torch.zeros(1024), 1024
    for call, expected in (
        (lambda: x.add_(1), 0),
        (lambda: x + 1, 4 * kib),
        (lambda: (((x + 1) * 2).exp() + x).relu_(), 8 * kib),  # two at a time
        (lambda: [x + number for number in range(5)], 20 * kib),
    ):
        assert counters.peak_bytes(call, CPU) == pytest.approx(expected, abs=64), "but for scalars"


# Rows, and going on.


def test_rows_are_complete_and_written(tmp_path):
    rows = run_bench(Settings(**SMALL), tmp_path, progress=[].append, device_name="a processor", command="x")
    with (tmp_path / "kernels.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(rows)
    assert tuple(written[0]) == COLUMNS
    assert {r["part"] for r in rows} == set(settings.PARTS)
    for r in rows:
        assert r["note"] == "", r["note"]
        assert 0 < r["p20_us"] <= r["p50_us"] <= r["p80_us"]
        assert r["blocks"] == timing.LEAST_ROUNDS or r["blocks"] > timing.LEAST_ROUNDS
        assert (r["device"], r["threads"], r["command"]) == ("a processor", 1, "x")
        assert r["versions"].startswith("catzoo=")
        assert r["operations"] > 0
        assert r["launches"] == r["host_syncs"] == "", "there is no GPU"
        if r["side"] != "copy":
            assert r["peak_bytes"] > 0
            assert max(r["loss_error"], r["grad_error"]) < 1e-4
        if r["part"] not in ("td", "linear"):
            assert r["gb_per_s"] > 0
    own = {r["side"]: r for r in rows if r["part"] == "throughput"}
    assert set(own) == {"copy", "catzoo", "catzoo autograd", "hard label", "eager"} | (
        own.keys() & {"catzoo torch"}
    )
    assert own["eager"]["speedup"] == 1
    assert own["copy"]["copy_share"] == 1
    assert {r["label"] for r in rows if r["part"] == "labels"} == {*tasks.LOSS_LABELS, "none"}
    assert {r["label"] for r in rows if r["part"] == "td"} == set(settings.TD_LABELS)


def test_what_is_there_is_not_measured_again(tmp_path):
    said = []
    rows = measured(tmp_path, said)
    again = measured(tmp_path, said)
    assert again == rows, "read back as they were"
    assert sum("was there" in line for line in said) == 1
    assert len(results.read(tmp_path / "kernels.csv")) == len(rows)

    fresh = measured(tmp_path, said, fresh=True)
    assert len(results.read(tmp_path / "kernels.csv")) == len(fresh) == len(rows)
    assert [r["p50_us"] for r in fresh] != [r["p50_us"] for r in rows]


def test_only_the_missing_side_is_added(tmp_path):
    rows = measured(tmp_path)
    peer = Side("peer", sides.eager)
    more = measured(tmp_path, peers={"throughput": [peer]})
    assert more[:-1] == rows
    assert more[-1]["side"] == "peer"
    assert 0.1 < more[-1]["speedup"] < 10, "eager was timed with it"
    assert len(results.read(tmp_path / "kernels.csv")) == len(rows) + 1


@pytest.mark.parametrize("name", ["device", "versions", "threads"])
def test_other_machines_rows_stay_and_do_not_count(tmp_path, name):
    file = tmp_path / "kernels.csv"
    rows = measured(tmp_path)
    file.unlink()
    results.append(file, [r | {name: 7 if name == "threads" else "other"} for r in rows])
    measured(tmp_path)
    assert len(results.read(file)) == 2 * len(rows)


def test_a_side_that_fails_is_a_row_with_a_note(tmp_path):
    def broken(task):
        raise RuntimeError("no such kernel\nand a long traceback")

    def too_large(task):
        raise torch.OutOfMemoryError("tried to allocate 1 EiB")

    peers = {"throughput": [Side("broken", broken), Side("large", too_large)]}
    by_side = {r["side"]: r for r in measured(tmp_path, peers=peers)}
    assert by_side["broken"]["note"] == "failed: RuntimeError: no such kernel"
    assert by_side["large"]["note"] == "out of memory"
    assert by_side["broken"]["p50_us"] == ""
    assert by_side["catzoo"]["p50_us"] > 0, "the others are measured all the same"
    shown = table(list(by_side.values()))
    assert "broken: failed: RuntimeError: no such kernel" in shown
    assert "large: out of memory" in shown


def test_the_limit_leaves_cells_for_the_next_time(tmp_path):
    said = []
    options = Settings(**THROUGHPUT | {"rows": (4, 8, 16), "limit": 1e-9})
    assert run_bench(options, tmp_path, progress=said.append) == []
    assert "3 cells are left" in said[-1]


def test_threads_are_given_back(tmp_path):
    before = torch.get_num_threads()
    (first, *_) = run_bench(Settings(**THROUGHPUT | {"threads": before + 1}), progress=[].append)
    assert first["threads"] == before + 1
    assert torch.get_num_threads() == before


def test_without_out_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_bench(Settings(**THROUGHPUT), progress=[].append)
    assert list(tmp_path.iterdir()) == []


# The table.


def test_the_table_has_a_line_for_every_size():
    rows = [
        row(side, time, part="throughput", rows=n, bins=101, dtype="float32", speedup=2.5, copy_share=0.82)
        for n, times in ((256, (1234.5, 40.25)), (4096, (99.94, 7.0)))
        for side, time in zip(("eager", "catzoo"), times, strict=True)
    ]
    rows += [row("catzoo fused", 12.0, part="td", rows=32, actions=6, bins=51, dtype="float32", speedup=3.0)]
    rows += [row("hard label", 10.0, "hard", part="labels", rows=64, bins=51, dtype="float32", gb_per_s=1.0)]
    rows += [row("catzoo", 11.0, "two_hot", part="labels", rows=64, bins=51, dtype="float32", gb_per_s=1.0)]
    lines = table(rows).splitlines()
    close = [" ".join(line.split()) for line in lines]
    assert close[1] == "rows bins eager catzoo eager / catzoo share of copy"
    assert close[2] == "256 101 1,234 40.2 2.50 x 82%"
    assert close[3] == "4096 101 99.9 7.0 2.50 x 82%"
    assert "Bellman step with gradient, hl_gauss, 51 bins, us" in close
    assert "32 6 12.0 3.00 x" in close
    assert "two_hot catzoo 11.0 1 1.10" in close
    assert not any(line != line.rstrip() for line in lines)


# What may be asked for.


def test_defaults_are_the_devices_and_cells_come_in_order_of_weight():
    settled = Settings(device="cpu").settle()
    assert (settled.rows, settled.bins, settled.threads) == ((32, 256, 4096, 65536), (51, 101, 255), 1)
    assert not settled.compile
    cells = list(settings.cells(settled))
    assert len(cells) == len(set(cells)) == 4 * 3 + 3 * 2 * 5 + 4 + 1
    parts = [cell.part for cell in cells]
    assert parts.index("td") < parts.index("labels")
    assert {cell.bins for cell in cells[parts.index("labels") + 1 :]} == {255}
    on_gpu = list(settings.cells(settings.ON_GPU))
    assert len(on_gpu) == 4 * 5 * 2 + 30 + 4 + 1
    assert on_gpu[0].rows == 2**20, "the roof shows with many rows"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "unknown device 'tpu': must be auto, cpu, cuda"),
        ({"parts": ("thruput",)}, "unknown part 'thruput'.*did you mean throughput"),
        ({"dtypes": ("int8",)}, "unknown dtype 'int8': must be one of float32, bfloat16, float16"),
        ({"rows": (0,)}, "rows=0: must be at least 1"),
        ({"bins": (1,)}, "bins=1: must be at least 2 and at most 1024"),
        ({"td_bins": 5000}, "td_bins=5000"),
        ({"batches": (-1,)}, "batches=-1"),
        ({"budget": float("nan")}, "budget=nan"),
        ({"limit": 0}, "limit=0"),
        ({"threads": 0}, "threads=0"),
    ],
)
def test_mistakes_are_one_line(options, message):
    with pytest.raises(BenchError, match=message) as caught:
        Settings(**{"device": "cpu", **options}).settle()
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_used(tmp_path):
    said = []
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(BenchError, match="not rows of this benchmark"):
        run_bench(Settings(**THROUGHPUT), other, progress=[].append)
    assert other.read_text() == "a,b\n1,2\n"
    with pytest.raises(BenchError, match="cannot be written"):
        run_bench(Settings(**THROUGHPUT), other / "below", progress=said.append)
    with pytest.raises(BenchError, match="cannot be written"):
        run_bench(Settings(**THROUGHPUT), "x" * 5000, progress=said.append)
    assert said == [], "before anything is measured"
    measured(tmp_path)
    file = tmp_path / "kernels.csv"
    file.write_text(file.read_text() + "throughput,hl_gauss,catzoo,many\n")
    with pytest.raises(BenchError, match="a row of it is broken"):
        measured(tmp_path)


@pytest.mark.parametrize(
    "words", [["--parts", "thruput"], ["--rows", "many"], ["--device", "tpu"], ["--bogus"], ["--bins", "1"]]
)
def test_the_command_says_it_in_one_line(words, capsys, tmp_path):
    try:
        status = main([*words, "--out", str(tmp_path / "out")])
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr()
    assert status == 2
    assert said.err.startswith("python -m catzoo.kernels.bench: error: ")
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


WITHOUT = ("torchrl", "tensordict", "lightning", "gymnasium", "rich", "yaml", "numpy", "matplotlib", "optuna")


def test_it_runs_with_nothing_but_torch(tmp_path):
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({WITHOUT}))\n"
        "from catzoo.kernels.bench.command import main\n"
        "raise SystemExit(main(sys.argv[1:]))\n"
    )
    words = ["--device", "cpu", "--quick", "--parts", "throughput", "--rows", "8", "--bins", "5"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "eager / catzoo" in done.stdout
    (first, *_) = results.read(tmp_path / "kernels.csv")
    assert first["command"].startswith("python -m catzoo.kernels.bench --device cpu --quick")


@pytest.mark.gpu
def test_on_a_gpu_ours_is_one_launch_without_a_sync(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # a backend that breaks would say so
        rows = run_bench(Settings(device="cuda", quick=True), tmp_path, progress=[].append)
    assert [r["note"] for r in rows if r["note"]] == []
    for r in rows:
        assert r["host_syncs"] == 0
        assert r["side"] == "copy" or max(r["loss_error"], r["grad_error"]) < 1e-4
        if r["side"] in ("catzoo fused", "catzoo graph") or (r["side"], r["part"]) == (
            "catzoo",
            "throughput",
        ):
            assert r["launches"] == 1
    assert {r["side"] for r in rows} >= {"catzoo graph", "eager graph", "catzoo torch"}
