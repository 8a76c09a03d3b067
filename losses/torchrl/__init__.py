"""Value losses for plain TorchRL scripts: one line swaps a loss of TorchRL's for any of ours.

`ValueDQNLoss` stands in for DQNLoss and DistributionalDQNLoss. Its file says where it deviates from TorchRL 0.14,
whose names, keys, defaults and reductions are kept.
"""

from catzoo.losses.torchrl.value_dqn import ValueDQNLoss

__all__ = ["ValueDQNLoss"]
