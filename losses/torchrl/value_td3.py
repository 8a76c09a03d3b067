"""TD3Loss with any value loss.

Legend: E critics, B batch (any leading dimensions), K outputs per value.

Deviations from TorchRL's TD3Loss: `gamma` is an argument too, and `pool` says what of the target critics is
followed, the lowest or all. The state dict is TD3Loss's, with gamma and what the value loss has.
"""

# mypy: disable-error-code="import-untyped"
# TorchRL and tensordict ship no types.

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs.utils import step_mdp
from torchrl.objectives import TD3Loss

from catzoo.losses.torchrl.ensemble_critic import EnsembleCritic


class ValueTD3Loss(EnsembleCritic, TD3Loss):  # type: ignore[misc]
    """TD3 (Fujimoto et al. 2018, arXiv 1802.09477) with any value loss.

    Replaces `TD3Loss(actor, qvalue, ...)`; the rest of the script stays. Only the critic's last layer is
    another one: K outputs for a value.

        >>> import torch
        >>> from tensordict import TensorDict
        >>> from tensordict.nn import TensorDictModule
        >>> from torchrl.modules import MLP, ValueOperator
        >>> from torchrl.objectives import SoftUpdate
        >>> from catzoo.losses import HLGauss
        >>> from catzoo.losses.torchrl import ValueTD3Loss
        >>> value_loss = HLGauss(v_min=0, v_max=100, num_bins=101)
        >>> policy = torch.nn.Sequential(MLP(4, 2, num_cells=[64]), torch.nn.Tanh())
        >>> actor = TensorDictModule(policy, in_keys=["observation"], out_keys=["action"])
        >>> qvalue = ValueOperator(MLP(4 + 2, 101, num_cells=[64]), in_keys=["observation", "action"])
        >>> loss = ValueTD3Loss(actor, qvalue, value_loss, gamma=0.99, bounds=(-1.0, 1.0))
        >>> updater = SoftUpdate(loss, tau=0.005)
        >>> def state():
        ...     return {"observation": torch.randn(32, 4), "terminated": torch.zeros(32, 1).bool()}
        >>> with torch.no_grad():
        ...     batch = actor(TensorDict(state(), 32))  # acts: writes "action"
        >>> following = {"reward": torch.ones(32, 1), "done": torch.zeros(32, 1).bool()}
        >>> batch["next"] = TensorDict(state() | following, 32)
        >>> losses = loss(batch)
        >>> (losses["loss_qvalue"] + losses["loss_actor"]).backward()
        >>> updater.step()
        >>> batch["td_error"].shape
        torch.Size([32])

    Args:
        actor_network: a deterministic actor, as TD3Loss's.
        qvalue_network: a tensordict module (or a list of them) that writes `state_action_value` [B, K].
        value_loss: how outputs are decoded and scored; K is its `num_outputs`. It is at `loss_function`.
        gamma: discount per step, in [0, 1]; set by `make_value_estimator(gamma=...)` or by assignment. With
            TD(0) the target is the value loss's own, C51's the next distribution, projected; with TD(1) and
            TD(lambda) it is a number.
        pool: of the target critics, "min" takes the outputs of the lowest value, "mean" the mixture of all.
            The actor follows the first critic.
        options: as TD3Loss's, but `loss_function`.

    The losses, `td_error` (the largest of the critics' squared TD errors [B]), `pred_value` [E, B],
    `next_state_value` and `target_value` [B] (decoded), and all else are TD3Loss's.

    Raises ValueError for another pool, a gamma out of range and, when called, for critics and rewards of a
    wrong shape or a missing key; TypeError for what is not a value loss and for `loss_function`.
    """

    read_by_actor = "_vmap_qvalue_network00"

    def value_loss(self, tensordict: TensorDictBase) -> tuple[Tensor, dict[str, Tensor]]:
        """The critics' loss, reduced, and what TD3Loss reports of it."""
        weights = self._maybe_get_priority_weight(tensordict)
        with torch.no_grad():
            next_BK = self._pooled(self._next_action(tensordict), self.target_qvalue_network_params)
        outputs_EBK = self._outputs(tensordict, self.qvalue_network_params)
        loss_EB, td_error_EB, target_B = self._bellman(tensordict, outputs_EBK, next_BK)
        loss = self._reduce_loss(loss_EB.sum(0), tensordict=tensordict, weights=weights)
        return loss, {
            "td_error": td_error_EB.square(),
            "next_state_value": self.loss_function.decode(next_BK),
            "pred_value": self.loss_function.decode(outputs_EBK).detach(),
            "target_value": target_B,
        }

    def _next_action(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The next state with the target actor's action and clipped noise on it (the paper's section 5.3)."""
        key = self.tensor_keys.action
        noise = torch.randn_like(tensordict.get(key)) * self.policy_noise
        following = step_mdp(tensordict).select(*self.actor_network.in_keys, strict=False)
        with self.target_actor_network_params.to_module(self.actor_network, preserve_module_state=False):
            following = self.actor_network(following)
        action = following.get(key) + noise.clamp(-self.noise_clip, self.noise_clip)
        return following.set(key, action.clamp(self.min_action, self.max_action))
