"""The recipe: everything that decides a run, as data.

`Recipe` has the keys of every agent; groups of keys that some agents share stand beside it, and an agent's
class in `agents/` adds its own. The docstring under a field is its meaning and unit. The dotted path to it is
its key in YAML and on the command line (`value_loss.num_bins=101`). A *step* is one agent step in one
environment; an Atari step is four frames.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from catzoo.hparams.components import (
    CollectConfig,
    CollectingComputeConfig,
    ComputeConfig,
    EvalConfig,
    ExplorationConfig,
    NetworkConfig,
    NormalizeConfig,
    OptimizerConfig,
    ReplayConfig,
    ValueLossConfig,
)
from catzoo.hparams.schema import RecipeError, bounded
from catzoo.hparams.value_losses import VALUE_LOSSES

AUTO_END = 10.0
"""The ends of an automatic support are ± this: what `ReturnScale` makes of the largest return."""


SET, AUTO, ADAPTIVE = "set", "auto", "adaptive"
"""Values of `support`."""
TOGETHER = "+"
"""Between the names of games that one network plays in one run; before a set of which it plays all."""
LONGEST_ENV = 4_000
"""Characters of an environment at most: 66 games in one run have 2,500."""


def adaptive_ends(initial_value: float | None) -> tuple[float, float]:
    """Where the ends of an adaptive support begin: 1 from the initial value, or as far from it as 0 is."""
    value = initial_value or 0.0
    return value - max(1.0, abs(value)), value + max(1.0, abs(value))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run: agent, environment, seed and every hyper-parameter."""

    agent: str = "dqn"
    """Name in the zoo."""
    env: str = field(default="CartPole-v1", metadata={"longest": LONGEST_ENV})
    """Environment id; of several games each one's, with + between them."""
    preset: str | None = None
    """The recipe file's preset that this began from, such as atari-100k."""
    env_options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments for the environment's constructor."""
    seed: int = bounded(0, at_least=0, at_most=2**63 - 1)
    """Seeds networks, exploration, replay sampling and environments."""
    steps: int = bounded(100_000, at_least=1, at_most=10**15)
    """Agent steps to train for; CQL's are gradient updates."""
    gamma: float = bounded(0.99, at_least=0, at_most=1)
    """Discount of one step."""
    reward_clip: float | None = bounded(None, above=0)
    """Clips rewards to ± this for learning only; scores stay unclipped."""
    initial_value: float | None = bounded(0.0, at_least=-1e30, at_most=1e30)
    """What values are before the first update, with any loss; null: the middle of a support, or near 0."""
    batch_size: int = bounded(128, at_least=1, at_most=10**7)
    """Transitions per gradient step."""
    checkpoint_every: int = bounded(50_000, at_least=0)
    """Steps between checkpoints; 0: only at the end."""
    log_every: int = bounded(1_000, at_least=1)
    """Steps between rows of metrics."""
    value_loss: ValueLossConfig = field(default_factory=ValueLossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)

    @property
    def games(self) -> list[str]:
        """What one network plays in this run: mostly one game, two in `MinAtar/Breakout+MinAtar/Freeway`."""
        return self.env.split(TOGETHER)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain data, groups last, without value-loss keys that were left to the loss's default."""
        values = dataclasses.asdict(self)
        network = values["network"]
        values["network"] = {key: list(v) if isinstance(v, tuple) else v for key, v in network.items()}
        values["value_loss"] = {"name": self.value_loss.name, **self.value_loss.arguments()}
        return dict(sorted(values.items(), key=lambda item: isinstance(item[1], dict)))


