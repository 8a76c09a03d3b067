"""TorchRL's `DQNTrainer` on a recipe: same network, batch, replay ratio, schedule and optimizer.

Set up as in its own DQN scripts: one `GymEnv`, its `Collector`, `ReplayBuffer`, `DQNLoss` and
`HardUpdate`; bursts as long as the recipe's. Two things are in its favour: no logging hooks, and an
exploration schedule that costs one assignment a batch (its own loops over the frames).

Vector observations only: its Atari transforms need torchvision.
"""

from __future__ import annotations

import time
import warnings

import torch
from tensordict.nn import TensorDictSequential
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import GymEnv
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate
from torchrl.trainers.algorithms import DQNTrainer

from catzoo.agents import LinearSchedule
from catzoo.hparams import Recipe
from catzoo.zoo.bench.loops.job import Greedy, Trained, burst


def train(recipe: Recipe) -> Trained:
    """Trains on the recipe; the clock runs during `train` only."""
    trainer, network = make_trainer(recipe)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    return Trained(seconds, trainer.collected_frames, trainer._optim_count, Greedy(network), "1 x GymEnv")


def make_trainer(recipe: Recipe) -> tuple[DQNTrainer, nn.Module]:
    """The trainer before its first step, and its network: observation [N, D] to values [N, A]."""
    torch.manual_seed(recipe.seed)
    env = GymEnv(recipe.env, device="cpu", **recipe.env_options)
    env.set_seed(recipe.seed)
    network = MLP(
        in_features=env.observation_spec["observation"].shape[-1],
        out_features=env.action_spec.shape[-1],
        num_cells=list(recipe.network.hidden),
        activation_class=nn.ReLU,
    )
    actor = QValueActor(network, in_keys=["observation"], spec=env.action_spec)
    loss = DQNLoss(actor, loss_function="smooth_l1", delay_value=True, double_dqn=recipe.double)
    loss.make_value_estimator(gamma=recipe.gamma)
    greedy = _scheduled(recipe, env)
    frames, updates = burst(recipe)
    collector = Collector(
        env,
        TensorDictSequential(actor, greedy),
        frames_per_batch=frames,
        total_frames=-1,
        init_random_frames=recipe.learning_starts,
        device="cpu",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls itself experimental
        trainer = DQNTrainer(
            collector=collector,
            total_frames=recipe.steps,
            frame_skip=1,
            optim_steps_per_batch=updates,
            loss_module=loss,
            optimizer=torch.optim.Adam(loss.parameters(), lr=recipe.optimizer.lr, eps=recipe.optimizer.eps),
            replay_buffer=TensorDictReplayBuffer(
                storage=LazyTensorStorage(recipe.replay.capacity), batch_size=recipe.batch_size
            ),
            # Its counter runs from zero to the interval, which makes the period one longer.
            target_net_updater=HardUpdate(loss, value_network_update_interval=recipe.target_update_every - 1),
            greedy_module=greedy,
            clip_norm=recipe.optimizer.max_grad_norm,
            progress_bar=False,
            enable_logging=False,
            seed=recipe.seed,
        )
    return trainer, network


def _scheduled(recipe: Recipe, env: GymEnv) -> EGreedyModule:
    """Epsilon-greedy that follows the recipe: from the first update on, not from the first step."""
    exploration = recipe.exploration
    schedule = LinearSchedule(
        exploration.start, exploration.end, recipe.learning_starts, exploration.decay_steps
    )

    class Scheduled(EGreedyModule):
        frames = 0

        def step(self, frames: int = 1) -> None:
            self.frames += frames
            self.eps.fill_(schedule(self.frames))

    return Scheduled(spec=env.action_spec, eps_init=exploration.start, eps_end=exploration.end)
