"""Gradient steps: update function, backward, optimizer; compiled, autocast or graphed where asked.

The raw optimizer is used inside one Lightning step, since Lightning's wrapper costs more per call
than the update of a small network. With `cuda_graph` whole bursts of forward, backward and optimizer are
captured and replayed: everything they touch has a fixed shape and stays on the device.

Legend: B batch, K batches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from catzoo.agents.learning.adam import FusedAdam
from catzoo.agents.replay import Batch

Update = Callable[[Batch], tuple[Tensor, Tensor]]
Burst = Callable[[Batch], tuple[Tensor, Tensor]]


class Learner:
    """Takes gradient steps on one set of parameters.

    Args:
        update: batch to (loss [B], TD error [B]); pure, tensors in and tensors out.
        parameters: what the optimizer moves.
        lr, eps: Adam's.
        max_grad_norm: clips the gradient's global norm, or None.
        autocast: dtype for autocast, or None for float32.
        compile: torch.compile for `update`.
        cuda_graph: capture the steps; the parameters must be on a GPU.

    Raises:
        ValueError: `cuda_graph` without a GPU.
    """

    def __init__(
        self,
        update: Update,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        eps: float,
        max_grad_norm: float | None = None,
        autocast: torch.dtype | None = None,
        compile: bool = False,
        cuda_graph: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self.device = self.parameters[0].device
        if cuda_graph and self.device.type != "cuda":
            raise ValueError("compute.cuda_graph=true needs a GPU")
        self.lr = lr
        self.optimizer = FusedAdam(self.parameters, lr=lr, eps=eps, lr_on_device=cuda_graph)
        self.max_grad_norm = max_grad_norm
        self.autocast = (
            contextlib.nullcontext() if autocast is None else torch.autocast(self.device.type, dtype=autocast)
        )
        self.update = torch.compile(update, fullgraph=True) if compile else update
        self._run: Burst = _GraphedSteps(self._steps) if cuda_graph else self._steps

    def steps(self, batches: Batch) -> tuple[Tensor, Tensor]:
        """One gradient step on each of K batches [K, B, ...], in order.

        Returns:
            The mean loss of each batch [K] and the TD errors [K, B], detached.
        """
        return self._run(batches)

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One gradient step on `batch`; returns its mean loss [] and the TD errors [B], detached."""
        loss_K, td_error_KB = self.steps(Batch(*(None if t is None else t.unsqueeze(0) for t in batch)))
        return loss_K[0], td_error_KB[0]

    def _steps(self, batches: Batch) -> tuple[Tensor, Tensor]:
        taken = [self._step(batches.at(k)) for k in range(len(batches.action))]
        return torch.stack([loss for loss, _ in taken]), torch.stack([error_B for _, error_B in taken])

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with self.autocast:
            loss_B, td_error_B = self.update(batch)
        loss = loss_B.mean()
        self.descend(torch.autograd.grad(loss, self.parameters))
        return loss.detach(), td_error_B

    def descend(self, gradients: Sequence[Tensor]) -> None:
        """Moves the parameters by their gradients, clipped where asked."""
        if self.max_grad_norm is not None:
            norm = nn.utils.get_total_norm(gradients)
            factor = (self.max_grad_norm / (norm + 1e-6)).clamp(max=1.0)
            gradients = torch._foreach_mul(gradients, factor)
        self.optimizer.step(gradients)

    def set_lr(self, factor: float) -> None:
        """Sets the learning rate to `factor` times the first one."""
        self.optimizer.set_lr(self.lr * factor)

    def reset(self) -> None:
        """Forgets the optimizer's moments and step counts."""
        self.optimizer.reset()

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's moments and step counts."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores them."""
        self.optimizer.load_state_dict(state)


class _GraphedSteps:
    """Captures bursts of steps on static copies of their batches, and replays them.

    A graph has a fixed number of steps, so a burst runs in pieces of 32, 16, 8, 4, 2 and 1 steps, each
    size captured when it is first needed. CUDA asks for a few runs outside of a graph before, on a stream
    of their own, so that nothing is allocated or chosen while it records.
    """

    LARGEST = 32
    WARMUP = 3

    def __init__(self, steps: Burst) -> None:
        self.run_steps = steps
        self.calls = 0
        self.pool: Any = None
        self.graphs: dict[int, tuple[torch.cuda.CUDAGraph, Batch, tuple[Tensor, Tensor]]] = {}

    def __call__(self, batches: Batch) -> tuple[Tensor, Tensor]:
        done, total = 0, len(batches.action)
        parts = []
        while done < total:
            size = 1 if self.calls < self.WARMUP else min(self.LARGEST, 1 << (total - done).bit_length() - 1)
            parts.append(self._piece(batches.at(slice(done, done + size)), size))
            done += size
        return torch.cat([loss_K for loss_K, _ in parts]), torch.cat([error_KB for _, error_KB in parts])

    def _piece(self, batches: Batch, size: int) -> tuple[Tensor, Tensor]:
        if self.calls < self.WARMUP:
            self.calls += 1
            return self._warm_up(batches)
        if size not in self.graphs:
            self._capture(batches, size)
        graph, inputs, (loss_K, error_KB) = self.graphs[size]
        for static, fresh in zip(inputs, batches, strict=True):
            if static is not None:
                static.copy_(fresh, non_blocking=True)
        graph.replay()
        return loss_K.clone(), error_KB.clone()  # the next replay overwrites the graph's own

    def _warm_up(self, batches: Batch) -> tuple[Tensor, Tensor]:
        device = batches.action.device
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            outputs = self.run_steps(batches)
        torch.cuda.current_stream(device).wait_stream(stream)
        return outputs

    def _capture(self, batches: Batch, size: int) -> None:
        inputs = Batch(*(None if tensor is None else tensor.clone() for tensor in batches))
        graph = torch.cuda.CUDAGraph()
        # One pool for all sizes: they never run at once, and what a graph leaves is copied out at once.
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        # Records without running: the replay that follows counts. A collecting thread may go on meanwhile.
        with (
            torch.cuda.device(inputs.action.device),
            torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"),
        ):
            outputs = self.run_steps(inputs)
        self.graphs[size] = (graph, inputs, outputs)
