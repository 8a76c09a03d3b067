"""DQNLoss and DistributionalDQNLoss with any value loss.

Shapes: B batch (any leading dimensions), A actions, K outputs per value.

Deviations from TorchRL, whose names, keys, defaults and reductions are kept where the two agree:

* From DistributionalDQNLoss. It always lets the online network pick the next action: `double_dqn=True` here.
  It writes the cross-entropy as priority; here it is the squared TD error of the means, as in DQNLoss. The
  support is the value loss's, not the network's. A target that is not finite gives a NaN loss, not an
  exception. Data of MultiStep (`steps_to_next_obs` [B]), float64 and batches of several dimensions work. What
  the network reads must be in "next" too, as for DQNLoss.
* From DQNLoss. TD(0) only, n-step rewards included; its options other than gamma (`average_rewards`, ...) are
  refused. `gamma` is an argument too.
* From both. One-hot and categorical actions only, and no action masks on categorical losses: TorchRL counts a
  masked action as worth 0.

TorchRL's MultiStep moves rewards and observations n steps ahead but not `terminated`: rows that run into the
end of an episode bootstrap from its last state, under its losses and under this one.
"""

# mypy: disable-error-code="import-untyped"
# TorchRL and tensordict ship no types.

from dataclasses import dataclass
from typing import Literal, Self, get_args

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule, TensorDictModuleBase, dispatch
from torch import Tensor, nn
from torchrl.data import TensorSpec
from torchrl.data.utils import _find_action_space
from torchrl.envs.utils import step_mdp
from torchrl.modules import DistributionalQValueModule
from torchrl.objectives import DQNLoss, ValueEstimators

from catzoo.losses.base import ValueLoss
from catzoo.losses.quantile import QuantileRegression
from catzoo.losses.torchrl.entries import (
    DiscountsKeepTheirDtype,
    checked_gamma,
    checked_value_loss,
    discount_of,
    entry,
    per_row,
    reward_of,
)

Layout = Literal["auto", "atoms_first", "atoms_last"]
ACTION_SPACES = ("one_hot", "categorical")


