"""`make gpu`: what a GPU does with the value losses and with the learner's update, as CSV.

Runs from the source tree on whatever torch is there. The losses need torch alone; the learner needs the
packages of `agents`, and is left out with a line where they are missing. Times are the median of event
timings over many calls after a warm-up; under a graph, of its replays.

| part | rows |
|---|---|
| losses | the whole TD loss with its gradient, each value loss, B 32…4096: eager, compiled, CUDA graph |
| learner | one DQN update with the Nature CNN and with the MLP: eager, compiled, bf16, CUDA graph |
"""

from __future__ import annotations

import argparse
import csv
import datetime
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from catzoo.losses import LOSSES, ValueLoss, make_value_loss

Row = dict[str, Any]
COLUMNS = ("part", "what", "variant", "batch", "p20_us", "p50_us", "p80_us", "device", "torch", "date")
ACTIONS = 18
"""The largest action set of Atari."""


def measure(call: Callable[[], Any], device: torch.device, calls: int = 200) -> tuple[float, float, float]:
    """20th, 50th and 80th percentile of a call's time, in microseconds."""
    for _ in range(10):
        call()
    times = []
    for _ in range(calls):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) * 1e3)
        else:
            begin = time.perf_counter()
            call()
            times.append((time.perf_counter() - begin) * 1e6)
    deciles = statistics.quantiles(times, n=10)
    return deciles[1], statistics.median(times), deciles[7]


def graphed(call: Callable[[], Any]) -> Callable[[], None]:
    """`call` captured once; the function replays it."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def td_call(loss: ValueLoss, batch: int, device: torch.device, compiled: bool = False) -> Callable[[], Any]:
    """One TD loss and its gradient on fixed random inputs."""
    shape = (batch, ACTIONS, loss.num_outputs)
    outputs = torch.randn(shape, device=device, requires_grad=True)
    following = torch.randn(shape, device=device)
    action = torch.randint(0, ACTIONS, (batch,), device=device)
    reward = torch.randn(batch, device=device)
    discount = torch.full((batch,), 0.99, device=device)
    td = torch.compile(loss.td) if compiled else loss.td

    def call() -> None:
        losses, _ = td(outputs, action, following, reward, discount)
        torch.autograd.grad(losses.sum(), outputs)

    return call


def bench_losses(device: torch.device, batches: tuple[int, ...], calls: int) -> Iterator[Row]:
    """Rows of the part `losses`."""
    for name in LOSSES:
        loss = make_value_loss(name).to(device)
        for batch in batches:
            variants = {"eager": td_call(loss, batch, device)}
            if device.type == "cuda":
                variants["compiled"] = td_call(loss, batch, device, compiled=True)
                variants["graph"] = graphed(td_call(loss, batch, device))
            for variant, call in variants.items():
                yield _row("losses", f"td {name}", variant, batch, measure(call, device, calls))


def bench_learner(device: torch.device, calls: int) -> Iterator[Row]:
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
        for variant, options in variants.items():
            loss = make_value_loss("hl_gauss")
            network = QNetwork(shape, 6, loss.num_outputs, torso=torso, channels_last=True)
            agent = DQN(network, loss).to(device)
            learner = Learner(agent.update, agent.network.parameters(), lr=1e-4, eps=1e-4, **options)
            times = measure(functools.partial(learner.step, batch), device, calls)
            yield _row("learner", f"dqn {torso}", variant, size, times)


def bench_gpu(
    out: Path,
    device: torch.device,
    batches: tuple[int, ...] = (32, 128, 256, 1024, 4096),
    calls: int = 200,
) -> list[Row]:
    """Measures both parts and writes `training-gpu.csv` in `out`; returns its rows."""
    out.mkdir(parents=True, exist_ok=True)
    parts = [bench_losses(device, batches, calls)]
    if find_spec("torchrl") and find_spec("gymnasium") and find_spec("lightning"):
        parts.append(bench_learner(device, calls))
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


def _row(part: str, what: str, variant: str, batch: int, times: tuple[float, float, float]) -> Row:
    p20, p50, p80 = (round(value, 2) for value in times)
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
    bench_gpu(arguments.out, device)


if __name__ == "__main__":
    main()
