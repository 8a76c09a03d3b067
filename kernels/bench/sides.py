"""Who is measured. A side makes, from a task, the call that the clock runs: it returns losses and gradient.

Every side computes one loss a row and the gradient of their sum, so autograd is handed ones that are there
already. Ours are asked for by the name of the backend on a GPU, so that nothing else can take over unseen.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from catzoo import kernels
from catzoo.kernels import triton_path
from catzoo.kernels.bench import baselines
from catzoo.kernels.bench.settings import Cell, Settled
from catzoo.kernels.bench.tasks import LOSS_LABELS, LinearTask, LossTask, Pair, TDTask

Call = Callable[[], Pair | None]
_cuda: Any = torch.cuda  # it is typed in part
COPY, EAGER, OURS = "copy", "eager", "catzoo"


@dataclass(frozen=True)
class Side:
    """One column of the table.

    make turns a task into a call; label is the row's, where it is not the cell's; labels are the cells'
    labels that it can do, all if empty; graphed means that its call replays a CUDA graph.
    """

    name: str
    make: Callable[[Any], Call]
    label: str = ""
    labels: tuple[str, ...] = ()
    graphed: bool = False


def sides_of(cell: Cell, settled: Settled, peers: Mapping[str, Sequence[Side]]) -> list[Side]:
    """The sides of a cell on this device, and other libraries'."""
    on_gpu = settled.device.type == "cuda"
    if cell.part == "labels":
        return _label_sides(settled.device)
    if cell.part == "linear":
        return [Side(OURS, linear_step), Side("catzoo autograd", linear), Side("catzoo apart", linear_apart),
                Side(EAGER, linear_eager)]  # fmt: skip
    sides = _td_sides(on_gpu) if cell.part == "td" else _loss_sides(settled.device)
    if settled.compile:
        sides += [Side("torch.compile", functools.partial(compiled, cell))]
        if on_gpu and cell.part == "td":
            make = functools.partial(_in_graph, functools.partial(compiled, cell))
            sides += [Side("torch.compile graph", make, graphed=True)]
    sides += peers.get(cell.part, ())
    return [side for side in sides if not side.labels or cell.label in side.labels]


def _loss_sides(device: torch.device) -> list[Side]:
    sides = [Side(COPY, copy, label="none"), Side(OURS, one_step), Side("catzoo autograd", autograd)]
    if kernels.resolve_backend("auto", device) != "torch":
        sides.append(Side("catzoo torch", functools.partial(autograd, backend="torch")))
    return [*sides, *_hard_sides(device), Side(EAGER, eager)]


def _hard_sides(device: torch.device) -> list[Side]:
    sides = [Side("hard label", hard_label, label="hard")]
    if device.type == "cuda" and hasattr(triton_path, "hard_label_loss_and_grad"):
        sides.append(Side("hard label, same tile", hard_label_same_tile, label="hard"))
    return sides


def _label_sides(device: torch.device) -> list[Side]:
    labels = [label for label in LOSS_LABELS if label != "hard"]
    ours = [Side(OURS, one_step, label=label) for label in labels]
    return [Side(COPY, copy, label="none"), *_hard_sides(device), *ours]


def _td_sides(on_gpu: bool) -> list[Side]:
    sides = [Side(OURS, td), Side("catzoo fused", td_fused), Side(EAGER, td_eager)]
    if on_gpu:
        sides.insert(2, Side("catzoo graph", functools.partial(_in_graph, td_fused), graphed=True))
        sides.append(Side("eager graph", functools.partial(_in_graph, td_eager), graphed=True))
    return sides


def copy(task: LossTask) -> Call:
    """The logits read and written once: the roof."""
    source = task.logits.detach()
    into = torch.empty_like(source)

    def call() -> None:
        into.copy_(source)

    return call


def one_step(task: LossTask) -> Call:
    """`kernels.loss_and_grad`."""
    rule, logits, backend = task.rule, task.logits.detach(), _backend(task.logits)
    if rule is None:
        raise TypeError("integer labels have no rule")
    return lambda: kernels.loss_and_grad(logits, task.target, rule, backend=backend)


def autograd(task: LossTask, backend: str | None = None) -> Call:
    """`kernels.cross_entropy`, and a backward pass."""
    rule, name = task.rule, backend or _backend(task.logits)
    if rule is None:
        raise TypeError("integer labels have no rule")
    return _backward(
        lambda: kernels.cross_entropy(task.logits, task.target, rule, backend=name), task.logits, task.ones
    )


def hard_label(task: LossTask) -> Call:
    """PyTorch's own cross-entropy with integer labels, and a backward pass."""
    target = cast("Tensor", task.target)
    return _backward(
        lambda: F.cross_entropy(task.logits, target, reduction="none"),
        task.logits,
        task.ones.to(task.logits.dtype),
    )


def hard_label_same_tile(task: LossTask) -> Call:
    """The same in the tile of our kernel."""
    step: Callable[..., Pair] = getattr(triton_path, "hard_label_loss_and_grad")  # noqa: B009 it may be absent
    logits = task.logits.detach()
    return lambda: step(logits, task.target)