class ValueDQNLoss(DiscountsKeepTheirDtype, DQNLoss):  # type: ignore[misc]
    """The DQN loss (Mnih et al. 2015; double: van Hasselt et al. 2016) with any value loss.

    Replaces `DQNLoss(actor, ...)` or `DistributionalDQNLoss(actor, ...)`; the rest of the script stays. A
    `DistributionalQValueActor` acts for the categorical losses, a `QValueActor` for those of one output; for
    quantiles TorchRL has no actor, and any network that writes them will do:

        >>> import torch
        >>> from tensordict import TensorDict
        >>> from torchrl.data import OneHot
        >>> from torchrl.modules import MLP, DistributionalQValueActor
        >>> from torchrl.objectives import SoftUpdate
        >>> from catzoo.losses import HLGauss
        >>> from catzoo.losses.torchrl import ValueDQNLoss
        >>> value_loss = HLGauss(v_min=0, v_max=100, num_bins=51)
        >>> network = MLP(in_features=4, out_features=(51, 2), num_cells=[64])
        >>> actor = DistributionalQValueActor(network, value_loss.support.centers, spec=OneHot(2))
        >>> loss = ValueDQNLoss(actor, value_loss, gamma=0.99, double_dqn=True)
        >>> updater = SoftUpdate(loss, eps=0.995)
        >>> def state():
        ...     return {"observation": torch.randn(32, 4), "terminated": torch.zeros(32, 1).bool()}
        >>> batch = actor(TensorDict(state(), 32))  # acts: writes "action"
        >>> batch["next"] = TensorDict(state() | {"reward": torch.ones(32, 1)}, 32)
        >>> loss(batch)["loss"].backward()
        >>> updater.step()
        >>> batch["td_error"].shape
        torch.Size([32, 1])

    An actor whose support is not the value loss's still acts greedily for it if both are evenly spaced:
    argmax does not feel a shift or a positive scale.

    Args:
        value_network: a tensordict module that writes `action_value`, or an `nn.Module` from "observation" to
            it. Its shape is [B, K, A], logits or log-probabilities as TorchRL's networks emit them, or
            [B, A, K]; for one output per value also [B, A]. Never copied, only seen through other strides.
        value_loss: how outputs are decoded and scored; K is its `num_outputs`.
        gamma: discount per step, in [0, 1]; a float32 buffer, set by `make_value_estimator(gamma=...)` or by
            assignment.
        delay_value: keep target parameters, for SoftUpdate or HardUpdate to move.
        double_dqn: the online network picks the next action, the target network values it.
        action_space: "one-hot" or "categorical", or such a spec; without it the network's own.
        layout: where the atoms are if A equals K: "atoms_first" [B, K, A] or "atoms_last" [B, A, K]. "auto"
            is atoms first for DistributionalQValueActor; otherwise the shape must tell.
        reduction: "none", "mean" (the default) or "sum". Importance weights at `priority_weight` multiply the
            loss; "mean" divides by their sum.
        use_prioritized_weights: False ignores those weights.

    Raises ValueError for another action space, a layout or gamma out of range, an action mask on a loss of
    several outputs, quantiles in a DistributionalQValueActor and double_dqn without delay_value; TypeError
    for what is not a value loss.
    """

    @dataclass
    class _AcceptedKeys(DQNLoss._AcceptedKeys):  # type: ignore[misc]
        """DQNLoss's keys, and `steps_to_next_obs`: how many steps the reward spans."""

        steps_to_next_obs: NestedKey = "steps_to_next_obs"

    default_keys = _AcceptedKeys
    tensor_keys: _AcceptedKeys
    _schedulable_buffers = frozenset({"gamma"})
    SUPPORTED_VALUE_ESTIMATORS = (ValueEstimators.TD0,)

    value_network: TensorDictModuleBase
    value_network_params: TensorDictParams
    target_value_network_params: TensorDictParams
    value_loss: ValueLoss
    gamma: Tensor

    def __init__(
        self,
        value_network: TensorDictModuleBase | nn.Module,
        value_loss: ValueLoss,
        *,
        gamma: float = 0.99,
        delay_value: bool = True,
        double_dqn: bool = False,
        action_space: str | TensorSpec | None = None,
        layout: Layout = "auto",
        reduction: str | None = None,
        use_prioritized_weights: str | bool = "auto",
    ) -> None:
        checked_value_loss(value_loss)
        if layout not in get_args(Layout):
            raise ValueError(f"layout must be one of {', '.join(get_args(Layout))}; got {layout!r}")
        if not isinstance(value_network, TensorDictModuleBase):
            value_network = TensorDictModule(
                value_network, in_keys=["observation"], out_keys=["action_value"]
            )
        _refuse_mask(value_network, value_loss)
        if any(isinstance(m, DistributionalQValueModule) for m in value_network.modules()):
            _refuse_softmax(value_loss)
            layout = "atoms_first" if layout == "auto" else layout
        super().__init__(
            value_network,
            delay_value=delay_value,
            double_dqn=double_dqn,
            action_space=_known_action_space(value_network, action_space),
            reduction=reduction,
            use_prioritized_weights=use_prioritized_weights,
        )
        # An actor made with `support.centers` shares their memory, and loading its checkpoint writes there.
        for module in value_loss.modules():
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.clone())
        self.value_loss = value_loss
        self.layout = layout
        self.register_buffer("gamma", torch.tensor(checked_gamma(gamma)))

    @dispatch  # type: ignore[untyped-decorator]
    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """The reduced loss at "loss"; the squared TD error [B, 1] goes into the input at the `priority` key.

        Reads the network's in_keys, `action` [B, A] or [B], and of "next" the in_keys, `reward` [B, 1] and
        `terminated` [B, 1] (or `done`); where they exist, `steps_to_next_obs` [B] and `priority_weight` [B].
        By keyword as well: `loss(observation=..., action=..., next_reward=..., ...)`. Raises ValueError for a
        missing key or a wrong shape.
        """
        reward_B = reward_of(tensordict, self.tensor_keys)
        outputs_BAK = self._outputs(tensordict, self.value_network_params, reward_B.shape)
        with torch.no_grad():
            next_td = step_mdp(tensordict, keep_other=False)
            next_BAK = self._outputs(next_td, self.target_value_network_params, reward_B.shape)
            online = self.value_network_params.data if self.double_dqn else None
            online_BAK = None if online is None else self._outputs(next_td, online, reward_B.shape)
        loss_B, td_error_B = self.value_loss.td(
            outputs_BAK,
            self._action(tensordict, outputs_BAK.shape[:-1]),
            next_BAK,
            reward_B,
            discount_of(tensordict, self.tensor_keys, self.gamma, reward_B.shape),
            next_online_outputs=online_BAK,
        )
        priority = td_error_B.square().unsqueeze(-1)
        if tensordict.device is not None:
            priority = priority.to(tensordict.device)
        tensordict.set(self.tensor_keys.priority, priority, inplace=True)
        weight = self._maybe_get_priority_weight(tensordict)
        if weight is not None:
            weight = per_row(self.tensor_keys.priority_weight, weight, reward_B.shape)
        result = TensorDict(loss=self._reduce_loss(loss_B, tensordict=tensordict, weights=weight))
        self._clear_weakrefs(tensordict, result, "value_network_params", "target_value_network_params")
        return result

    def make_value_estimator(
        self,
        value_type: ValueEstimators | str | None = None,
        *,
        gamma: float | None = None,
        differentiable: bool = True,
        device: torch.device | None = None,
    ) -> Self:
        """Sets gamma, as in a script written for DQNLoss; the Bellman step itself is the value loss's.

        differentiable and device change nothing: targets are constants, and gamma is where the loss is.
        Raises NotImplementedError unless value_type is TD0, ValueError for a gamma outside [0, 1].
        """
        if value_type not in (None, ValueEstimators.TD0) and str(value_type).upper() != "TD0":
            raise NotImplementedError(f"value_type must be ValueEstimators.TD0, got {value_type!r}")
        self.value_type = ValueEstimators.TD0
        if gamma is not None:
            self.gamma = checked_gamma(gamma)  # type: ignore[assignment]  # a float fills the buffer
        return self

    def _default_value_estimator(self) -> None:
        """There is none to build: `td` is the estimator."""

    def _action(self, tensordict: TensorDictBase, shape: torch.Size) -> Tensor:
        """The action [B] as an index, from one-hot [B, A] or categorical [B] or [B, 1]; shape is [B, A]."""
        key = self.tensor_keys.action
        action = entry(tensordict, key)
        if self.action_space == "categorical":
            return per_row(key, action, shape[:-1])
        if action.shape != shape:
            raise ValueError(
                f"{key!r} must be one-hot of shape {list(shape)}, got {list(action.shape)}; "
                'for indices give action_space="categorical"'
            )
        return action.long().argmax(dim=-1)

    def _outputs(self, tensordict: TensorDictBase, params: TensorDictBase, batch: torch.Size) -> Tensor:
        """The network's outputs [B, A, K] under these parameters; the tensordict stays as it was."""
        scratch = tensordict.clone(False)
        with params.to_module(self.value_network, preserve_module_state=False):
            self.value_network(scratch)
        return self._to_BAK(entry(scratch, self.tensor_keys.action_value), batch)

    def _to_BAK(self, value: Tensor, batch: torch.Size) -> Tensor:  # noqa: N802
        """A view [B, A, K] of an action value in any of the known layouts."""
        key, k = self.tensor_keys.action_value, self.value_loss.num_outputs
        if k == 1 and value.shape[:-1] == batch:
            return value.unsqueeze(-1)
        fits = value.ndim == len(batch) + 2 and value.shape[:-2] == batch
        first = fits and self.layout != "atoms_last" and value.shape[-2] == k
        last = fits and self.layout != "atoms_first" and value.shape[-1] == k
        if first and last and k > 1:
            raise ValueError(
                f"{key!r} of shape {list(value.shape)} has as many actions as atoms: "
                'give layout="atoms_first" or layout="atoms_last"'
            )
        if first or last:
            return value.transpose(-1, -2) if first else value
        raise ValueError(f"{key!r} must have shape {self._allowed(batch)}, got {list(value.shape)}")

    def _allowed(self, batch: torch.Size) -> str:
        k = self.value_loss.num_outputs
        shapes = {"atoms_first": [*batch, k, "actions"], "atoms_last": [*batch, "actions", k]}
        allowed = [shape for layout, shape in shapes.items() if self.layout in ("auto", layout)]
        if k == 1:
            allowed.insert(0, [*batch, "actions"])
        return " or ".join(f"[{', '.join(map(str, shape))}]" for shape in allowed)


