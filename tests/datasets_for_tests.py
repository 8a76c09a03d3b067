"""Datasets: of corridors, where what was done in a state is known from the state; and those of runs."""

import json

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from catzoo.agents import Recorder, VectorCollector
from catzoo.agents.replay import write_dataset
from catzoo.zoo.environments.protocols import protocol_of
from environments_for_tests import Left

OFFLINE = [
    "batch_size=16", "network.hidden=[8]", "log_every=50", "eval.every=100", "eval.episodes=4",
    "eval.interim_episodes=2", "checkpoint_every=100", "target_update_every=30",
]  # fmt: skip
"""Keys of a small offline run."""


class Parity(Left):
    """The action is the state's last bit, so that the next action can be told from the next state."""

    def forward(self, observation):
        return observation[:, 0].numpy().astype(np.int64) % 2


class Anything(Left):
    """Any action, the same ones every time."""

    def __init__(self):
        super().__init__()
        self.random = np.random.default_rng(0)

    def forward(self, observation):
        return self.random.integers(2, size=len(observation))


def rollouts(corridor, number=10, length=6, limit=None, mode=AutoresetMode.SAME_STEP, policy=None):
    """(rollout [2, `length`], returns of the episodes that ended in it), corridors of 5 and 7 cells."""
    env = corridor((5, 7), limit, mode)
    collector = VectorCollector(env, policy or Parity(), frames_per_batch=2 * length)
    found = []
    for _ in range(number):
        rollout = collector.rollout()
        found.append((rollout.clone(), [episode.score for episode in collector.take_finished()]))
    env.close()
    return found


def recorded(folder, corridor, share=1.0, seed=0, about=None, **options):
    """A recorder that has recorded `rollouts`, published."""
    recorder = Recorder(folder, share, num_actions=2, seed=seed, about=about)
    for rollout, scores in rollouts(corridor, **options):
        recorder.add(rollout, scores)
    recorder.publish()
    recorder.close()
    return recorder


def same(one, other):
    """Whether two datasets hold the same transitions."""
    return all(torch.equal(column, other.columns[name]) for name, column in one.columns.items())


def swings(folder, count=96, gamma=0.98, env="Pendulum-v1", **more):
    """A dataset of made-up steps of Pendulum-v1, or said to be of another, with returns to go."""
    random = torch.Generator().manual_seed(0)
    observation, following = torch.rand(2, count, 3, generator=random) * 2 - 1
    action = torch.rand(count, 1, generator=random) * 2 - 1
    terminated = torch.arange(count) % 8 == 7
    columns = {
        "observation": observation,
        "action": action,
        "reward": terminated.float(),
        "next_observation": following,
        "terminated": terminated,
        "next_action": action.roll(-1, 0),
        "return_to_go": gamma ** (7 - torch.arange(count) % 8).float(),
    }
    about = {"env": env, "protocol": protocol_of(env).to_dict(), "num_actions": 0}
    return write_dataset(folder, "transitions", {**columns, **more}, {**about, "gamma": gamma})


def damaged(folder, **changes):
    """Changes a run's manifest."""
    path = folder / "dataset" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
