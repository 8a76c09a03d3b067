"""Hyper-parameters as data: the recipe, its checks, and how one is resolved for a run."""

from catzoo.hparams.components import (
    LOSS_KEYS,
    ComputeConfig,
    EvalConfig,
    ExplorationConfig,
    NetworkConfig,
    OptimizerConfig,
    ReplayConfig,
    ValueLossConfig,
)
from catzoo.hparams.overrides import merge, parse_override
from catzoo.hparams.recipe import Recipe
from catzoo.hparams.resolve import loss_name, resolve
from catzoo.hparams.schema import NoRoomError, RecipeError, build, keys_of, nearest
from catzoo.hparams.yaml_files import read_yaml

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
