"""Value losses for plain TorchRL scripts: one line swaps a loss of TorchRL's for any of ours.

`ValueDQNLoss` stands in for DQNLoss and DistributionalDQNLoss, `ValueSACLoss` for SACLoss, `ValueTD3Loss`
for TD3Loss and `ValueClipPPOLoss` for ClipPPOLoss. Each file says where it deviates from TorchRL 0.14, whose
names, keys, defaults and reductions are kept.
"""

from catzoo.losses.torchrl.value_clip_ppo import ValueClipPPOLoss
from catzoo.losses.torchrl.value_dqn import ValueDQNLoss
from catzoo.losses.torchrl.value_sac import ValueSACLoss
from catzoo.losses.torchrl.value_td3 import ValueTD3Loss

__all__ = ["ValueClipPPOLoss", "ValueDQNLoss", "ValueSACLoss", "ValueTD3Loss"]
