"""What goes into a Bellman step and what comes out of it.

Shapes: ... any leading dimensions (usually the batch), A actions, K bins.
"""

from typing import NamedTuple

from torch import Tensor


class TDInputs(NamedTuple):
    """The tensors of one Bellman step.

    outputs, next_outputs and next_online_outputs [..., A, K] are logits; action [...] is an integer,
    discount [...] is gamma^n (1 - terminated), weight [...] multiplies the loss. The greedy next action is
    next_outputs' own, or that of next_online_outputs where given (double Q-learning).
    """

    outputs: Tensor
    action: Tensor
    next_outputs: Tensor
    reward: Tensor
    discount: Tensor
    next_online_outputs: Tensor | None = None
    weight: Tensor | None = None


class TDResult(NamedTuple):
    """loss [...], td_error [...] (target minus value), and clipped [...]: whether the target lay outside."""

    loss: Tensor
    td_error: Tensor
    clipped: Tensor
