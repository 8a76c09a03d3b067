"""Hyper-parameters as data: recipes, their checks, and how one is resolved for a run."""

from catzoo.hparams.agents import RECIPES, build_recipe
from catzoo.hparams.agents.chess import ChessRecipe
from catzoo.hparams.agents.cql import CQLRecipe
from catzoo.hparams.agents.dqn import DQNRecipe
from catzoo.hparams.agents.impala import IMPALARecipe
from catzoo.hparams.agents.ppo import PPORecipe
from catzoo.hparams.agents.pqn import PQNRecipe
from catzoo.hparams.agents.q_transformer import QTransformerRecipe
from catzoo.hparams.agents.sac import SACRecipe
from catzoo.hparams.agents.td3 import TD3Recipe
from catzoo.hparams.agents.wordle import WordleRecipe
from catzoo.hparams.components import (
    CollectingComputeConfig,
    ComputeConfig,
    DataPlaceConfig,
    EvalConfig,
    ExplorationConfig,
    NetworkConfig,
    OptimizerConfig,
    ReplayConfig,
    ValueLossConfig,
)
from catzoo.hparams.overrides import merge, parse_override, plain_overrides
from catzoo.hparams.recipe import ActionValues, Bootstrapping, Exploring, Playing, Recipe, Replaying
from catzoo.hparams.resolve import resolve
from catzoo.hparams.schema import LostLearnerError, NoRoomError, RecipeError, build, keys_of, nearest
from catzoo.hparams.shares import share_of
from catzoo.hparams.value_losses import VALUE_LOSSES, LossEntry, loss_name, loss_title
from catzoo.hparams.yaml_files import read_yaml

__all__ = [
    "RECIPES",
    "VALUE_LOSSES",
    "ActionValues",
    "Bootstrapping",
    "CQLRecipe",
    "ChessRecipe",
    "CollectingComputeConfig",
    "ComputeConfig",
    "DQNRecipe",
    "DataPlaceConfig",
    "EvalConfig",
    "ExplorationConfig",
    "Exploring",
    "IMPALARecipe",
    "LossEntry",
    "LostLearnerError",
    "NetworkConfig",
    "NoRoomError",
    "OptimizerConfig",
    "PPORecipe",
    "PQNRecipe",
    "Playing",
    "QTransformerRecipe",
    "Recipe",
    "RecipeError",
    "ReplayConfig",
    "Replaying",
    "SACRecipe",
    "TD3Recipe",
    "ValueLossConfig",
    "WordleRecipe",
    "build",
    "build_recipe",
    "keys_of",
    "loss_name",
    "loss_title",
    "merge",
    "nearest",
    "parse_override",
    "plain_overrides",
    "read_yaml",
    "resolve",
    "share_of",
]
