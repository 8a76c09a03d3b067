"""Pieces that several tests use."""

import numpy as np
import torch
from torch import nn


class Left(nn.Module):
    """Always action 0."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def forward(self, observation):
        return np.zeros(len(observation), np.int64)

    def get_extra_state(self):
        return {}

    def set_extra_state(self, state):
        pass
