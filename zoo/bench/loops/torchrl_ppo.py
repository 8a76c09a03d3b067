"""TorchRL's `PPOTrainer` on a recipe."""

from __future__ import annotations

import math
from typing import Any

from tensordict.nn import AddStateIndependentNormalScale, TensorDictModule
from torch import nn
from torch.distributions import Categorical
from torch.optim.lr_scheduler import LambdaLR
from torchrl.data import Bounded, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.data.replay_buffers import SamplerWithoutReplacement
from torchrl.envs import EnvBase
from torchrl.modules import ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE
from torchrl.trainers.algorithms import PPOTrainer

from catzoo.zoo.bench.loops.job import burst
from catzoo.zoo.bench.loops.torchrl_parts import adam, collector, make, perceptron, sizes

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def ppo_trainer(recipe: Any, env: EnvBase) -> tuple[PPOTrainer, nn.Module]:
    """The trainer, and the actor that it trains."""
    activation, (inputs, actions) = ACTIVATIONS[recipe.network.activation], sizes(env)
    actor = _actor(env, perceptron(recipe, inputs, actions, activation))
    critic = ValueOperator(perceptron(recipe, inputs, 1, activation), in_keys=["observation"])
    loss = ClipPPOLoss(
        actor,
        critic,
        clip_epsilon=recipe.clip,
        entropy_bonus=recipe.entropy_coef > 0,
        entropy_coeff=recipe.entropy_coef,
        critic_coeff=recipe.value_coef,
        loss_critic_type="l2",
        normalize_advantage=True,
    )
    frames, _ = burst(recipe)
    optimizer, rollouts = adam(recipe, loss.parameters()), math.ceil(recipe.steps / frames)
    falling = LambdaLR(optimizer, lambda rollout: max(1 - rollout / rollouts, 0.0))
    trainer = make(
        PPOTrainer,
        recipe,
        collector=collector(env, actor, frames),
        optim_steps_per_batch=None,  # whole passes
        num_epochs=recipe.epochs,
        loss_module=loss,
        optimizer=optimizer,
        lr_scheduler=falling if recipe.optimizer.anneal else None,
        gae=GAE(gamma=recipe.gamma, lmbda=recipe.gae_lambda, value_network=critic, average_gae=False),
        replay_buffer=TensorDictReplayBuffer(
            storage=LazyTensorStorage(frames),
            sampler=SamplerWithoutReplacement(),
            batch_size=recipe.batch_size,
        ),
    )
    return trainer, actor


def _actor(env: EnvBase, network: nn.Module) -> ProbabilisticActor:
    """A policy over the environment's actions, set up as in its own scripts."""
    spec = env.action_spec_unbatched
    if not isinstance(spec, Bounded):
        module = TensorDictModule(network, in_keys=["observation"], out_keys=["logits"])
        return ProbabilisticActor(
            module,
            in_keys=["logits"],
            spec=env.action_spec,
            distribution_class=Categorical,
            return_log_prob=True,
        )
    network = nn.Sequential(network, AddStateIndependentNormalScale(spec.shape[-1]))
    return ProbabilisticActor(
        TensorDictModule(network, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        spec=env.action_spec,
        distribution_class=TanhNormal,
        distribution_kwargs={"low": spec.space.low, "high": spec.space.high, "tanh_loc": False},
        return_log_prob=True,
    )
