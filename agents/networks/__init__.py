"""Networks: a torso that turns an observation into features, and a head that emits K numbers per action."""

from catzoo.agents.networks.action_transformer import ActionTransformer
from catzoo.agents.networks.continuous_actor_critic import ActorCritic, DeterministicActorCritic
from catzoo.agents.networks.fresh import fresh_copy
from catzoo.agents.networks.heads import DuelingHead, LinearHead
from catzoo.agents.networks.noisy import NoisyLinear, is_noisy, set_noise_generator
from catzoo.agents.networks.policy_value import PolicyValueNetwork
from catzoo.agents.networks.q_network import TORSOS, QNetwork, auto_torso
from catzoo.agents.networks.resnets import ImpalaResNet, ResNet, SpatialEmbedding
from catzoo.agents.networks.soft_moe import SoftMoE
from catzoo.agents.networks.torsos import MLP, MinAtarCNN, NatureCNN
from catzoo.agents.networks.transformer import Transformer

__all__ = [
    "MLP",
    "TORSOS",
    "ActionTransformer",
    "ActorCritic",
    "DeterministicActorCritic",
    "DuelingHead",
    "ImpalaResNet",
    "LinearHead",
    "MinAtarCNN",
    "NatureCNN",
    "NoisyLinear",
    "PolicyValueNetwork",
    "QNetwork",
    "ResNet",
    "SoftMoE",
    "SpatialEmbedding",
    "Transformer",
    "auto_torso",
    "fresh_copy",
    "is_noisy",
    "set_noise_generator",
]
