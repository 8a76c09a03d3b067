"""Gradient steps: loss, backward, optimizer; compiled, autocast or graphed where asked.

The raw optimizer is used inside one Lightning step, since Lightning's wrapper costs more per call
than the update of a small network. With `cuda_graph` whole bursts of forward, backward and optimizer are
captured and replayed: everything they touch has a fixed shape and stays on the device.

Legend: B batch, K batches.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from catzoo.agents.learning.adam import FusedAdam
from catzoo.agents.learning.batches import mapped
from catzoo.agents.learning.data_parallel import ALONE, Ranks
from catzoo.agents.learning.denormals import denormals_are_zero

Loss = Callable[[Any], tuple[Tensor, Tensor | None]]
Taken = tuple[dict[str, Tensor], Tensor]
"""By step, the mean loss of each batch that it was taken on [K]; the TD errors of the first step [K, B]."""


class Step(NamedTuple):
    """One of the gradient steps that an update consists of, taken in order."""

    name: str
    loss: Loss
    """Batch to (loss [B], TD error [B] or None); pure, but that it may keep a tensor for a later
    step of the same update."""
    parameters: Sequence[nn.Parameter]
    """What it moves."""
    lr: float
    every: int = 1
    """Taken at each of so many updates."""
    decays: bool = True
    """Whether weight decay is for what it moves."""
    weigh: Callable[[Any], Tensor] | None = None
    """Batch to the share [] of its rows that the loss is a mean of, where some do not count; None: all do."""


class Learner:
    """Takes the steps of an agent's updates.

    Args:
        steps: at least one; the first is taken at every update, and its TD errors are the update's.
        eps: Adam's.
        weight_decay: AdamW's.
        max_grad_norm: clips the global norm of each step's gradient, or None.
        autocast: dtype for autocast, or None for float32.
        compile: torch.compile for the losses.
        cuda_graph: capture the steps; the parameters must be on a GPU.
        after: called after every update, and captured with it: targets that follow.
        ranks: the learners whose batches are parts of one; gradients are their mean before they are clipped.

    Raises:
        ValueError: `cuda_graph` without a GPU.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        eps: float,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = None,
        autocast: torch.dtype | None = None,
        compile: bool = False,
        cuda_graph: bool = False,
        after: Callable[[], None] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.steps = [step._replace(parameters=list(step.parameters)) for step in steps]
        self.device = self.steps[0].parameters[0].device
        if cuda_graph and self.device.type != "cuda":
            raise ValueError("compute.cuda_graph=true needs a GPU")
        self.optimizers = [
            FusedAdam(
                step.parameters,
                lr=step.lr,
                eps=eps,
                weight_decay=weight_decay * step.decays,
                lr_on_device=cuda_graph,
            )
            for step in self.steps
        ]
        self.max_grad_norm, self.after, self.ranks = max_grad_norm, after, ranks
        self.autocast = (
            contextlib.nullcontext() if autocast is None else torch.autocast(self.device.type, dtype=autocast)
        )
        self.losses = [torch.compile(step.loss, fullgraph=True) if compile else step.loss for step in steps]
        self._run = _GraphedBursts(self._burst, self.cycle) if cuda_graph else self._burst
        self._mode = denormals_are_zero if self.device.type == "cpu" else contextlib.nullcontext

    @property
    def cycle(self) -> int:
        """Updates after which the same steps are due again."""
        return math.lcm(*(step.every for step in self.steps))

    def learn(self, batches: Any, updates: int = 0) -> Taken:
        """One update on each of K batches [K, B, ...], in order, detached; `updates` were made before."""
        with self._mode():
            return self._run(batches, updates)

    def learn_once(self, batch: Any, updates: int = 0) -> tuple[Tensor, Tensor]:
        """One update on `batch`; returns the first step's mean loss [] and the TD errors [B], detached."""
        losses, td_error_KB = self.learn(mapped(batch, lambda tensor: tensor.unsqueeze(0)), updates)
        return losses[self.steps[0].name][0], td_error_KB[0]

    def _burst(self, batches: Any, updates: int) -> Taken:
        losses: dict[str, list[Tensor]] = {step.name: [] for step in self.steps}
        errors: list[Tensor] = []
        for k in range(len(batches.action)):
            batch = batches.at(k)
            for index, step in enumerate(self.steps):
                if (updates + k + 1) % step.every == 0:
                    loss, td_error_B = self._take(index, batch)
                    losses[step.name].append(loss)
                    errors += [td_error_B] if index == 0 and td_error_B is not None else []
            if self.after is not None:
                self.after()
        return {name: torch.stack(taken) for name, taken in losses.items() if taken}, torch.stack(errors)

    def _take(self, index: int, batch: Any) -> tuple[Tensor, Tensor | None]:
        with self.autocast:
            loss_B, td_error_B = self.losses[index](batch)
        loss = loss_B.mean()
        step = self.steps[index]
        gradients: Sequence[Tensor] = torch.autograd.grad(loss, step.parameters)
        if self.ranks.count > 1:
            gradients = self.ranks.averaged(gradients, step.weigh and step.weigh(batch))
        if self.max_grad_norm is not None:
            norm = nn.utils.get_total_norm(gradients)
            gradients = torch._foreach_mul(gradients, (self.max_grad_norm / (norm + 1e-6)).clamp(max=1.0))
        self.optimizers[index].step(gradients)
        return loss.detach(), td_error_B

    def set_lr(self, factor: float) -> None:
        """Sets every step's learning rate to `factor` times its first one."""
        for step, optimizer in zip(self.steps, self.optimizers, strict=True):
            optimizer.set_lr(step.lr * factor)

    def reset(self) -> None:
        """Forgets the optimizers' moments and step counts."""
        for optimizer in self.optimizers:
            optimizer.reset()

    def state_dict(self) -> dict[str, Any]:
        """The optimizers' moments and step counts; the first one's as they are, the others' by name."""
        first, *others = (optimizer.state_dict() for optimizer in self.optimizers)
        return {**first, **{step.name: state for step, state in zip(self.steps[1:], others, strict=True)}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores them."""
        for index, (step, optimizer) in enumerate(zip(self.steps, self.optimizers, strict=True)):
            optimizer.load_state_dict(state[step.name] if index else state)


class _GraphedBursts:
    """Captures bursts of updates on static copies of their batches, and replays them.

    A graph has a fixed number of updates, so a burst runs in pieces of 32, 16, 8, 4, 2 and 1, each size
    captured when it is first needed, at each place in the cycle of steps. CUDA asks for a few runs outside of
    a graph before, on a stream of their own, so that nothing is allocated or chosen while it records.
    """

    LARGEST = 32
    WARMUP = 3

    def __init__(self, burst: Callable[[Any, int], Taken], cycle: int) -> None:
        self.burst, self.cycle = burst, cycle
        self.calls = 0
        self.pool: Any = None
        self.graphs: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, Any, Taken]] = {}

    def __call__(self, batches: Any, updates: int) -> Taken:
        done, total = 0, len(batches.action)
        parts: list[Taken] = []
        while done < total:
            warm = self.calls >= self.WARMUP * self.cycle  # every step has run a few times
            size = min(self.LARGEST, 1 << (total - done).bit_length() - 1) if warm else 1
            parts.append(self._piece(batches.at(slice(done, done + size)), updates + done, warm))
            done += size
        names = dict.fromkeys(name for losses, _ in parts for name in losses)
        losses = {name: torch.cat([taken[name] for taken, _ in parts if name in taken]) for name in names}
        return losses, torch.cat([error_KB for _, error_KB in parts])

    def _piece(self, batches: Any, updates: int, warm: bool) -> Taken:
        if not warm:
            self.calls += 1
            return self._warm_up(batches, updates)
        size, phase = len(batches.action), updates % self.cycle
        if (size, phase) not in self.graphs:
            self.graphs[size, phase] = self._capture(batches, phase)
        graph, inputs, (losses, error_KB) = self.graphs[size, phase]
        for static, fresh in zip(inputs, batches, strict=True):
            if static is not None:
                static.copy_(fresh, non_blocking=True)
        graph.replay()
        # The next replay overwrites the graph's own.
        return {name: loss_K.clone() for name, loss_K in losses.items()}, error_KB.clone()

    def _warm_up(self, batches: Any, updates: int) -> Taken:
        device = batches.action.device
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            taken = self.burst(batches, updates)
        torch.cuda.current_stream(device).wait_stream(stream)
        return taken

    def _capture(self, batches: Any, phase: int) -> tuple[torch.cuda.CUDAGraph, Any, Taken]:
        inputs = mapped(batches, torch.clone)
        graph = torch.cuda.CUDAGraph()
        # One pool for all sizes: they never run at once, and what a graph leaves is copied out at once.
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        # Records without running: the replay that follows counts. A collecting thread may go on meanwhile.
        with (
            torch.cuda.device(inputs.action.device),
            torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"),
        ):
            taken = self.burst(inputs, phase)
        return graph, inputs, taken
