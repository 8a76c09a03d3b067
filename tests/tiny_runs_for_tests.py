"""Runs of a second, in this process."""

from catzoo.zoo.training.train import train

TINY = [
    "num_envs=4",
    "rollout_length=5",
    "learning_starts=100",
    "batch_size=16",
    "updates_per_step=0.1",
    "network.hidden=[8]",
    "log_every=100",
    "eval.episodes=8",
    "eval.every=200",
    "eval.interim_episodes=4",
    "checkpoint_every=200",
]


def tiny(run_dir, *more, env="CartPole-v1", **keywords):
    """Trains a small DQN in this process."""
    return train("dqn", env, run_dir=run_dir, overrides=[*TINY, *more], **keywords)
