"""Lightning agents, and what feeds them: networks, collector, replay, exploration, callbacks."""

from catzoo.agents.agent import Agent, NotFiniteError, TrainingOptions
from catzoo.agents.augmentation import random_shift
from catzoo.agents.callbacks import BestWeights, Checkpointing, Evaluation, SupportMonitor, SupportReport
from catzoo.agents.checkpoints import Checkpoints
from catzoo.agents.collector import Episode, VectorCollector
from catzoo.agents.cql import CQL
from catzoo.agents.dqn import DQN
from catzoo.agents.evaluation import evaluate_agent, evaluate_policy
from catzoo.agents.exploration import EpsilonGreedy, LinearSchedule
from catzoo.agents.learner import Learner
from catzoo.agents.networks import TORSOS, QNetwork
from catzoo.agents.off_policy import OffPolicyAgent
from catzoo.agents.offline import OfflineAgent
from catzoo.agents.pqn import PQN
from catzoo.agents.replay import (
    Batch,
    Dataset,
    DatasetError,
    NStep,
    OfflineReplay,
    Priorities,
    Recorder,
    Replay,
    read_dataset,
    replay_bytes,
    transition_bytes,
)
from catzoo.agents.resets import reset_last_layers
from catzoo.agents.returns import q_lambda_returns

__all__ = [
    "CQL",
    "DQN",
    "PQN",
    "TORSOS",
    "Agent",
    "Batch",
    "BestWeights",
    "Checkpointing",
    "Checkpoints",
    "Dataset",
    "DatasetError",
    "Episode",
    "EpsilonGreedy",
    "Evaluation",
    "Learner",
    "LinearSchedule",
    "NStep",
    "NotFiniteError",
    "OffPolicyAgent",
    "OfflineAgent",
    "OfflineReplay",
    "Priorities",
    "QNetwork",
    "Recorder",
    "Replay",
    "SupportMonitor",
    "SupportReport",
    "TrainingOptions",
    "VectorCollector",
    "evaluate_agent",
    "evaluate_policy",
    "q_lambda_returns",
    "random_shift",
    "read_dataset",
    "replay_bytes",
    "reset_last_layers",
    "transition_bytes",
]