def _known_action_space(network: TensorDictModuleBase, given: str | TensorSpec | None) -> str:
    """TorchRL's name of the action space: the one given, or the network's own."""
    allowed = f"action_space must be one of {', '.join(ACTION_SPACES)} or such a spec"
    candidates = (given, getattr(network, "action_space", None), getattr(network, "spec", None))
    space = next((candidate for candidate in candidates if candidate is not None), None)
    if space is None:
        raise ValueError(f"{allowed}; the value network tells none")
    try:
        name: str = _find_action_space(space)
    except (KeyError, ValueError):
        raise ValueError(f"{allowed}, got {space!r}") from None
    if name not in ACTION_SPACES:
        raise ValueError(f"{allowed}, got {name!r}")
    return name


def _refuse_mask(network: TensorDictModuleBase, value_loss: ValueLoss) -> None:
    """A mask fills all atoms alike, which no softmax reads as the lowest value."""
    keys = [getattr(module, "action_mask_key", None) for module in network.modules()]
    if value_loss.num_outputs > 1 and any(key is not None for key in keys):
        raise ValueError(f"action_mask_key must be None for {type(value_loss).__name__}, got {keys}")


def _refuse_softmax(value_loss: ValueLoss) -> None:
    """The actor makes log-probabilities of a network's outputs, whose mean is no quantiles'."""
    if isinstance(value_loss, QuantileRegression):
        raise ValueError(
            "a DistributionalQValueActor takes a softmax of its outputs, which quantiles are not: "
            "give QuantileRegression a network that writes action_value itself"
        )
