"""What SACLoss and TD3Loss share when their critics write the outputs of a value loss.

Legend: E critics, B batch (any leading dimensions), K outputs per value.
"""

# mypy: disable-error-code="import-untyped"
# TorchRL and tensordict ship no types.

from functools import partial
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.objectives.utils import _vmap_func
from torchrl.objectives.value import TD0Estimator

from catzoo.losses.base import ValueLoss
from catzoo.losses.torchrl.entries import (
    DiscountsKeepTheirDtype,
    checked_gamma,
    checked_value_loss,
    discount_of,
    entry,
    refuse_options,
    reward_of,
)

Pool = Literal["min", "mean"]


class EnsembleCritic(DiscountsKeepTheirDtype):
    """Before SACLoss or TD3Loss in a class's bases: its critics write [E, B, K], its actor reads values.

    The value loss is at `loss_function`, the name of TorchRL's argument that it is in place of: `value_loss`
    is a method there.
    """

    read_by_actor: ClassVar[str]
    """TorchRL's name for the critics as the actor's loss calls them."""

    loss_function: ValueLoss
    pool: Pool
    tensor_keys: Any
    qvalue_network: TensorDictModule
    value_estimator: Any
    _default_device: torch.device | None

    def __init__(
        self,
        actor_network: TensorDictModule,
        qvalue_network: TensorDictModule | list[TensorDictModule],
        value_loss: ValueLoss,
        *,
        gamma: float = 0.99,
        pool: Pool = "min",
        **options: Any,
    ) -> None:
        checked_value_loss(value_loss)
        if pool not in get_args(Pool):
            raise ValueError(f"pool must be {' or '.join(map(repr, get_args(Pool)))}, got {pool!r}")
        refuse_options(
            self,
            options,
            loss_function="value_loss scores the critics",
            value_network="it is the one of SAC's first version, whose critics learn from V(s)",
        )
        super().__init__(actor_network, qvalue_network, loss_function=value_loss, **options)  # type: ignore[call-arg]
        self.pool = pool
        self.make_value_estimator(gamma=gamma, device=self._default_device)

    def make_value_estimator(self, value_type: Any = None, **hyperparams: Any) -> Self:
        """As TorchRL's, but without a gamma it stays what it was; ValueError for one outside [0, 1]."""
        gamma = checked_gamma(hyperparams.pop("gamma", getattr(self._value_estimator, "gamma", 0.99)))
        super().make_value_estimator(value_type, gamma=gamma, **hyperparams)  # type: ignore[misc]
        return self

    @property
    def gamma(self) -> Tensor:
        """The value estimator's discount per step, where a number that is assigned goes too."""
        return self._value_estimator.gamma  # type: ignore[union-attr, return-value]

    @gamma.setter
    def gamma(self, gamma: float) -> None:
        self.gamma.fill_(checked_gamma(gamma))

    def _make_vmap(self) -> None:
        super()._make_vmap()  # type: ignore[misc]
        self._vmap_outputs = _vmap_func(
            self.qvalue_network,
            (None, 0),
            randomness=self.vmap_randomness,  # type: ignore[attr-defined]
            pseudo_vmap=self.deactivate_vmap,  # type: ignore[attr-defined]
        )
        setattr(self, self.read_by_actor, partial(self._with_values, getattr(self, self.read_by_actor)))

    def _with_values(self, critics: Any, *arguments: Any) -> TensorDictBase:
        """What critics write, with values [E, B, 1] in the place of outputs [E, B, K]."""
        written = critics(*arguments)
        values_EB1 = self.loss_function.decode(self._written(written)).unsqueeze(-1)
        return written.set(self.tensor_keys.state_action_value, values_EB1)

    def _outputs(self, tensordict: TensorDictBase, params: TensorDictBase) -> Tensor:
        """The critics' outputs [E, B, K] under these parameters; the tensordict stays as it was."""
        read = tensordict.select(*self.qvalue_network.in_keys, strict=False)
        return self._written(self._vmap_outputs(read, params))

    def _written(self, tensordict: TensorDictBase) -> Tensor:
        key, k = self.tensor_keys.state_action_value, self.loss_function.num_outputs
        outputs = entry(tensordict, key)
        if outputs.ndim < 2 or outputs.shape[-1] != k:
            raise ValueError(f"{key!r} must have shape [*batch, {k}], got {list(outputs.shape[1:])}")
        return outputs

    def _pooled(self, tensordict: TensorDictBase, params: TensorDictBase) -> Tensor:
        """The critics' outputs as one's, [B, K]."""
        return self.loss_function.pool(self._outputs(tensordict, params), self.pool)

    def _bellman(
        self,
        tensordict: TensorDictBase,
        outputs_EBK: Tensor,
        next_BK: Tensor,
        bonus_B: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A step of every critic to the next outputs: its loss, its TD error [E, B], and the target [B].

        bonus_B is what the next state is worth beyond its outputs. It goes into the reward, so that every
        atom of a distribution moves alike. The target [B] is the value estimator's. With TD(0) the loss is
        the value loss's `backup`; other estimators mix values of many steps, and it is that of the number.
        """
        next_B = self.loss_function.decode(next_BK)
        next_B = next_B if bonus_B is None else next_B + bonus_B
        estimator, rows = self.value_estimator, outputs_EBK.shape[:-1]
        read = tensordict.clone(False)
        read.set(("next", estimator.tensor_keys.value), next_B.unsqueeze(-1))
        reward_B = self._reward(read, rows)
        with torch.no_grad():
            target_B = estimator.value_estimate(read).squeeze(-1)
        if type(estimator) is not TD0Estimator:
            target_EB = target_B.expand(rows)
            error_EB = target_EB - self.loss_function.decode(outputs_EBK).detach()
            return self.loss_function(outputs_EBK, target_EB), error_EB, target_B
        reward_B = self._reward(read, rows)  # the estimator may have scaled it
        discount_B = discount_of(read, estimator.tensor_keys, self.gamma, reward_B.shape)
        reward_B = reward_B if bonus_B is None else reward_B + discount_B * bonus_B
        loss_EB, error_EB = self.loss_function.backup(
            outputs_EBK, next_BK.expand_as(outputs_EBK), reward_B.expand(rows), discount_B.expand(rows)
        )
        return loss_EB, error_EB, target_B

    def _reward(self, tensordict: TensorDictBase, rows: torch.Size) -> Tensor:
        """The reward [B] for critics of these rows [E, B]."""
        keys = self.value_estimator.tensor_keys
        reward_B = reward_of(tensordict, keys)
        if reward_B.shape != rows[1:]:
            raise ValueError(
                f"{('next', keys.reward)!r} must have shape {[*rows[1:], 1]}, got {[*reward_B.shape, 1]}"
            )
        return reward_B
