"""The recipe: everything that decides a run, as data.

Each dataclass is one component; the docstring under a field is its meaning and unit. The dotted
path to a field is its key in YAML and on the command line (`value_loss.num_bins=101`). A *step* is
one agent step in one environment; an Atari step is four frames.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from catzoo.hparams.schema import RecipeError, bounded, nearest, shown

_SUPPORT = ("num_bins", "v_min", "v_max", "align")
LOSS_KEYS: dict[str, tuple[str, ...]] = {
    "mse": (),
    "huber": ("delta",),
    "two_hot": _SUPPORT,
    "hl_gauss": (*_SUPPORT, "sigma", "sigma_ratio", "pad_sigmas"),
    "c51": _SUPPORT,
    "softmax_mse": _SUPPORT,
}
"""Value losses and the keys that each takes. Known here without importing torch; a loss that was added to
`catzoo.losses.LOSSES` and not here is looked up there when it is asked for."""


@dataclass(frozen=True, kw_only=True)
class ValueLossConfig:
    """How a scalar value is represented and scored. `None`: the loss's own default."""

    name: str = "hl_gauss"
    """Which loss; the classes are in `catzoo.losses`."""
    num_bins: int | None = bounded(None, at_least=2, at_most=100_000)
    """Bins of the support (categorical losses)."""
    v_min: float | None = bounded(None, at_least=-1e30, at_most=1e30)
    """Lower end of the support, in units of discounted return."""
    v_max: float | None = bounded(None, at_least=-1e30, at_most=1e30)
    """Upper end of the support, in units of discounted return."""
    align: Literal["edges", "centers"] | None = None
    """Whether v_min and v_max are the outer bin edges or the outer bin centres."""
    sigma: float | None = bounded(None, above=0)
    """HL-Gauss: standard deviation of the label, in units of return; excludes sigma_ratio."""
    sigma_ratio: float | None = bounded(None, above=0)
    """HL-Gauss: the same in bin widths (the paper: 0.75)."""
    pad_sigmas: float | None = bounded(None, at_least=0)
    """HL-Gauss: widens the support by this many sigmas at both ends."""
    delta: float | None = bounded(None, above=0)
    """Huber: where the loss turns from quadratic to linear."""

    def __post_init__(self) -> None:
        if self.name not in LOSS_KEYS:
            hint = nearest(self.name, LOSS_KEYS)
            raise RecipeError(f"unknown loss {shown(self.name)}: must be one of {', '.join(LOSS_KEYS)}{hint}")
        if self.sigma is not None and self.sigma_ratio is not None:
            raise RecipeError("value_loss.sigma and value_loss.sigma_ratio exclude each other: give one")
        if self.v_min is not None and self.v_max is not None and self.v_min >= self.v_max:
            raise RecipeError(
                f"value_loss.v_min={self.v_min:g} must be below value_loss.v_max={self.v_max:g}"
            )
        for key, value in self.arguments().items():
            if value is not None and key not in LOSS_KEYS[self.name]:
                allowed = ", ".join(LOSS_KEYS[self.name]) or "no keys"
                raise RecipeError(f"value_loss.{key} does not apply to {self.name}, which takes {allowed}")

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for the loss's class: what was set, without the name."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {key: value for key, value in values.items() if key != "name" and value is not None}


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam."""

    lr: float = bounded(2.5e-4, above=0)
    """Learning rate."""
    eps: float = bounded(3.125e-4, above=0)
    """Adam's epsilon."""
    anneal: bool = False
    """The learning rate falls in a straight line to zero at the last of `steps`."""
    max_grad_norm: float | None = bounded(None, above=0)
    """Clips the gradient's global norm; null: no clipping."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The torso; the head follows from the value loss and from `dueling`."""

    name: Literal[
        "auto",
        "mlp",
        "minatar_cnn",
        "nature_cnn",
        "impala",
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "transformer",
    ] = "auto"
    """`auto` goes by the observation's shape: vector, 10x10 grid, or 84x84 frames."""
    hidden: tuple[int, ...] = bounded((120, 84), at_least=1, at_most=10**6)
    """Widths of the hidden layers of the MLP."""
    width: float = bounded(1.0, above=0, at_most=1000)
    """Factor on the channels and features of the torsos for images."""
    layer_norm: bool = False
    """Layer normalisation before every activation (MLP, convolutional torsos)."""
    experts: int = bounded(0, at_least=0, at_most=64)
    """A SoftMoE of so many experts in place of the penultimate layer; 0: none."""


@dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """Experience replay: what is stored where, and how it is sampled."""

    capacity: int = bounded(100_000, at_least=1)
    """Transitions kept."""
    store: Literal["whole", "frames"] = "whole"
    """`frames` keeps each frame of a stack once, an eighth of the memory (Atari); `whole` takes anything."""
    place: Literal["memory", "disk", "device"] = "memory"
    """Main memory, a memory-mapped file in the run's folder, or beside the network, on a GPU."""
    prioritized: bool = False
    """Samples in proportion to |TD error|^alpha (Schaul et al. 2016)."""
    alpha: float = bounded(0.5, at_least=0, at_most=1)
    """Prioritised: exponent of the TD error; 0 is uniform."""
    beta: float = bounded(0.4, at_least=0, at_most=1)
    """Prioritised: exponent of the importance weights at the first step; it grows to 1 at the last."""


