"""What the Triton kernels compile to, without a GPU: registers, spills and instructions for four targets.

    python -m catzoo.kernels.codegen            print the table
    python -m catzoo.kernels.codegen --write    write it to results/codegen.csv, which a test compares with

Every variant is launched as `triton_path` launches it, but the launch is caught and its arguments are
compiled ahead of time. `per_row` is warp instructions a row of the straight-line code: static instructions
times warps, by the rows of a program. A loop's body counts once (C51's gather, more than 32 actions).

| target | device | instructions from |
|---|---|---|
| sm_80, sm_90, sm_100 | NVIDIA A100, H100 / H200, B200 | SASS (`nvdisasm`) |
| gfx942 | AMD MI300 | AMDGCN assembly |
"""

from __future__ import annotations

import argparse
import csv
import functools
import itertools
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor

from catzoo.kernels import triton_path
from catzoo.kernels.bins import Bins
from catzoo.kernels.last_layer import LastLayer
from catzoo.kernels.rules import (
    GaussianLabel,
    GivenLabel,
    NextDistribution,
    ProjectedLabel,
    Rule,
    TwoHotLabel,
    ValueRule,
)
from catzoo.kernels.td import TDInputs

TABLE = Path(__file__).parent / "results" / "codegen.csv"
TARGETS = {
    "sm_80": ("cuda", 80, 32),
    "sm_90": ("cuda", 90, 32),
    "sm_100": ("cuda", 100, 32),
    "gfx942": ("hip", "gfx942", 64),
}
COLUMNS = ("variant", "target", "registers", "spills", "instructions", "per_row", "shared", "triton")
TYPES = {
    torch.float32: "*fp32", torch.float64: "*fp64", torch.bfloat16: "*bf16", torch.float16: "*fp16",
    torch.int64: "*i64", torch.int32: "*i32", torch.int8: "*i8",
}  # fmt: skip


class Launch(NamedTuple):
    """A launch that was caught: the kernel's name, its arguments, compile-time options and tile."""

    kernel: str
    arguments: dict[str, Any]
    options: dict[str, Any]
    tile: triton_path.Tile


def caught(call: Callable[[], Any]) -> Launch:
    """The launch that a call would make."""
    launches: list[Launch] = []

    def record(_: torch.device, kernel: str, __: int, *rest: Any) -> None:
        launches.append(Launch(kernel, *rest))

    with mock.patch.object(triton_path, "_launch", record):
        call()
    return launches[0]


