"""Hyper-parameters as data: the recipe, its checks, and how one is resolved for a run."""

from catzoo.hparams.recipe import (
    LOSS_KEYS,
    ComputeConfig,
    EvalConfig,
    ExplorationConfig,
    NetworkConfig,
    OptimizerConfig,
    Recipe,
    ReplayConfig,
    ValueLossConfig,
)
from catzoo.hparams.resolve import loss_name, merge, parse_override, read_yaml, resolve
from catzoo.hparams.schema import NoRoomError, RecipeError, build, keys_of, nearest

__all__ = [
    "LOSS_KEYS",
    "ComputeConfig",
    "EvalConfig",
    "ExplorationConfig",
    "NetworkConfig",
    "NoRoomError",
    "OptimizerConfig",
    "Recipe",
    "RecipeError",
    "ReplayConfig",
    "ValueLossConfig",
    "build",
    "keys_of",
    "loss_name",
    "merge",
    "nearest",
    "parse_override",
    "read_yaml",
    "resolve",
]