@dataclass(frozen=True, kw_only=True)
class ExplorationConfig:
    """Epsilon-greedy, linear in steps."""

    start: float = bounded(1.0, at_least=0, at_most=1)
    """Epsilon before and at the first learning step."""
    end: float = bounded(0.01, at_least=0, at_most=1)
    """Epsilon after the decay."""
    decay_steps: int = bounded(250_000, at_least=0)
    """Steps from `start` to `end`, counted from `learning_starts`."""


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Greedy evaluation on environments of its own."""

    every: int = bounded(25_000, at_least=0)
    """Steps between evaluations during training; 0: only at the end."""
    episodes: int = bounded(100, at_least=1, at_most=10**6)
    """Episodes of the final evaluation."""
    interim_episodes: int = bounded(20, at_least=1, at_most=10**6)
    """Episodes of each evaluation during training."""
    epsilon: float = bounded(0.0, at_least=0, at_most=1)
    """Share of random actions; in a deterministic game every episode would be the same without any."""


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """What the learner runs on."""

    device: str = "auto"
    """`auto` takes a GPU if there is one; else a torch device such as cpu or cuda:0."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """bf16: autocast for the networks inside the update; auto: on a CPU that has it, else fp32."""
    channels_last: bool = False
    """NHWC memory for convolutional networks."""
    compile: bool = False
    """torch.compile for the update."""
    cuda_graph: bool = False
    """Replays the update as one CUDA graph (GPU only)."""
    threads: int = bounded(0, at_least=0, at_most=4096)
    """Threads that torch may use on the CPU; 0: torch's own choice."""
    overlap: bool | None = False
    """Collects in a thread, one iteration ahead of the learner; null: where a GPU or a core is spare."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run: agent, environment, seed and every hyper-parameter."""

    agent: str = "dqn"
    """Name in the zoo."""
    env: str = "CartPole-v1"
    """Environment id."""
    preset: str | None = None
    """The recipe file's preset that this began from, such as atari-100k."""
    env_options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments for the environment's constructor."""
    life_loss_ends: bool = False
    """Atari: a lost life ends the episode while training; scores are of whole games."""
    seed: int = bounded(0, at_least=0, at_most=2**63 - 1)
    """Seeds networks, exploration, replay sampling and environments."""
    steps: int = bounded(100_000, at_least=1, at_most=10**15)
    """Agent steps to train for; CQL's are gradient updates."""
    gamma: float = bounded(0.99, at_least=0, at_most=1)
    """Discount of one step."""
    n_step: int = bounded(1, at_least=1, at_most=10_000)
    """Length of the multi-step return."""
    double: bool = False
    """Double Q-learning: the online network picks the next action."""
    dueling: bool = False
    """Separate value and advantage streams."""
    noisy: bool = False
    """Noisy linear layers explore (Fortunato et al. 2018), beside epsilon."""
    q_lambda: float = bounded(0.65, at_least=0, at_most=1)
    """PQN: the lambda of its Q(lambda) returns."""
    epochs: int = bounded(2, at_least=1, at_most=1_000)
    """PQN: passes over every rollout."""
    random_shift: int = bounded(0, at_least=0, at_most=64)
    """Shifts sampled images by up to so many pixels (DrQ); 0: none."""
    reset_every: int = bounded(0, at_least=0)
    """Updates between resets of the network's last layers (SR-SPR); 0: never."""
    reset_keep: float = bounded(0.8, at_least=0, at_most=1)
    """What a reset keeps of the convolutions; the rest is a fresh initialisation."""
    reward_clip: float | None = bounded(None, above=0)
    """Clips rewards to ± this for learning only; scores stay unclipped."""
    num_envs: int = bounded(16, at_least=1, at_most=10_000)
    """Environments stepped together."""
    rollout_length: int = bounded(10, at_least=1, at_most=100_000)
    """Steps of each environment per iteration, collected with one set of weights."""
    learning_starts: int = bounded(10_000, at_least=0)
    """Steps of random play before the first update."""
    updates_per_step: float = bounded(0.1, above=0)
    """Gradient steps per agent step."""
    batch_size: int = bounded(128, at_least=1, at_most=10**7)
    """Transitions per gradient step."""
    target_update_every: int = bounded(50, at_least=1)
    """Updates between copies into the target network."""
    record: float = bounded(0.0, at_least=0, at_most=1)
    """Share of the transitions collected that the run keeps in its folder, as a dataset for cql."""
    dataset: str | None = field(default=None, metadata={"longest": 4_000})
    """CQL: the dataset to learn from, the folder of one or of the run that recorded it."""
    cql_weight: float = bounded(0.1, at_least=0)
    """CQL: weight of log-sum-exp Q(s, .) - Q(s, a) beside the TD loss."""
    bootstrap: Literal["max", "sarsa"] = "max"
    """CQL: the next action is the greedy one, or the data's own (offline SARSA)."""
    reward_noise: float = bounded(0.0, at_least=0)
    """CQL: eta; U(0, eta) is added to every reward of the dataset, once."""
    checkpoint_every: int = bounded(50_000, at_least=0)
    """Steps between checkpoints; 0: only at the end."""
    log_every: int = bounded(1_000, at_least=1)
    """Steps between rows of metrics."""
    value_loss: ValueLossConfig = field(default_factory=ValueLossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain data, without the value-loss keys that were left to the loss's default."""
        values = dataclasses.asdict(self)
        values["network"]["hidden"] = list(self.network.hidden)
        values["value_loss"] = {"name": self.value_loss.name, **self.value_loss.arguments()}
        return values