def variants() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Names and calls of every kernel in every form that a loss uses."""
    for num_bins in (51, 64, 101, 128, 255):
        gaussian = GaussianLabel(Bins(-10, 10, num_bins), 0.75 * 20 / num_bins)
        yield f"hl_gauss K={num_bins} fp32", loss_call(gaussian, num_bins)
        yield f"hard label K={num_bins} fp32", hard_label_call(num_bins)
    for num_bins, dtype in ((101, torch.bfloat16), (101, torch.float16)):
        gaussian = GaussianLabel(Bins(-10, 10, num_bins), 0.75 * 20 / num_bins)
        name = str(dtype).replace("torch.bfloat", "bf").replace("torch.float", "fp")
        yield f"hl_gauss K={num_bins} {name}", loss_call(gaussian, num_bins, dtype)
        yield f"hard label K={num_bins} {name}", hard_label_call(num_bins, dtype)
    bins, centered = Bins(-10, 10, 101), Bins.centered(-10, 10, 101)
    uneven = Bins.uneven([x * abs(x) / 1000 for x in range(-101, 102, 2)])
    rules: dict[str, Rule] = {
        "hl_gauss sigma/width=0.4": GaussianLabel(bins, 0.4 * bins.width),
        "hl_gauss sigma/width=2": GaussianLabel(bins, 2 * bins.width),
        "hl_gauss erfc": GaussianLabel(bins, 0.75 * bins.width, method="erfc"),
        "hl_gauss uneven": GaussianLabel(uneven, 0.3),
        "two_hot": TwoHotLabel(centered),
        "two_hot uneven": TwoHotLabel(uneven),
        "c51": ProjectedLabel(centered),
        "given label": GivenLabel(),
    }
    for name, rule in rules.items():
        yield f"{name} K=101 fp32", loss_call(rule, 101)
    for num_bins, dtype in itertools.product((128, 256), (torch.float32, torch.bfloat16)):
        name = "fp32" if dtype == torch.float32 else "bf16"
        yield f"linear hl_gauss K={num_bins} D=256 {name}", linear_call(num_bins, 256, dtype)
    yield "hl_gauss weighted K=101 fp32", loss_call(rules["hl_gauss sigma/width=2"], 101, weighted=True)
    wide = torch.empty(4096, dtype=torch.float64)  # NumPy's rewards
    next_distribution = NextDistribution(torch.empty(4096, 101), wide, wide)
    yield (
        "c51 K=101 fp32, float64 reward",
        functools.partial(
            triton_path.loss_and_grad, torch.empty(4096, 101), next_distribution, rules["c51"], None, True
        ),
    )
    yield "value K=101 fp32", lambda: triton_path.categorical_value(torch.empty(4096, 101), bins)
    for actions in (2, 18):
        outputs = torch.empty(256, actions, 51)
        greedy = functools.partial(triton_path.greedy_action, outputs, Bins(-10, 10, 51))
        yield f"greedy action K=51 A={actions} fp32", greedy
    td_rules: dict[str, ValueRule] = {
        "hl_gauss": GaussianLabel(Bins(-10, 10, 51), 0.3),
        "two_hot": TwoHotLabel(Bins.centered(-10, 10, 51)),
        "c51": ProjectedLabel(Bins.centered(-10, 10, 51)),
    }
    for name, rule in td_rules.items():
        for actions in (2, 18):
            yield f"td {name} K=51 A={actions} fp32", td_call(rule, actions)
    yield "td hl_gauss double K=51 A=18 fp32", td_call(td_rules["hl_gauss"], 18, double=True)


def loss_call(
    rule: Rule, num_bins: int, dtype: torch.dtype = torch.float32, weighted: bool = False
) -> Callable[[], Any]:
    """A loss and gradient of 4096 rows; nothing reads the tensors."""
    logits, scalar = torch.empty(4096, num_bins, dtype=dtype), torch.empty(4096)
    target: Tensor | NextDistribution = scalar
    if isinstance(rule, GivenLabel):
        target = torch.empty(4096, num_bins)
    if isinstance(rule, ProjectedLabel):
        target = NextDistribution(logits, scalar, scalar)
    return lambda: triton_path.loss_and_grad(logits, target, rule, scalar if weighted else None, True)


def linear_call(num_bins: int, inputs: int, dtype: torch.dtype) -> Callable[[], Any]:
    """A layer, the loss of its logits and the gradient by them, of 4096 rows of features."""
    gaussian = GaussianLabel(Bins(-10, 10, num_bins), 0.75 * 20 / num_bins)
    features, head = (torch.empty(n, inputs, dtype=dtype) for n in (4096, num_bins))
    bias, target = torch.empty(num_bins, dtype=dtype), torch.empty(4096)
    layer = LastLayer(features, head, bias)
    return lambda: triton_path.linear_loss_and_grad(layer, target, gaussian, None, True)


def hard_label_call(num_bins: int, dtype: torch.dtype = torch.float32) -> Callable[[], Any]:
    """The same tile with one bin's number for a label: what a Gaussian's label must not cost more than."""
    logits, target = torch.empty(4096, num_bins, dtype=dtype), torch.empty(4096, dtype=torch.int64)
    return lambda: triton_path.hard_label_loss_and_grad(logits, target)


def td_call(rule: ValueRule, actions: int, double: bool = False) -> Callable[[], Any]:
    """A Bellman step of 256 samples; nothing reads the tensors."""
    outputs, scalar = torch.empty(256, actions, rule.bins.num_bins), torch.empty(256)
    action = torch.empty(256, dtype=torch.int64)
    inputs = TDInputs(outputs, action, outputs, scalar, scalar, outputs if double else None)
    return lambda: triton_path.categorical_td(inputs, rule, True)


def compiled(launch: Launch, target: str) -> Any:
    """Triton's compiled kernel for a launch, specialised as its just-in-time compiler does."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from catzoo.kernels import triton_device

    tile = launch.tile
    constants = launch.options | {"J": tile.slots, "R": tile.rows, "L": tile.lanes}
    function = getattr(triton_device, launch.kernel)
    signature: dict[str, Any] = {}
    attributes = {}
    for i, name in enumerate(function.arg_names):
        if name in constants:
            signature[name] = "constexpr"
            continue
        value = launch.arguments[name]
        if isinstance(value, Tensor):
            signature[name], aligned = TYPES[value.dtype], True
        elif isinstance(value, tuple):
            signature[name], aligned = ("fp32",) * len(value), False
        elif value == 1:
            signature[name], aligned, constants[name] = "constexpr", False, 1
        else:
            signature[name], aligned = "i32", value % 16 == 0
        if aligned:
            attributes[(i,)] = [["tt.divisibility", 16]]
    source = ASTSource(function, signature, constants, attributes)
    gpu = GPUTarget(*TARGETS[target])
    return triton.compile(source, target=gpu, options={"num_warps": tile.warps(gpu.warp_size)})