@dataclass(frozen=True, kw_only=True)
class Playing:
    """Agents that play an environment."""

    num_envs: int = bounded(16, at_least=1, at_most=10_000)
    """Environments stepped together."""
    rollout_length: int = bounded(10, at_least=1, at_most=100_000)
    """Steps of each environment per iteration, collected with one set of weights."""
    life_loss_ends: bool = False
    """Atari: a lost life ends the episode while training; scores are of whole games."""
    record: float = bounded(0.0, at_least=0, at_most=1)
    """Share of the transitions collected that the run keeps in its folder, as a dataset for cql."""
    support: Literal["set", "auto", "adaptive"] = "set"
    """`set`: as v_min and v_max say; `auto`: ±10, as returns are scaled (`normalize.reward`) to fit;
    `adaptive`: begins 1 around the initial value, or as far as 0 is, and its ends follow the targets."""
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    collect: CollectConfig = field(default_factory=CollectConfig)
    compute: CollectingComputeConfig = field(default_factory=CollectingComputeConfig)

    def __post_init__(self) -> None:
        if self.support == ADAPTIVE and self.collect.elsewhere:
            raise RecipeError("support=adaptive changes how values are read: collect.workers=1 goes with it")
        loss: ValueLossConfig = self.value_loss  # type: ignore[attr-defined]  # of `Recipe`, which stands beside
        if self.support == ADAPTIVE and "v_min" in VALUE_LOSSES[loss.name].keys:
            self._check_adaptive(loss)
        if self.support != AUTO:
            return
        if not self.normalize.reward:
            raise RecipeError("support=auto scales returns: normalize.reward=false does not go with it")
        if (loss.v_min, loss.v_max) not in ((None, None), (-AUTO_END, AUTO_END)):
            raise RecipeError(
                f"support=auto has value_loss.v_min={-AUTO_END:g} and value_loss.v_max={AUTO_END:g}: "
                "support=set takes others"
            )

    def _check_adaptive(self, loss: ValueLossConfig) -> None:
        if loss.sigma is not None:
            raise RecipeError(
                "support=adaptive has no fixed unit: leave value_loss.sigma out, or say sigma_ratio"
            )
        if loss.spacing == "symexp":
            raise RecipeError(
                "support=adaptive has equal bins: value_loss.spacing=symexp does not go with it"
            )
        ends = adaptive_ends(self.initial_value)  # type: ignore[attr-defined]  # of `Recipe` too
        if (loss.v_min, loss.v_max) != ends:
            raise RecipeError(
                f"support=adaptive begins at value_loss.v_min={ends[0]:g} and value_loss.v_max={ends[1]:g}: "
                "support=set takes others"
            )
        for key in ("compile", "cuda_graph"):
            if getattr(self.compute, key):
                raise RecipeError(
                    f"support=adaptive moves its bins, which compute.{key}=true takes as constant"
                )


@dataclass(frozen=True, kw_only=True)
class Exploring(Playing):
    """Agents that play with a share of random actions."""

    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)


@dataclass(frozen=True, kw_only=True)
class Replaying:
    """Agents that learn from a replay buffer."""

    n_step: int = bounded(1, at_least=1, at_most=10_000)
    """Length of the multi-step return."""
    learning_starts: int = bounded(10_000, at_least=0)
    """Steps before the first update, played with `exploration.start` where an agent has it."""
    updates_per_step: float = bounded(0.1, above=0)
    """Gradient steps per agent step."""
    replay: ReplayConfig = field(default_factory=ReplayConfig)


@dataclass(frozen=True, kw_only=True)
class Bootstrapping:
    """Agents that learn from the values of a target network."""

    double: bool = False
    """Double Q-learning: the online network picks the next action."""
    target_update_every: int = bounded(50, at_least=1)
    """Updates between copies into the target network."""
    random_shift: int = bounded(0, at_least=0, at_most=64)
    """Shifts sampled images by up to so many pixels (DrQ); 0: none."""
    reset_every: int = bounded(0, at_least=0)
    """Updates between resets of the network's last layers (SR-SPR); 0: never."""
    reset_keep: float = bounded(0.8, at_least=0, at_most=1)
    """What a reset keeps of the convolutions; the rest is a fresh initialisation."""


@dataclass(frozen=True, kw_only=True)
class ActionValues:
    """Agents whose network has a value for each action."""

    dueling: bool = False
    """Separate value and advantage streams."""
    noisy: bool = False
    """Noisy linear layers explore (Fortunato et al. 2018), beside epsilon."""
