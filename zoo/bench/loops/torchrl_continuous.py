"""TorchRL's `SACTrainer` and `TD3Trainer` on a recipe."""

from __future__ import annotations

from typing import Any

from tensordict.nn import NormalParamExtractor, TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.envs import EnvBase
from torchrl.modules import AdditiveGaussianModule, ProbabilisticActor, TanhModule, TanhNormal, ValueOperator
from torchrl.objectives import SACLoss, SoftUpdate, TD3Loss
from torchrl.objectives.common import LossModule
from torchrl.trainers.algorithms import SACTrainer, TD3Trainer
from torchrl.trainers.algorithms.td3 import TD3OptimizationStepper

from catzoo.zoo.bench.loops.job import burst
from catzoo.zoo.bench.loops.torchrl_parts import adam, collector, make, perceptron, replay, sizes


def sac_trainer(recipe: Any, env: EnvBase) -> tuple[SACTrainer, nn.Module]:
    """The trainer, and the actor that it trains."""
    inputs, actions = sizes(env)
    spec = env.action_spec
    parameters = nn.Sequential(perceptron(recipe, inputs, 2 * actions), NormalParamExtractor())
    actor = ProbabilisticActor(
        TensorDictModule(parameters, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        spec=spec,
        distribution_class=TanhNormal,
        distribution_kwargs={"low": spec.space.low, "high": spec.space.high, "tanh_loc": False},
        return_log_prob=False,
    )
    loss = SACLoss(
        actor,
        _critic(recipe, env),
        num_qvalue_nets=recipe.num_critics,
        loss_function="l2",
        alpha_init=recipe.alpha,
        target_entropy="auto" if recipe.target_entropy is None else recipe.target_entropy,
        action_spec=spec,
    )
    settings = _settings(recipe, env, loss, actor)
    return make(SACTrainer, recipe, optimizer=adam(recipe, loss.parameters()), **settings), actor


def td3_trainer(recipe: Any, env: EnvBase) -> tuple[TD3Trainer, nn.Module]:
    """The trainer, and the actor that it trains."""
    spec = env.action_spec
    half = float((spec.space.high - spec.space.low).max()) / 2  # its noise is in the environment's own units
    actor = TensorDictSequential(
        TensorDictModule(perceptron(recipe, *sizes(env)), in_keys=["observation"], out_keys=["param"]),
        TanhModule(in_keys=["param"], out_keys=["action"], spec=spec),
    )
    loss = TD3Loss(
        actor,
        _critic(recipe, env),
        num_qvalue_nets=recipe.num_critics,
        loss_function="l2",
        action_spec=spec,
        policy_noise=half * recipe.smoothing,
        noise_clip=half * recipe.smoothing_clip,
    )
    noise = AdditiveGaussianModule(spec, sigma_init=half * recipe.noise, sigma_end=half * recipe.noise)
    stepper = TD3OptimizationStepper(
        adam(recipe, loss.actor_network_params.values(True, True)),
        adam(recipe, loss.qvalue_network_params.values(True, True)),
        policy_update_delay=recipe.policy_delay,
    )
    settings = _settings(recipe, env, loss, TensorDictSequential(actor, noise))
    return make(TD3Trainer, recipe, optimization_stepper=stepper, exploration_module=noise, **settings), actor


def _critic(recipe: Any, env: EnvBase) -> ValueOperator:
    return ValueOperator(perceptron(recipe, sum(sizes(env)), 1), in_keys=["observation", "action"])


def _settings(recipe: Any, env: EnvBase, loss: LossModule, policy: nn.Module) -> dict[str, Any]:
    """What both trainers take."""
    loss.make_value_estimator(gamma=recipe.gamma)
    frames, updates = burst(recipe)
    return {
        "collector": collector(env, policy, frames, recipe.learning_starts),
        "optim_steps_per_batch": updates,
        "loss_module": loss,
        "replay_buffer": replay(recipe),
        "target_net_updater": SoftUpdate(loss, tau=recipe.tau),
    }
