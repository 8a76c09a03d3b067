"""The recipe's components, a dataclass each. The docstring under a field is its meaning and unit."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Literal

from catzoo.hparams.schema import RecipeError, bounded
from catzoo.hparams.value_losses import VALUE_LOSSES, unknown_loss


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
    spacing: Literal["uniform", "symexp"] | None = None
    """Whether bins are equally wide, or grow with 1 + |value| (DreamerV3's; few of them reach far)."""
    sigma: float | None = bounded(None, above=0)
    """HL-Gauss: standard deviation of the label, in units of return; excludes sigma_ratio."""
    sigma_ratio: float | None = bounded(None, above=0)
    """HL-Gauss: the same in bin widths (the paper: 0.75)."""
    pad_sigmas: float | None = bounded(None, at_least=0)
    """HL-Gauss: widens the support by this many sigmas at both ends."""
    delta: float | None = bounded(None, above=0)
    """Huber: where the loss turns from quadratic to linear."""
    num_quantiles: int | None = bounded(None, at_least=2, at_most=100_000)
    """Quantile: how many stand for a value; a Bellman step compares each with each."""
    kappa: float | None = bounded(None, at_least=0)
    """Quantile: where the loss turns from quadratic to linear, in units of return; 0: linear everywhere."""

    def __post_init__(self) -> None:
        if self.name not in VALUE_LOSSES:
            raise unknown_loss(self.name)
        if self.sigma is not None and self.sigma_ratio is not None:
            raise RecipeError("value_loss.sigma and value_loss.sigma_ratio exclude each other: give one")
        if self.v_min is not None and self.v_max is not None and self.v_min >= self.v_max:
            raise RecipeError(
                f"value_loss.v_min={self.v_min:g} must be below value_loss.v_max={self.v_max:g}"
            )
        keys = VALUE_LOSSES[self.name].keys
        for key in self.arguments():
            if key not in keys:
                allowed = ", ".join(keys) or "no keys"
                raise RecipeError(f"value_loss.{key} does not apply to {self.name}, which takes {allowed}")

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for the loss's class: what was set, without the name."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {key: value for key, value in values.items() if key != "name" and value is not None}


@dataclass(frozen=True, kw_only=True)
class NormalizeConfig:
    """What is scaled by what was seen of it."""

    reward: bool = False
    """Divides rewards, after `reward_clip`, by a running scale of returns: values are in its units."""


@dataclass(frozen=True, kw_only=True)
class ObservingNormalizeConfig(NormalizeConfig):
    """The same for an agent whose networks take observations of any scale."""

    observation: bool = False
    """Observations less their running mean, over their running deviation, within ±10."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam."""

    lr: float = bounded(2.5e-4, above=0)
    """Learning rate."""
    eps: float = bounded(3.125e-4, above=0)
    """Adam's epsilon."""
    weight_decay: float = bounded(0.0, at_least=0, at_most=1_000)
    """Share of every parameter that goes at each update, in learning rates (AdamW)."""
    anneal: bool = False
    """The learning rate falls in a straight line to zero at the last of `steps`."""
    max_grad_norm: float | None = bounded(None, above=0)
    """Clips the gradient's global norm; null: no clipping."""


@dataclass(frozen=True, kw_only=True)
class ActorOptimizerConfig(OptimizerConfig):
    """The same, with a rate for the policy."""

    actor_lr: float | None = bounded(None, above=0)
    """Learning rate of the policy; null: `lr`."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The torso; the head follows from the value loss and from `dueling`."""

    name: Literal[
        "auto",
        "mlp",
        "bronet",
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
    """Widths of the hidden layers of the MLP; of bronet's blocks, which are alike."""
    width: float = bounded(1.0, above=0, at_most=1000)
    """Factor on the channels and features of the torsos for images."""
    layer_norm: bool = False
    """Layer normalisation before every activation (MLP, convolutional torsos)."""
    pixels: bool | None = None
    """Divides uint8 observations by 255; null: if they are images, of 0 to 255 and two dimensions or more."""
    experts: int = bounded(0, at_least=0, at_most=64)
    """A SoftMoE of so many experts in place of the penultimate layer; 0: none."""


@dataclass(frozen=True, kw_only=True)
class SequenceNetworkConfig:
    """A causal transformer over tokens."""

    size: int = bounded(64, at_least=1, at_most=10**5)
    """Numbers that stand for a token."""
    num_layers: int = bounded(2, at_least=1, at_most=1_000)
    """Blocks of attention and feed-forward layer."""
    num_heads: int = bounded(4, at_least=1, at_most=1_000)
    """Of each attention; they divide the size."""


@dataclass(frozen=True, kw_only=True)
class DataPlaceConfig:
    """Where the transitions of a dataset are sampled from."""

    place: Literal["memory", "disk", "device"] = "memory"
    """Main memory, memory-mapped files (a replay's in the run's folder), or beside the network, on a GPU."""


@dataclass(frozen=True, kw_only=True)
class ReplayConfig(DataPlaceConfig):
    """Experience replay: what is stored where, and how it is sampled."""

    capacity: int = bounded(100_000, at_least=1)
    """Transitions kept."""
    store: Literal["whole", "frames"] = "whole"
    """`frames` keeps each frame of a stack once, an eighth of the memory (Atari); `whole` takes anything."""
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
    """Steps from `start` to `end`, counted from `learning_starts` where there is such a key."""


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
    max_steps: int = bounded(27_000, at_least=1)
    """Steps after which an episode of an evaluation is cut; it counts with what it has."""
    share: float = bounded(4.0, above=0)
    """Steps of an evaluation at most, for each step trained before it: of the run, or of `every`."""


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
    """Threads that torch may use on the CPU; 0: torch's own choice. Of many learners each one's; on a
    cluster also cores, and 0: one."""
    devices: int = bounded(1, at_least=1, at_most=4096)
    """Learners, a process and a device each: they share the batch, the environments and the replay."""
    launcher: Literal["own", "torchrun", "slurm"] = "own"
    """Who starts the processes of many learners: catzoo, on this machine, or one of these."""
    gpus: float | None = bounded(None, at_least=0, at_most=1024)
    """GPUs that a run asks a cluster for, or 0.25 of one; null: one for cuda, for auto if there is any."""
    memory: float | None = bounded(None, above=0, at_most=1e6)
    """GB of main memory that a run asks a cluster for; null: it does not ask."""

    def __post_init__(self) -> None:
        if self.gpus is not None and self.gpus > 1 and self.gpus != int(self.gpus):
            raise RecipeError(f"compute.gpus={self.gpus:g}: must be a share of one GPU, or a whole number")


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """Where environments are played."""

    workers: int | str = bounded(1, at_least=1, at_most=4096)
    """Collectors, which share num_envs: 1 is the learner itself, N processes of their own, ray:N as many on
    Ray."""

    def __post_init__(self) -> None:
        if isinstance(self.workers, str) and not re.fullmatch(r"ray:[1-9]\d{0,3}", self.workers):
            raise RecipeError(
                f"collect.workers={self.workers}: must be a number of processes, or ray:N, collectors on Ray"
            )

    @property
    def number(self) -> int:
        """How many."""
        return int(str(self.workers).removeprefix("ray:"))

    @property
    def elsewhere(self) -> bool:
        """Whether they are outside of the learner's process."""
        return self.workers != 1


@dataclass(frozen=True, kw_only=True)
class CollectingComputeConfig(ComputeConfig):
    """The same for an agent that plays."""

    overlap: bool | None = False
    """Collects in a thread, one iteration ahead of the learner; null: where a GPU or a core is spare."""
