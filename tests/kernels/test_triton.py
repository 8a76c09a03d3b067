"""The Triton kernels without a GPU: in Triton's interpreter, and compiled ahead of time for four targets."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from catzoo.kernels import Bins, codegen, triton_path
from catzoo.kernels.gaussian_table import TOLERANCE, evaluate, exact, gaussian_table

triton = pytest.importorskip("triton")
pytestmark = pytest.mark.early
TESTS = Path(__file__).parent.parent


@pytest.mark.skipif(torch.cuda.is_available(), reason="the same tests run on the device")
def test_in_the_interpreter() -> None:
    """The grid of `device/`, and the losses' own tests with the kernels under them.

    Triton reads the variable when it is imported, so they need a process of their own.
    """
    command = [
        sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow and not gpu",
        "-W", "error:the triton kernels", "kernels/device", "losses/test_losses.py", "losses/test_td.py",
        # What asks for torch's compilers and modes says nothing of the kernels, and is slow here.
        "-k", "not inductor and not trace and not settings and not move",
    ]  # fmt: skip
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=TESTS, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]


@pytest.fixture(scope="module")
def recorded() -> dict[tuple[str, str], dict[str, str]]:
    with codegen.TABLE.open(encoding="utf-8") as file:
        return {(row["variant"], row["target"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize(("name", "call"), codegen.variants(), ids=lambda x: x if isinstance(x, str) else "")
def test_ahead_of_time(name: str, call, recorded) -> None:
    """No spills anywhere, and not more registers or instructions than the table says."""
    launch = codegen.caught(call)
    for target in codegen.TARGETS:
        counts, before = codegen.measured(launch, target), recorded[name, target]
        assert counts["spills"] == 0, target
        if before["triton"] == triton.__version__:
            assert counts["instructions"] <= 1.03 * int(before["instructions"]), target
            assert counts["registers"] <= int(before["registers"]) + 8, target


def test_the_table_has_every_variant(recorded) -> None:
    names = [name for name, _ in codegen.variants()]
    assert list(recorded) == [(name, target) for name in names for target in codegen.TARGETS]


def test_tiles_of_a_last_layer_fit_into_shared_memory(recorded) -> None:
    """What a block may have: 99 KiB on an A10 or an RTX 4090, 64 on an MI300."""
    found = {key: int(row["shared"]) for key, row in recorded.items() if key[0].startswith("linear")}
    assert found
    for (_, target), shared in found.items():
        assert shared <= (64 if target == "gfx942" else 99) * 1024


def test_a_gaussian_costs_little_more_than_a_hard_label(recorded) -> None:
    """What a K of 101 costs on an H100, in warp instructions a row."""
    per_row = {name: int(row["per_row"]) for (name, target), row in recorded.items() if target == "sm_90"}
    assert per_row["hl_gauss K=101 fp32"] <= 88
    assert per_row["hl_gauss K=101 fp32"] <= per_row["hard label K=101 fp32"] + 20
    assert per_row["hl_gauss K=101 fp32"] < 0.33 * per_row["hl_gauss erfc K=101 fp32"]


@pytest.mark.parametrize("ratio", [0.2, 0.3, 0.5, 0.75, 1.0, 1.15, 1.2, 2.0, 2.5])
def test_polynomials_are_the_gaussian(ratio: float) -> None:
    table = gaussian_table(ratio)
    assert table is not None
    f = torch.rand(4096, generator=torch.Generator().manual_seed(0))
    expected = exact(ratio, table.window, f)
    assert (evaluate(table.coefficients, f) - expected).abs().max() <= 1.1 * TOLERANCE
    assert expected.sum(-1).min() > 1 - 3e-9  # what the window loses


@pytest.mark.parametrize("ratio", [0.01, 3.0, 1e-30, 1e30])
def test_where_no_polynomial_is_good_enough(ratio: float) -> None:
    assert gaussian_table(ratio) is None


@given(num_bins=st.integers(2, triton_path.MAX_BINS), actions=st.integers(1, 64))
@settings(max_examples=200, deadline=None)
def test_tiles_hold_every_bin(num_bins: int, actions: int) -> None:
    for tile in (triton_path.tile_of(num_bins), triton_path.tile_of(num_bins, actions)):
        assert tile.slots * tile.lanes >= num_bins
        assert tile.slots * tile.lanes < 2 * max(num_bins, 8)
        assert 32 * tile.warps(32) <= max(tile.rows * tile.lanes, 32)


@given(low=st.floats(-1e4, 1e4), width=st.floats(1e-2, 1e3), num_bins=st.integers(2, 300))
@settings(max_examples=200, deadline=None)
def test_a_position_in_two_parts_is_the_position(low: float, width: float, num_bins: int) -> None:
    from catzoo.kernels import GaussianLabel

    bins = Bins(low, low + width * num_bins, num_bins)
    numbers = triton_path._numbers(GaussianLabel(bins, width), 16)
    _, _, per_bin, per_bin_low, shift, shift_low, before = numbers[:7]
    value = low + 0.37 * (bins.edge_max - low)
    position = value * (per_bin + per_bin_low) - (shift + shift_low) + before
    assert position == pytest.approx((value - low) / bins.width - 7, abs=1e-6)
    assert float(torch.tensor(shift)) == shift