def measured(launch: Launch, target: str) -> dict[str, Any]:
    """Registers, spilled bytes or registers, instructions, shared memory of a launch for a target."""
    import triton

    kernel = compiled(launch, target)
    counts = _amd(kernel.asm["amdgcn"]) if target.startswith("gfx") else _nvidia(kernel.asm["cubin"])
    warps, rows = launch.tile.warps(TARGETS[target][2]), launch.tile.rows if launch.kernel in ROWS else 1
    per_row = round(counts["instructions"] * warps / rows)
    shared, version = kernel.metadata.shared, triton.__version__
    return {"target": target, **counts, "per_row": per_row, "shared": shared, "triton": version}


ROWS = ("cross_entropy_kernel", "linear_cross_entropy_kernel", "categorical_value_kernel")
"""Kernels whose programs take several rows; the others take one sample."""


def _nvidia(cubin: bytes) -> dict[str, int]:
    from triton import knobs

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        sass = _output(knobs.nvidia.nvdisasm.path, "-c", file.name)
        usage = _output(knobs.nvidia.cuobjdump.path, "-res-usage", file.name)
    instructions = re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z]\w*)", sass, re.MULTILINE)
    while instructions and instructions[-1] in ("NOP", "BRA"):  # padding after the last EXIT
        instructions.pop()
    fields = dict(re.findall(r"(REG|STACK|LOCAL):(\d+)", usage))
    spills = int(fields["STACK"]) + int(fields["LOCAL"])
    return {"registers": int(fields["REG"]), "spills": spills, "instructions": len(instructions)}


def _amd(assembly: str) -> dict[str, int]:
    fields = dict(re.findall(r"\.(vgpr_count|vgpr_spill_count|sgpr_spill_count):\s+(\d+)", assembly))
    body = assembly.split("s_endpgm")[0]
    instructions = re.findall(r"^\t([vsdgb]\w*_\w+)", body, re.MULTILINE)
    spills = int(fields["vgpr_spill_count"]) + int(fields["sgpr_spill_count"])
    return {"registers": int(fields["vgpr_count"]), "spills": spills, "instructions": len(instructions)}


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def table(targets: tuple[str, ...] = tuple(TARGETS)) -> Iterator[dict[str, Any]]:
    """A row for every variant and target."""
    for name, call in variants():
        launch = caught(call)
        for target in targets:
            yield {"variant": name, **measured(launch, target)}


def main(arguments: list[str] | None = None) -> None:
    """`python -m catzoo.kernels.codegen [--write]`."""
    parser = argparse.ArgumentParser(description="Compile every Triton kernel ahead of time and count.")
    parser.add_argument(
        "--write", action="store_true", help=f"write {TABLE.name}, which a test compares with"
    )
    write = parser.parse_args(arguments).write
    rows = []
    sys.stdout.write("{:38} {:8} {:>9} {:>6} {:>12} {:>7} {:>6} {}\n".format(*COLUMNS))
    for row in table():
        rows.append(row)
        sys.stdout.write(
            "{:38} {:8} {:9} {:6} {:12} {:7} {:6} {}\n".format(*(row[column] for column in COLUMNS))
        )
    if write:
        TABLE.parent.mkdir(exist_ok=True)
        with TABLE.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
