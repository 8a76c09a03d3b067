"""Lightning agents, and what feeds them: networks, collector, replay, exploration, callbacks."""

from catzoo.agents.agent import Agent
from catzoo.agents.at_work import AtWork, Compute, make_learner
from catzoo.agents.bookkeeping import Bookkeeping, NotFiniteError
from catzoo.agents.callbacks.evaluation import evaluate_agent, evaluate_policy
from catzoo.agents.callbacks.periodic import BestWeights, Checkpointing, Evaluation
from catzoo.agents.callbacks.support_monitor import SupportMonitor, SupportReport
from catzoo.agents.checkpoints import Checkpoints
from catzoo.agents.chess import Chess
from catzoo.agents.collecting.collector import Episode, VectorCollector
from catzoo.agents.collecting.exploration import EpsilonGreedy, LinearSchedule, SampledActions
from catzoo.agents.cql import CQL
from catzoo.agents.dqn import DQN
from catzoo.agents.feeds.dataset_feed import DatasetFeed
from catzoo.agents.feeds.replay_feed import ReplayFeed
from catzoo.agents.feeds.rollout_feed import RolloutFeed
from catzoo.agents.impala import IMPALA
from catzoo.agents.learning.augmentation import random_shift
from catzoo.agents.learning.batches import Advantages, Returns, Rollout, Segments, Transitions
from catzoo.agents.learning.learner import Learner, Step
from catzoo.agents.learning.resets import reset_last_layers
from catzoo.agents.learning.returns import q_lambda_returns
from catzoo.agents.lightning import LightningAgent
from catzoo.agents.networks import (
    TORSOS,
    ActionTransformer,
    ActorCritic,
    DeterministicActorCritic,
    PolicyValueNetwork,
    QNetwork,
)
from catzoo.agents.ppo import PPO
from catzoo.agents.pqn import PQN
from catzoo.agents.q_transformer import QTransformer
from catzoo.agents.registry import AGENTS
from catzoo.agents.replay import (
    Dataset,
    DatasetError,
    ManyReplays,
    NStep,
    OfflineReplay,
    Priorities,
    Recorder,
    Replay,
    read_dataset,
    replay_bytes,
    transition_bytes,
)
from catzoo.agents.sac import SAC
from catzoo.agents.td3 import TD3

__all__ = [
    "AGENTS",
    "CQL",
    "DQN",
    "IMPALA",
    "PPO",
    "PQN",
    "SAC",
    "TD3",
    "TORSOS",
    "ActionTransformer",
    "ActorCritic",
    "Advantages",
    "Agent",
    "AtWork",
    "BestWeights",
    "Bookkeeping",
    "Checkpointing",
    "Checkpoints",
    "Chess",
    "Compute",
    "Dataset",
    "DatasetError",
    "DatasetFeed",
    "DeterministicActorCritic",
    "Episode",
    "EpsilonGreedy",
    "Evaluation",
    "Learner",
    "LightningAgent",
    "LinearSchedule",
    "ManyReplays",
    "NStep",
    "NotFiniteError",
    "OfflineReplay",
    "PolicyValueNetwork",
    "Priorities",
    "QNetwork",
    "QTransformer",
    "Recorder",
    "Replay",
    "ReplayFeed",
    "Returns",
    "Rollout",
    "RolloutFeed",
    "SampledActions",
    "Segments",
    "Step",
    "SupportMonitor",
    "SupportReport",
    "Transitions",
    "VectorCollector",
    "evaluate_agent",
    "evaluate_policy",
    "make_learner",
    "q_lambda_returns",
    "random_shift",
    "read_dataset",
    "replay_bytes",
    "reset_last_layers",
    "transition_bytes",
]