def eager(task: LossTask) -> Call:
    """The paper's listing, and a backward pass."""
    return _listing(task, baselines.hl_gauss)


def td(task: TDTask) -> Call:
    """`kernels.categorical_td`, and a backward pass."""
    backend = _backend(task.outputs)

    def forward() -> Tensor:
        return kernels.categorical_td(*task.arguments, task.rule, backend=backend).loss

    return _backward(forward, task.outputs, task.ones)


def td_fused(task: TDTask) -> Call:
    """`kernels.categorical_td_and_grad`."""
    outputs, action, following, reward, discount = task.arguments
    outputs, backend = outputs.detach(), _backend(outputs)

    def call() -> Pair:
        result, grad = kernels.categorical_td_and_grad(
            outputs, action, following, reward, discount, task.rule, backend=backend
        )
        return result.loss, grad

    return call


def td_eager(task: TDTask) -> Call:
    """The eager step, and a backward pass."""
    step = baselines.td_step(task.rule, task.outputs.device)
    return _backward(lambda: step(*task.arguments)[0], task.outputs, task.ones)


def linear_step(task: LinearTask) -> Call:
    """`kernels.linear_loss_and_grad`."""
    features, layer, backend = task.features.detach(), task.layer, _backend(task.features)

    def call() -> Pair:
        given = features, layer.weight, layer.bias, task.value, task.rule
        loss, gradients = kernels.linear_loss_and_grad(*given, backend=backend)
        return loss, gradients.features

    return call


def linear(task: LinearTask) -> Call:
    """`kernels.linear_cross_entropy`, and a backward pass."""
    layer, backend = task.layer, _backend(task.features)
    given = task.features, layer.weight, layer.bias, task.value, task.rule
    return _layer_backward(lambda: kernels.linear_cross_entropy(*given, backend=backend), task)


def linear_apart(task: LinearTask) -> Call:
    """The layer, `kernels.cross_entropy`, and a backward pass."""
    backend = _backend(task.features)
    return _layer_backward(
        lambda: kernels.cross_entropy(task.layer(task.features), task.value, task.rule, backend=backend), task
    )


def linear_eager(task: LinearTask) -> Call:
    """The layer, the paper's listing, and a backward pass."""
    edges, sigma = task.rule.bins.edge_tensor(torch.float32, task.features.device), task.rule.sigma
    return _layer_backward(
        lambda: baselines.hl_gauss(task.layer(task.features), task.value, edges, sigma), task
    )


_compiled: dict[Any, Callable[..., Any]] = {}


def compiled(cell: Cell, task: LossTask | TDTask) -> Call:
    """The eager code under torch.compile: for exactly these shapes, but a Bellman step for any batch."""
    if isinstance(task, TDTask):
        for tensor in (*task.arguments, task.ones):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        step = _compile_once(
            (cell.label, cell.actions, cell.bins), baselines.td_step(task.rule, task.outputs.device)
        )
        return _backward(lambda: step(*task.arguments)[0], task.outputs, task.ones)
    return _listing(task, _compile_once(cell, baselines.hl_gauss, dynamic=False))


def _compile_once(key: Any, function: Callable[..., Any], dynamic: bool | None = None) -> Callable[..., Any]:
    """The last compiled function is kept; another starts from nothing, so that no shape is generalised."""
    if key not in _compiled:
        torch.compiler.reset()
        _compiled.clear()
        _compiled[key] = torch.compile(function, dynamic=dynamic)
    return _compiled[key]


def in_graph(call: Call) -> Call:
    """The call captured in a CUDA graph once; what comes back replays it and returns the same tensors."""
    stream: Any = _cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay() -> Pair | None:
        graph.replay()
        return result

    return replay


def _in_graph(make: Callable[[TDTask], Call], task: TDTask) -> Call:
    return in_graph(make(task))


def _listing(task: LossTask, function: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> Call:
    rule, value = task.rule, cast("Tensor", task.target)
    if not isinstance(rule, kernels.GaussianLabel):
        raise TypeError(f"the listing is of HL-Gauss, got {rule}")
    edges = rule.bins.edge_tensor(torch.float32, task.logits.device)
    return _backward(lambda: function(task.logits, value, edges, rule.sigma), task.logits, task.ones)


def _backward(forward: Callable[[], Tensor], leaf: Tensor, ones: Tensor) -> Call:
    def call() -> Pair:
        loss = forward()
        (grad,) = torch.autograd.grad(loss, leaf, ones)
        return loss.detach(), grad

    return call


def _layer_backward(forward: Callable[[], Tensor], task: LinearTask) -> Call:
    def call() -> Pair:
        loss = forward()
        leaves = task.features, *task.layer.parameters()
        return loss.detach(), torch.autograd.grad(loss, leaves, task.ones)[0]

    return call


def _backend(x: Tensor) -> str:
    return "triton" if x.device.type == "cuda" else "auto"
