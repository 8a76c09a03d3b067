"""TorchRL's `DQNTrainer` on a recipe.

In its favour: an exploration schedule that costs one assignment a batch (its own loops over the frames).
"""

from __future__ import annotations

from typing import Any

from tensordict.nn import TensorDictSequential
from torch import nn
from torchrl.envs import EnvBase
from torchrl.modules import EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate
from torchrl.trainers.algorithms import DQNTrainer

from catzoo.agents import LinearSchedule
from catzoo.zoo.bench.loops.job import burst
from catzoo.zoo.bench.loops.torchrl_parts import adam, collector, make, perceptron, replay, sizes


def dqn_trainer(recipe: Any, env: EnvBase) -> tuple[DQNTrainer, nn.Module]:
    """The trainer, and the actor that it trains."""
    actor = QValueActor(perceptron(recipe, *sizes(env)), in_keys=["observation"], spec=env.action_spec)
    loss = DQNLoss(actor, loss_function="smooth_l1", delay_value=True, double_dqn=recipe.double)
    loss.make_value_estimator(gamma=recipe.gamma)
    greedy = _scheduled(recipe, env)
    frames, updates = burst(recipe)
    trainer = make(
        DQNTrainer,
        recipe,
        collector=collector(env, TensorDictSequential(actor, greedy), frames, recipe.learning_starts),
        optim_steps_per_batch=updates,
        loss_module=loss,
        optimizer=adam(recipe, loss.parameters()),
        replay_buffer=replay(recipe),
        # Its counter runs from zero to the interval, which makes the period one longer.
        target_net_updater=HardUpdate(loss, value_network_update_interval=recipe.target_update_every - 1),
        greedy_module=greedy,
    )
    return trainer, actor


def _scheduled(recipe: Any, env: EnvBase) -> EGreedyModule:
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
