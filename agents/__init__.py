"""Lightning agents, and what feeds them: networks, collector, replay, exploration, callbacks."""

from catzoo.agents.agent import Agent, TrainingOptions
from catzoo.agents.callbacks import Checkpointing, Evaluation, SupportMonitor, SupportReport
from catzoo.agents.checkpoint import Checkpoints
from catzoo.agents.collector import Episode, VectorCollector
from catzoo.agents.dqn import DQN
from catzoo.agents.evaluation import evaluate_agent, evaluate_policy
from catzoo.agents.exploration import EpsilonGreedy, LinearSchedule
from catzoo.agents.learner import Learner
from catzoo.agents.networks import TORSOS, QNetwork
from catzoo.agents.replay import Batch, NStep, make_replay, replay_bytes, sample_batches

__all__ = [
    "DQN",
    "TORSOS",
    "Agent",
    "Batch",
    "Checkpointing",
    "Checkpoints",
    "Episode",
    "EpsilonGreedy",
    "Evaluation",
    "Learner",
    "LinearSchedule",
    "NStep",
    "QNetwork",
    "SupportMonitor",
    "SupportReport",
    "TrainingOptions",
    "VectorCollector",
    "evaluate_agent",
    "evaluate_policy",
    "make_replay",
    "replay_bytes",
    "sample_batches",
]
