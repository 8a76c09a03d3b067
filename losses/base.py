"""A value loss: how many outputs stand for one value, how to decode them, how to score them.

Any agent that learns a scalar value takes any of these. Losses are per sample, never reduced, in float32 at
least; targets are constants; NaN or infinity in gives a NaN loss.

Shapes: ... any leading dimensions, B batch, A actions, E critics, K outputs per value.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, Self

import torch
from torch import Tensor, nn

from catzoo.kernels import (
    Backend,
    GaussianLabel,
    TwoHotLabel,
    ValueRule,
    categorical_td,
    categorical_value,
    check_backend,
    cross_entropy,
    label,
)
from catzoo.kernels.check import check_tensor
from catzoo.kernels.numerics import at_least_float32, nan_unless_finite
from catzoo.losses.initial_logits import SPREAD, initial_logits
from catzoo.losses.support import Support


class ValueLoss(nn.Module, ABC):
    """The plug: `num_outputs`, `decode`, `initial_outputs`, `forward`, `td`, `backup`, `pool`."""

    num_outputs: int

    @abstractmethod
    def decode(self, outputs: Tensor) -> Tensor:
        """The scalar value [...] that outputs [..., K] stand for."""

    @abstractmethod
    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss [...] of outputs [..., K] against a target [...] in units of value."""

    def initial_outputs(self, value: float = 0.0) -> Tensor:
        """Outputs [K] that decode to `value`: the bias of a head whose values begin there.

        float32 on the CPU. Of a categorical loss they are broad, so that a value within a bin of the ends of
        its support is met about half a bin further inside; `pad_sigmas` makes room. Raises ValueError for a
        value outside the support, NotImplementedError for a loss that does not say.
        """
        raise NotImplementedError

    def curvature(self, outputs: Tensor) -> Tensor:
        """The least second derivative [...] of the loss by the decoded value, at outputs [..., K].

        A term -p * value beside the loss raises the value by p / curvature where both balance:
        1 / curvature = g^T H^-1 g, with g the gradient of `decode` and H the loss's Hessian. Raises
        NotImplementedError for a loss that does not say.
        """
        raise NotImplementedError

    def unit_push(self, outputs: Tensor) -> Tensor:
        """The value [...] of `decode`, with a gradient in units of value.

        A term -p * unit_push(outputs) beside the loss raises the value by p where both balance, whatever the
        loss. Raises NotImplementedError for a loss without a `curvature`.
        """
        value = self.decode(outputs)
        return value.detach() + (value - value.detach()) * self.curvature(outputs.detach())

    def td(
        self,
        outputs: Tensor,
        action: Tensor,
        next_outputs: Tensor,
        reward: Tensor,
        discount: Tensor,
        *,
        next_online_outputs: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One Bellman step: the chosen action's loss [B] and its TD error [B], target minus value, detached.

        outputs and next_outputs [B, A, K], action [B] (integers), reward [B], and
        discount [B] = gamma^n (1 - terminated). The greedy next action is next_outputs' own, or that of
        next_online_outputs [B, A, K] (double Q-learning). weight [B] multiplies the loss, not the error.
        Raises ValueError for a wrong shape or dtype.
        """
        self._check_td(outputs, action, next_outputs, reward, discount, next_online_outputs, weight)
        with torch.no_grad():
            selector_BAK = next_outputs if next_online_outputs is None else next_online_outputs
            best = self.decode(selector_BAK).max(dim=-1)
            next_BK = take_action(next_outputs, best.indices)
            if next_online_outputs is not None:
                # A NaN wins the maximum; adding 0 * NaN keeps it when the selector is another network.
                next_BK = next_BK + 0 * best.values[..., None]
        loss_B, td_error_B = self._step(take_action(outputs, action), next_BK, reward, discount)
        return (loss_B if weight is None else loss_B * weight), td_error_B

    def _step(
        self, outputs: Tensor, next_outputs: Tensor, reward: Tensor, discount: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss and TD error [...] of outputs [..., K] whose next ones are chosen: against a scalar target."""
        with torch.no_grad():
            target = reward + discount * self.decode(next_outputs)
            td_error = target - self.decode(outputs)
        return self.forward(outputs, target), td_error

    def backup(
        self,
        outputs: Tensor,
        next_outputs: Tensor,
        reward: Tensor,
        discount: Tensor,
        *,
        weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One Bellman step between outputs that are chosen already: the loss [...] and its TD error [...].

        For ensembles, continuous actions and SARSA: as `td` with one action to choose from. outputs and
        next_outputs [..., K]; reward, discount, weight [...]. Raises ValueError for a wrong shape or dtype.
        """
        self._check_outputs(outputs)
        shape = outputs.shape[:-1]
        check_shape("next_outputs", next_outputs, outputs.shape)
        for name, tensor in (("reward", reward), ("discount", discount), ("weight", weight)):
            if tensor is not None:
                check_shape(name, tensor, shape)
        rows = math.prod(shape)
        loss_B, td_error_B = self.td(
            outputs.reshape(rows, 1, self.num_outputs),
            torch.zeros(rows, dtype=torch.int64, device=outputs.device),
            next_outputs.reshape(rows, 1, self.num_outputs),
            reward.reshape(rows),
            discount.reshape(rows),
            weight=None if weight is None else weight.reshape(rows),
        )
        return loss_B.view(shape), td_error_B.view(shape)

    def pool(self, outputs: Tensor, how: Literal["min", "mean"] = "min") -> Tensor:
        """Critics' outputs [E, ..., K] to one's [..., K]: the whole of the lowest one's, or their mixture.

        "min" goes by the decoded values (clipped double Q-learning, Fujimoto et al. 2018): a minimum bin by
        bin would be no distribution. A NaN is the lowest. Raises ValueError for another `how`.
        """
        self._check_outputs(outputs)
        if how == "mean":
            return self.mixture(outputs)
        if how != "min":
            raise ValueError(f"how must be 'min' or 'mean', got {how!r}")
        with torch.no_grad():
            lowest = self.decode(outputs).argmin(0)
        return outputs.gather(0, lowest[None, ..., None].expand(1, *outputs.shape[1:]))[0]

    def mixture(self, outputs: Tensor) -> Tensor:
        """Outputs [..., K] whose value is the mean of those of critics' outputs [E, ..., K]."""
        return at_least_float32(outputs).mean(0)

    def _check_outputs(self, outputs: Tensor, name: str = "outputs") -> None:
        check_tensor(name, outputs)
        if not outputs.is_floating_point():
            raise ValueError(f"{name} must be floating point, got {outputs.dtype}")
        if outputs.ndim == 0 or outputs.shape[-1] != self.num_outputs:
            raise ValueError(f"{name} must have shape [..., {self.num_outputs}], got {list(outputs.shape)}")

    def _check_td(
        self,
        outputs: Tensor,
        action: Tensor,
        next_outputs: Tensor,
        reward: Tensor,
        discount: Tensor,
        online: Tensor | None,
        weight: Tensor | None,
    ) -> None:
        self._check_outputs(outputs)
        if outputs.ndim < 2:
            raise ValueError(f"outputs must have shape [B, A, {self.num_outputs}], got {list(outputs.shape)}")
        if action.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"action must be int64 or int32, got {action.dtype}")
        same = {"next_outputs": next_outputs, "next_online_outputs": online}
        batch = {"action": action, "reward": reward, "discount": discount, "weight": weight}
        for shape, tensors in ((outputs.shape, same), (outputs.shape[:-2], batch)):
            for name, tensor in tensors.items():
                if tensor is not None:
                    check_shape(name, tensor, shape)


def check_shape(name: str, x: object, shape: torch.Size) -> None:
    """ValueError unless x is a tensor of this very shape: another would be broadcast."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} must be a tensor of shape {list(shape)}, got {x!r}")
    if x.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(x.shape)}")


def says(value_loss: ValueLoss, *names: str) -> bool:
    """Whether a loss has one of these methods, which `ValueLoss` leaves to those who can."""
    return any(getattr(type(value_loss), name) is not getattr(ValueLoss, name) for name in names)


class ScalarLoss(ValueLoss):
    """A value loss whose one output is the value."""

    def __init__(self) -> None:
        super().__init__()
        self.num_outputs = 1

    def decode(self, outputs: Tensor) -> Tensor:
        """The value [...] of outputs [..., 1]: themselves."""
        self._check_outputs(outputs)
        return at_least_float32(outputs[..., 0])

    def initial_outputs(self, value: float = 0.0) -> Tensor:
        """The value itself, [1]."""
        return torch.tensor([value], dtype=torch.float32, device="cpu")

    def error(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The value [...] minus the target [...], NaN where either is not finite."""
        return value_error(self.decode(outputs), target)


def value_error(value: Tensor, target: Tensor) -> Tensor:
    """value [...] minus the constant target [...], NaN if one is not finite; ValueError if shapes differ."""
    check_shape("target", target, value.shape)
    error = value - target.detach()
    return nan_unless_finite(error, error)


class CategoricalLoss(ValueLoss):
    """A value loss whose outputs are logits over the bins of a `support`; ValueError for a bad backend."""

    initial_spread = SPREAD
    """How broad the distribution is that values begin with, see `initial_logits`."""

    def __init__(self, support: Support, backend: Backend = "auto") -> None:
        super().__init__()
        check_backend(backend)
        self.support = support
        self.backend = backend
        self.num_outputs = support.num_bins

    def decode(self, outputs: Tensor) -> Tensor:
        """The mean [...] of the softmax of outputs [..., K] over the bin centers."""
        return categorical_value(outputs, self.support.bins, backend=self.backend)

    def mixture(self, outputs: Tensor) -> Tensor:
        """Logits [..., K] of the mean of the distributions that outputs [E, ..., K] stand for."""
        return at_least_float32(outputs).log_softmax(-1).logsumexp(0) - math.log(len(outputs))

    def initial_outputs(self, value: float = 0.0) -> Tensor:
        """Logits [K] of a broad distribution whose mean is the value, see `initial_logits`."""
        v_min, v_max = self.support.v_min, self.support.v_max
        if not v_min <= value <= v_max:
            raise ValueError(f"{value:g} must be within the support, from {v_min:g} to {v_max:g}")
        centers = self.support.grid(torch.float64, torch.device("cpu"))[1]
        return initial_logits(centers, value, self.initial_spread)

    def encode(self, value: Tensor) -> Tensor:
        """The label [..., K] of a value [...]: the two-hot distribution, whose mean is the value."""
        return label(value, TwoHotLabel(self.support.bins))

    def become(self, other: Self) -> None:
        """Takes over another support and its rules; the object stays, since policies hold its methods."""
        self.__dict__.update(other.to(self.support.edges.device).__dict__)


NARROW = 0.1
"""Standard deviation, in bins, below which a predicted distribution counts as so wide."""


class LabelLoss(CategoricalLoss):
    """A categorical loss that is a cross-entropy to a label: of a target by `rule`, of a step by `td_rule`.

    place: where on the rule's axis a value [...] is, if that axis is not the values' own. With it, or with a
    `forward` or `decode` of its own, a subclass gets `ValueLoss.td`, which calls them.
    """

    def __init__(
        self,
        support: Support,
        rule: GaussianLabel | TwoHotLabel,
        td_rule: ValueRule | None = None,
        backend: Backend = "auto",
        place: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(support, backend)
        self.rule = rule
        self.place = place
        self.td_rule = td_rule or rule

    def encode(self, value: Tensor) -> Tensor:
        """The label [..., K] of a value [...]; values outside the support count as its end."""
        return label(value if self.place is None else self.place(value), self.rule)

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The cross-entropy [...] of logits [..., K] against a target [...], in nats."""
        target = target if self.place is None else self.place(target)
        return cross_entropy(outputs, target, self.rule, backend=self.backend)

    def curvature(self, outputs: Tensor) -> Tensor:
        """1 / the variance [...] of the softmax of outputs [..., K]: its Jacobian is cancelled in the loss.

        The variance is at least that of `NARROW`: one bin's own is 0, and its rounding would be all there is.
        """
        probs_K = torch.softmax(at_least_float32(outputs), -1)
        centers_K = self.support.bins.center_tensor(probs_K.dtype, probs_K.device)
        mean = (probs_K * centers_K).sum(-1)
        variance = (probs_K * (centers_K - mean.unsqueeze(-1)).square()).sum(-1)
        return 1 / torch.maximum(variance, (NARROW * self.support.width_at(mean)).square())

    def td(
        self,
        outputs: Tensor,
        action: Tensor,
        next_outputs: Tensor,
        reward: Tensor,
        discount: Tensor,
        *,
        next_online_outputs: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As `ValueLoss.td`. In one step of the kernels a row of weight 0 has loss 0, whatever it holds."""
        options = {"next_online_outputs": next_online_outputs, "weight": weight}
        own = type(self)
        is_plain = own.forward is LabelLoss.forward and own.decode is CategoricalLoss.decode
        if self.place is not None or not is_plain:
            return super().td(outputs, action, next_outputs, reward, discount, **options)
        step = categorical_td(
            outputs, action, next_outputs, reward, discount, self.td_rule, backend=self.backend, **options
        )
        return step.loss, step.td_error


def take_action(outputs_BAK: Tensor, action_B: Tensor) -> Tensor:
    """The outputs [B, K] of one action [B] a row."""
    index_B1K = action_B.long()[..., None, None].expand(*action_B.shape, 1, outputs_BAK.shape[-1])
    return outputs_BAK.gather(-2, index_B1K).squeeze(-2)
