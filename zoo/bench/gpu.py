"""`make gpu`: what a GPU does with the value losses and with the learner's update, as CSV.

Runs from the source tree on whatever torch is there. The losses need torch alone; the learner needs the
packages of `agents`, and is left out with a line where they are missing. Variants take turns, as the sides of
`catzoo bench kernels` do, whose clock this is: latency, the host included. A variant that fails is left out
with a line.

| part | rows |
|---|---|
| losses | the whole TD loss with its gradient, each value loss, B 32…4096: eager, compiled, CUDA graph |
| learner | one DQN update with the Nature CNN and with the MLP: eager, compiled, bf16, CUDA graph |

Whole training loops are in `gpu_loop`, and follow.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import datetime
import functools
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from catzoo.kernels.bench.sides import in_graph
from catzoo.kernels.bench.timing import CPUClock, GPUClock, Times, take_turns
from catzoo.losses import LOSSES, ValueLoss, make_value_loss

Row = dict[str, Any]
COLUMNS = ("part", "what", "variant", "batch", "p20_us", "p50_us", "p80_us", "device", "torch", "date")
ACTIONS = 18
"""The largest action set of Atari."""


def measure(
    what: str, makers: Mapping[str, Callable[[], Callable[[], Any]]], device: torch.device, budget: float
) -> dict[str, Times]:
    """Times of what each maker makes, by its name; what fails is left out with a line."""
    calls = {}
    for variant, make in makers.items():
        try:
            calls[variant] = make()
            for _ in range(3):
                calls[variant]()
        except Exception as error:
            calls.pop(variant, None)
            reason = (str(error).strip().splitlines() or ["no message"])[0]
            print(f"{what}, {variant}: left out: {type(error).__name__}: {reason[:160]}", flush=True)
    clock = GPUClock(device, device_time=False) if device.type == "cuda" else CPUClock()
    return take_turns(calls, clock, budget)


def td_call(td: Callable[..., Any], outputs: int, batch: int, device: torch.device) -> Callable[[], Any]:
    """One TD loss and its gradient on fixed random inputs; compiled, it is so for any batch."""
    shape = (batch, ACTIONS, outputs)
    logits = torch.randn(shape, device=device, requires_grad=True)
    following = torch.randn(shape, device=device)
    action = torch.randint(0, ACTIONS, (batch,), device=device)
    reward = torch.randn(batch, device=device)
    discount = torch.full((batch,), 0.99, device=device)
    for tensor in (logits, following, action, reward, discount):
        torch._dynamo.maybe_mark_dynamic(tensor, 0)

    def call() -> None:
        losses, _ = td(logits, action, following, reward, discount)
        torch.autograd.grad(losses.sum(), logits)

    return call


def bench_losses(device: torch.device, batches: tuple[int, ...], budget: float) -> Iterator[Row]:
    """Rows of the part `losses`."""
    for name in LOSSES:
        loss: ValueLoss = make_value_loss(name).to(device)
        torch.compiler.reset()
        compiled = torch.compile(loss.td)
        for batch in batches:
            make = functools.partial(td_call, outputs=loss.num_outputs, batch=batch, device=device)
            makers = {"eager": functools.partial(make, loss.td)}
            if device.type == "cuda":
                makers["compiled"] = functools.partial(make, compiled)
                makers["graph"] = functools.partial(_graphed, makers["eager"])
            for variant, times in measure(f"td {name}", makers, device, budget).items():
                yield _row("losses", f"td {name}", variant, batch, times)


def _graphed(make: Callable[[], Callable[[], Any]]) -> Callable[[], Any]:
    return in_graph(make())


def bench_learner(device: torch.device, budget: float) -> Iterator[Row]:
    """Rows of the part `learner`."""
    from catzoo.agents import DQN, Batch, Learner, QNetwork

    shapes = {"nature_cnn": ((4, 84, 84), torch.uint8, 32), "mlp": ((4,), torch.float32, 128)}
    on_gpu = device.type == "cuda"
    variants: dict[str, dict[str, Any]] = {"eager": {}, "bf16": {"autocast": torch.bfloat16}}
    if on_gpu:
        variants |= {
            "compiled": {"compile": True},
            "graph": {"cuda_graph": True},
            "graph bf16": {"cuda_graph": True, "autocast": torch.bfloat16},
            "graph compiled": {"cuda_graph": True, "compile": True},
        }
    for torso, (shape, dtype, size) in shapes.items():
        frames = [torch.randint(0, 255, (size, *shape), device=device).to(dtype) for _ in range(2)]
        batch = Batch(
            frames[0],
            torch.randint(0, 6, (size,), device=device),
            torch.randn(size, device=device),
            torch.full((size,), 0.99, device=device),
            frames[1],
        )

        def make(
            options: dict[str, Any], torso: str = torso, shape: Any = shape, batch: Batch = batch
        ) -> Callable[[], Any]:
            loss = make_value_loss("hl_gauss")
            network = QNetwork(shape, 6, loss.num_outputs, torso=torso, channels_last=True)
            agent = DQN(network, loss).to(device)
            learner = Learner(agent.update, agent.network.parameters(), lr=1e-4, eps=1e-4, **options)
            return functools.partial(learner.step, batch)

        makers = {variant: functools.partial(make, options) for variant, options in variants.items()}
        for variant, times in measure(f"dqn {torso}", makers, device, budget).items():
            yield _row("learner", f"dqn {torso}", variant, size, times)


def bench_gpu(
    out: Path,
    device: torch.device,
    batches: tuple[int, ...] = (32, 128, 256, 1024, 4096),
    budget: float = 0.5,
) -> list[Row]:
    """Measures both parts and writes `training-gpu.csv` in `out`; returns its rows.

    budget is in seconds of timing for the variants of one line together.
    """
    out.mkdir(parents=True, exist_ok=True)
    parts = [bench_losses(device, batches, budget)]
    if find_spec("torchrl") and find_spec("gymnasium") and find_spec("lightning"):
        parts.append(bench_learner(device, budget))
    else:
        print("learner: not measured, torchrl, gymnasium and lightning are needed")
    rows = []
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    stamp = {"device": name, "torch": torch.__version__, "date": datetime.date.today().isoformat()}
    with (out / "training-gpu.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for part in parts:
            for row in part:
                rows.append(row | stamp)
                writer.writerow(rows[-1])
                file.flush()
                print(
                    f"{row['what']:18} {row['variant']:15} B={row['batch']:<5} {row['p50_us']:9.1f} us",
                    flush=True,
                )
    return rows


def _row(part: str, what: str, variant: str, batch: int, times: Times) -> Row:
    p20, p50, p80 = (round(value, 2) for value in times[:3])
    return {
        "part": part, "what": what, "variant": variant, "batch": batch,
        "p20_us": p20, "p50_us": p50, "p80_us": p80,
    }  # fmt: skip


def main() -> None:
    """`python -m catzoo.zoo.bench.gpu --out DIR`."""
    parser = argparse.ArgumentParser(description=bench_gpu.__doc__)
    parser.add_argument("--out", type=Path, default=Path("results-gpu"), help="folder for the CSV")
    parser.add_argument(
        "--device", default="cuda", help="cpu shows that it runs, and measures nothing of use"
    )
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.exit(2, "no CUDA device: --device cpu for a dry run\n")
    with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
        bench_gpu(arguments.out, device)
        if find_spec("ale_py") and find_spec("torchrl") and find_spec("lightning"):
            from catzoo.zoo.bench.loops.gpu_loop import bench_loops

            bench_loops(arguments.out, device)
        else:
            print("loops: not measured, ale_py, torchrl and lightning are needed")


if __name__ == "__main__":
    main()
