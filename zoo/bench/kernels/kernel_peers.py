"""Other libraries' categorical losses as sides of `catzoo bench kernels`.

* hl-gauss-pytorch: `HLGaussLoss` with the paper's ratio of 0.75 (its default is 2), the same support, one
  loss a row. Its look for targets out of range is switched off: it would make the host wait.
* Liger-Kernel: its Triton kernel of cross-entropy with integer labels, made for vocabularies, launched as its
  function does up to sm_90; the function itself makes the host wait for the labels' range. It writes the
  gradient over the logits, so that only its first call sees them: its times count, and a test compares. On a
  GPU only.
* TorchRL: `DistributionalDQNLoss`, which is C51, one loss a row. The network under it does nothing: the
  observation is the logits, in TorchRL's layout [B, K, A]. What it does around the loss stays in: its actor's
  log-softmax and greedy action, three times, and the TensorDicts.

Shapes: N rows, B batch, A actions, K bins.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import nn

from catzoo.kernels.bench import Side
from catzoo.kernels.bench.sides import Call
from catzoo.kernels.bench.tasks import DISCOUNT, SIGMA_RATIO, V_MAX, V_MIN, LossTask, Pair, TDTask

HL_GAUSS, LIGER, TORCHRL = "hl-gauss-pytorch", "liger-kernel", "torchrl"


def peers(say: Callable[[str], None], device: torch.device) -> dict[str, list[Side]]:
    """The sides of every library that is installed, by part; says which are not."""
    found: dict[str, list[Side]] = {}
    if find_spec("hl_gauss_pytorch"):
        found["throughput"] = [Side(HL_GAUSS, hl_gauss_pytorch)]
    else:
        say(f"{HL_GAUSS}: left out: it is not installed: pip install 'catzoo[bench]'")
    if device.type == "cuda" and find_spec("liger_kernel"):
        found.setdefault("throughput", []).append(Side(LIGER, liger_kernel, label="hard"))
    elif device.type == "cuda":
        say(f"{LIGER}: left out: it is not installed: pip install 'catzoo[bench]'")
    if find_spec("torchrl"):
        found["td"] = [Side(TORCHRL, torchrl_c51, labels=("c51",))]
    else:
        say(f"{TORCHRL}: left out: it is not installed: pip install catzoo")
    return found


def hl_gauss_pytorch(task: LossTask) -> Call:
    """`HLGaussLoss` and a backward pass."""
    from hl_gauss_pytorch import HLGaussLoss

    loss_of = HLGaussLoss(
        V_MIN,
        V_MAX,
        task.logits.shape[-1],
        sigma_to_bin_ratio=SIGMA_RATIO,
        clamp_to_range=True,
        warn_out_of_range=False,
    ).to(task.logits.device)

    def call() -> Pair:
        # Half precision as autocast would have it, like the eager listing.
        loss = loss_of(task.logits.float(), task.target, reduction="none")
        (grad,) = torch.autograd.grad(loss, task.logits, task.ones)
        return loss.detach(), grad

    return call


def liger_kernel(task: LossTask) -> Call:
    """The losses, and the gradient where the logits were."""
    from liger_kernel.ops.cross_entropy import liger_cross_entropy_kernel

    logits, target = task.logits.detach().clone(), task.target
    num_rows, num_bins = logits.shape
    loss = torch.zeros(num_rows, dtype=logits.dtype, device=logits.device)

    def call() -> None:
        liger_cross_entropy_kernel[(num_rows,)](
            X_ptr=logits, X_stride=num_bins, Y_ptr=target, Y_stride=1, loss_ptr=loss, loss_stride=1,
            weight_ptr=None, z_loss_ptr=None, token_accuracy_ptr=None, predicted_tokens_ptr=None,
            token_accuracy_stride=0, predicted_tokens_stride=0,
            n_cols=num_bins, n_non_ignore=num_rows, sum_non_ignore_weight=num_rows, weight_sum=0.0,
            ignore_index=-100, lse_square_scale=0.0, label_smoothing=0.0, reduction="none", softcap=None,
            RETURN_Z_LOSS=False, RETURN_TOKEN_ACCURACY=False, RETURN_PREDICTED_TOKENS=False,
            HAS_WEIGHT=False, HAS_SOFTCAPPING=False, HAS_GRADIENTS=True,
            BLOCK_SIZE=2 ** (num_bins - 1).bit_length(), num_warps=32,
        )  # fmt: skip

    return call


def torchrl_c51(task: TDTask) -> Call:
    """`DistributionalDQNLoss` and a backward pass."""
    from tensordict import TensorDict
    from torchrl.data import Categorical
    from torchrl.modules import DistributionalQValueActor
    from torchrl.objectives import DistributionalDQNLoss

    centers = task.rule.bins.center_tensor(torch.float32, task.outputs.device)
    actor = DistributionalQValueActor(nn.Identity(), centers, spec=Categorical(task.outputs.shape[1]))
    loss_of = DistributionalDQNLoss(
        actor.to(task.outputs.device), gamma=DISCOUNT, delay_value=False, reduction="none"
    )
    logits = task.outputs.detach().mT.contiguous().requires_grad_()
    terminated = (task.discount == 0)[:, None]
    following = {
        "observation": task.next_outputs.mT.contiguous(),
        "reward": task.reward[:, None],
        "done": terminated,
        "terminated": terminated,
    }
    now = {"observation": logits, "action": task.action, "next": following}
    batch = TensorDict(now, [len(logits)], device=task.outputs.device)

    def call() -> Pair:
        loss = loss_of(batch)["loss"]
        (grad,) = torch.autograd.grad(loss, logits, task.ones)
        return loss.detach(), grad.mT

    return call
