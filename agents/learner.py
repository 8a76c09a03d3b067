"""The gradient step: update function, backward, optimizer; compiled, autocast or graphed where asked.

The raw optimizer is used inside one Lightning step, since Lightning's wrapper costs more per call
than the update of a small network. With `cuda_graph` forward, backward and optimizer are captured
once and replayed: everything they touch has a fixed shape and stays on the device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from catzoo.agents.adam import FusedAdam
from catzoo.agents.replay import Batch

Update = Callable[[Batch], tuple[Tensor, Tensor]]


class Learner:
    """Takes gradient steps on one set of parameters.

    Args:
        update: batch to (loss [B], TD error [B]); pure, tensors in and tensors out.
        parameters: what the optimizer moves.
        lr, eps: Adam's.
        max_grad_norm: clips the gradient's global norm, or None.
        autocast: dtype for autocast, or None for float32.
        compile: torch.compile for `update`.
        cuda_graph: capture the whole step; the parameters must be on a GPU.

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
        self.optimizer = FusedAdam(self.parameters, lr=lr, eps=eps)
        self.max_grad_norm = max_grad_norm
        self.autocast = (
            contextlib.nullcontext() if autocast is None else torch.autocast(self.device.type, dtype=autocast)
        )
        self.update = torch.compile(update, fullgraph=True) if compile else update
        self._graph: _GraphedStep | None = _GraphedStep(self._step) if cuda_graph else None

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One gradient step on `batch`; returns its mean loss and the TD errors [B], detached."""
        return self._graph(batch) if self._graph else self._step(batch)

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with self.autocast:
            loss_B, td_error_B = self.update(batch)
        loss = loss_B.mean()
        gradients = torch.autograd.grad(loss, self.parameters)
        if self.max_grad_norm is not None:
            norm = nn.utils.get_total_norm(gradients)
            factor = (self.max_grad_norm / (norm + 1e-6)).clamp(max=1.0)
            gradients = torch._foreach_mul(gradients, factor)
        self.optimizer.step(gradients)
        return loss.detach(), td_error_B

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's moments and step counts."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores them."""
        self.optimizer.load_state_dict(state)


class _GraphedStep:
    """Captures a step on static copies of the batch, and replays it."""

    WARMUP = 3
    """Eager steps on a side stream before the capture, as torch's documentation asks; they count."""

    def __init__(self, step: Callable[[Batch], tuple[Tensor, Tensor]]) -> None:
        self.step = step
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        if self.calls < self.WARMUP:
            self.calls += 1
            return self._warm_up(batch)
        if self.graph is None:
            self._capture(batch)
        for static, fresh in zip(self.inputs, batch, strict=True):
            if static is not None:
                static.copy_(fresh, non_blocking=True)
        self.graph.replay()
        loss, td_error_B = self.outputs
        return loss.clone(), td_error_B.clone()  # the next replay overwrites the graph's own

    def _warm_up(self, batch: Batch) -> tuple[Tensor, Tensor]:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            outputs = self.step(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return outputs

    def _capture(self, batch: Batch) -> None:
        self.inputs = Batch(*(None if tensor is None else tensor.clone() for tensor in batch))
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):  # records without running: the replay that follows counts
            self.outputs = self.step(self.inputs)
