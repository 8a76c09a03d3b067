"""SACLoss with any value loss.

Legend: E critics, B batch (any leading dimensions), K outputs per value.

Deviations from TorchRL's SACLoss: `gamma` is an argument too; `pool` says what of the target critics is
followed, the lowest or all; there is no `value_network` (the paper's first version). The state dict is
SACLoss's, with gamma; of a value loss it has nothing, so that the support is the script's to keep.
"""

# mypy: disable-error-code="import-untyped"
# TorchRL and tensordict ship no types.

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.objectives import SACLoss
from torchrl.objectives.sac import compute_rsample_log_prob

from catzoo.losses.torchrl.ensemble_critic import EnsembleCritic


class ValueSACLoss(EnsembleCritic, SACLoss):  # type: ignore[misc]
    """Soft actor-critic (Haarnoja et al. 2018, arXiv 1812.05905) with any value loss.

    Replaces `SACLoss(actor, qvalue, ...)`; the rest of the script stays. Only the critic's last layer is
    another one: K outputs for a value.

        >>> import torch
        >>> from tensordict import TensorDict
        >>> from tensordict.nn import NormalParamExtractor, TensorDictModule
        >>> from torchrl.data import Bounded
        >>> from torchrl.modules import MLP, ProbabilisticActor, TanhNormal, ValueOperator
        >>> from torchrl.objectives import SoftUpdate
        >>> from catzoo.losses import HLGauss
        >>> from catzoo.losses.torchrl import ValueSACLoss
        >>> value_loss = HLGauss(v_min=-10, v_max=10, num_bins=101)
        >>> policy = torch.nn.Sequential(MLP(4, 2 * 2, num_cells=[64]), NormalParamExtractor())
        >>> policy = TensorDictModule(policy, in_keys=["observation"], out_keys=["loc", "scale"])
        >>> actor = ProbabilisticActor(
        ...     policy, in_keys=["loc", "scale"], distribution_class=TanhNormal, spec=Bounded(-1, 1, 2)
        ... )
        >>> qvalue = ValueOperator(MLP(4 + 2, 101, num_cells=[64]), in_keys=["observation", "action"])
        >>> loss = ValueSACLoss(actor, qvalue, value_loss, gamma=0.99, alpha_init=0.01)
        >>> updater = SoftUpdate(loss, tau=0.005)
        >>> def state():
        ...     return {"observation": torch.randn(32, 4), "terminated": torch.zeros(32, 1).bool()}
        >>> batch = TensorDict(state(), 32)
        >>> with torch.no_grad():
        ...     batch = actor(batch)  # acts: writes "action"
        >>> following = {"reward": torch.ones(32, 1), "done": torch.zeros(32, 1).bool()}
        >>> batch["next"] = TensorDict(state() | following, 32)
        >>> losses = loss(batch)
        >>> (losses["loss_qvalue"] + losses["loss_actor"] + losses["loss_alpha"]).backward()
        >>> updater.step()
        >>> batch["td_error"].shape
        torch.Size([32])

    A nat of the next action's entropy is worth alpha, up to alpha / (1 - gamma) in the value: with an
    alpha_init of 1, TorchRL's default, a support of ±10 is full of entropy.

    Args:
        actor_network: a stochastic actor, as SACLoss's.
        qvalue_network: a tensordict module (or a list of them) that writes `state_action_value` [B, K].
        value_loss: how outputs are decoded and scored; K is its `num_outputs`. It is at `loss_function`.
        gamma: discount per step, in [0, 1]; set by `make_value_estimator(gamma=...)` or by assignment. With
            TD(0) the target is the value loss's own, C51's the next distribution, projected; with TD(1) and
            TD(lambda) it is a number.
        pool: of the target critics, "min" takes the outputs of the lowest value, "mean" the mixture of all.
            The actor follows the lowest value.
        options: as SACLoss's, but `loss_function`.

    The losses, `td_error` (the largest of the critics' absolute TD errors [B]) and all else are SACLoss's.

    Raises ValueError for another pool, a gamma out of range and, when called, for critics and rewards of a
    wrong shape or a missing key; TypeError for what is not a value loss, `loss_function` and `value_network`.
    """

    read_by_actor = "_vmap_qnetworkN0"

    def qvalue_v2_loss(self, tensordict: TensorDictBase) -> tuple[Tensor, dict[str, Tensor]]:
        """The critics' loss, reduced, and the priorities [B]."""
        weights = self._maybe_get_priority_weight(tensordict)
        with torch.no_grad():
            following, log_prob_B = self._next_action(tensordict)
            next_BK = self._pooled(following, self.target_qvalue_network_params)
        outputs_EBK = self._outputs(tensordict, self.qvalue_network_params)
        bonus_B = -self._alpha * log_prob_B
        loss_EB, td_error_EB, _ = self._bellman(tensordict, outputs_EBK, next_BK, bonus_B)
        loss = self._reduce_loss(loss_EB.sum(0), tensordict=tensordict, weights=weights)
        return loss, {"td_error": td_error_EB.abs().amax(0)}

    def _next_action(self, tensordict: TensorDictBase) -> tuple[TensorDictBase, Tensor]:
        """The next state with an action of the actor's, and its log-probability [B].

        Both are zero where `skip_done_states` leaves a state out.
        """
        following = tensordict.get("next").copy()
        done = following.get(self.tensor_keys.done, None) if self.skip_done_states else None
        going_B = None if done is None else ~done.squeeze(-1)
        params = self.actor_network_params.to_module(self.actor_network, preserve_module_state=False)
        with set_exploration_type(ExplorationType.RANDOM), params:
            rows = following if going_B is None else following[going_B]
            action, log_prob = compute_rsample_log_prob(self.actor_network.get_dist(rows))
        if going_B is not None:
            action, log_prob = _scattered(action, going_B), _scattered(log_prob, going_B)
        following.set(self.tensor_keys.action, action)
        return following, log_prob


def _scattered(x: Tensor, mask_B: Tensor) -> Tensor:
    """x [N, ...] as [B, ...], at the N rows of a mask, zero elsewhere."""
    full = x.new_zeros((*mask_B.shape, *x.shape[1:]))
    full[mask_B] = x
    return full
