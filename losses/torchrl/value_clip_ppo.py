"""ClipPPOLoss with any value loss.

Legend: B batch (any leading dimensions), K outputs per value.

Deviations from TorchRL's ClipPPOLoss: `critic_network` of the loss is a `DecodedCritic` around the one given,
so that what estimates advantages reads values; the critic is needed; `clip_value` is for losses of one
output, since no outputs stand for a value that was clipped.
"""

# mypy: disable-error-code="import-untyped"
# TorchRL and tensordict ship no types.

from contextlib import nullcontext
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase, unravel_key
from tensordict.nn import (
    ProbabilisticTensorDictSequential,
    TensorDictModuleBase,
    set_skip_existing,
)
from torch import Tensor
from torchrl.objectives import ClipPPOLoss

from catzoo.losses.base import ValueLoss
from catzoo.losses.torchrl.entries import (
    DiscountsKeepTheirDtype,
    checked_value_loss,
    entry,
    refuse_options,
    without_last,
)


class DecodedCritic(TensorDictModuleBase):  # type: ignore[misc]
    """A critic that writes the value [B, 1] where the network given wrote outputs [B, K], and these beside.

    They are at `outputs_key`: the value's key with `_outputs` after it. Raises ValueError for outputs of
    another shape.
    """

    value_loss: ValueLoss

    def __init__(self, network: TensorDictModuleBase, value_loss: ValueLoss, key: NestedKey) -> None:
        super().__init__()
        self.network = network
        self.__dict__["value_loss"] = value_loss  # no submodule: what it has is no parameter of the critic
        self.in_keys = network.in_keys
        self.read(key)

    def read(self, key: NestedKey) -> None:
        """From now on the network's outputs are at this key."""
        *path, name = (key,) if isinstance(key, str) else key
        self.key, self.outputs_key = key, unravel_key((*path, f"{name}_outputs"))
        self.out_keys = [*self.network.out_keys, self.outputs_key]

    @set_skip_existing(None)  # type: ignore[untyped-decorator]
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Writes the value [B, 1] and the outputs [B, K]."""
        written, k = self.network(tensordict), self.value_loss.num_outputs
        outputs = entry(written, self.key)
        if outputs.shape[-1:] != (k,):
            raise ValueError(f"{self.key!r} must have shape [*batch, {k}], got {list(outputs.shape)}")
        written.set(self.outputs_key, outputs)
        return written.set(self.key, self.value_loss.decode(outputs).unsqueeze(-1))


class ValueClipPPOLoss(DiscountsKeepTheirDtype, ClipPPOLoss):  # type: ignore[misc]
    """PPO with a clipped objective (Schulman et al. 2017, arXiv 1707.06347) with any value loss.

    Replaces `ClipPPOLoss(actor, critic, ...)`. Only the critic's last layer is another one, K outputs for a
    value; and an advantage estimator outside the loss takes `loss.critic_network`, which decodes them:

        >>> import torch
        >>> from tensordict import TensorDict
        >>> from tensordict.nn import TensorDictModule
        >>> from torchrl.data import OneHot
        >>> from torchrl.modules import MLP, OneHotCategorical, ProbabilisticActor, ValueOperator
        >>> from torchrl.objectives.value import GAE
        >>> from catzoo.losses import HLGauss
        >>> from catzoo.losses.torchrl import ValueClipPPOLoss
        >>> value_loss = HLGauss(v_min=0, v_max=100, num_bins=101)
        >>> policy = TensorDictModule(MLP(4, 2, num_cells=[64]), in_keys=["observation"], out_keys=["logits"])
        >>> actor = ProbabilisticActor(
        ...     policy,
        ...     in_keys=["logits"],
        ...     distribution_class=OneHotCategorical,
        ...     spec=OneHot(2),
        ...     return_log_prob=True,
        ... )
        >>> critic = ValueOperator(MLP(4, 101, num_cells=[64]), in_keys=["observation"])
        >>> loss = ValueClipPPOLoss(actor, critic, value_loss, clip_epsilon=0.2)
        >>> gae = GAE(gamma=0.99, lmbda=0.95, value_network=loss.critic_network)
        >>> def state():
        ...     return {"observation": torch.randn(8, 16, 4), "terminated": torch.zeros(8, 16, 1).bool()}
        >>> with torch.no_grad():
        ...     batch = actor(TensorDict(state(), (8, 16)))  # acts: writes "action" and its log-probability
        >>> following = {"reward": torch.ones(8, 16, 1), "done": torch.zeros(8, 16, 1).bool()}
        >>> batch["next"] = TensorDict(state() | following, (8, 16))
        >>> batch = gae(batch)  # values, advantages and targets, [8, 16, 1] each
        >>> losses = loss(batch)
        >>> (losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]).backward()

    Without one the loss makes its own, as ClipPPOLoss does, by `make_value_estimator(gamma=..., lmbda=...)`.

    Args:
        actor_network: a stochastic actor, as ClipPPOLoss's.
        critic_network: a tensordict module that writes `state_value` [B, K].
        value_loss: how outputs are decoded and scored; K is its `num_outputs`. C51 is Two-Hot here: a return
            is a number.
        options: as ClipPPOLoss's, but `loss_critic_type`.

    Losses, keys and all else are ClipPPOLoss's.

    Raises ValueError for a clip_value with a loss of several outputs and, when called, for a critic or a
    target of a wrong shape; TypeError for what is not a value loss and for `loss_critic_type`.
    """

    value_loss: ValueLoss
    critic_network: DecodedCritic

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        critic_network: TensorDictModuleBase,
        value_loss: ValueLoss,
        **options: Any,
    ) -> None:
        checked_value_loss(value_loss)
        refuse_options(self, options, loss_critic_type="value_loss scores the critic")
        if value_loss.num_outputs > 1 and options.get("clip_value"):
            name = type(value_loss).__name__
            raise ValueError(f"clip_value must be None for {name}: no outputs stand for a clipped value")
        critic = DecodedCritic(critic_network, value_loss, self.default_keys().value)
        super().__init__(actor_network, critic, **options)
        self.value_loss = value_loss

    def _forward_value_estimator_keys(self, **kwargs: Any) -> None:
        self.critic_network.read(self.tensor_keys.value)
        super()._forward_value_estimator_keys(**kwargs)

    def loss_critic(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The critic's loss [B, 1] times `critic_coeff`, the share clipped, the explained variance."""
        if self.separate_losses:
            tensordict = tensordict.detach()
        target_B1 = entry(tensordict, self.tensor_keys.value_target)
        target_B = without_last(self.tensor_keys.value_target, target_B1)
        old_B1 = entry(tensordict, self.tensor_keys.value) if self.clip_value else None
        functional = self.critic_network_params is not None
        with (
            self.critic_network_params.to_module(self.critic_network, preserve_module_state=False)
            if functional
            else nullcontext()
        ):
            written = self.critic_network(tensordict)
        value_B1 = written.get(self.tensor_keys.value)
        loss_B1 = self.value_loss(written.get(self.critic_network.outputs_key), target_B).unsqueeze(-1)
        clip_fraction = None
        if old_B1 is not None:
            change_B1 = value_B1 - old_B1
            clipped_B1 = change_B1.clamp(-self.clip_value, self.clip_value)
            clip_fraction = (clipped_B1 != change_B1).to(value_B1.dtype).mean()
            clipped_loss_B = self.value_loss(old_B1 + clipped_B1, target_B)
            loss_B1 = torch.maximum(loss_B1, clipped_loss_B.unsqueeze(-1))
        explained = _explained_variance(value_B1, target_B1) if self.log_explained_variance else None
        return (self.critic_coeff * loss_B1 if self._has_critic else loss_B1), clip_fraction, explained


@torch.no_grad()
def _explained_variance(value_B1: Tensor, target_B1: Tensor) -> Tensor:
    """The share of the targets' variance that the values explain, over the first dimension."""
    left = torch.var(target_B1 - value_B1, correction=0, dim=0)
    total = torch.var(target_B1, correction=0, dim=0)
    return 1 - left / (total + torch.finfo(target_B1.dtype).eps)
