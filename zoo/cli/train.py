"""`catzoo train`."""

from __future__ import annotations

import argparse

from catzoo.hparams import VALUE_LOSSES, RecipeError
from catzoo.zoo.cli.parser import add_cluster, path, positive, whole
from catzoo.zoo.environments.names import SETS, distinct_games, in_one_run, is_list

EXAMPLES = f"""\
  catzoo train dqn --env CartPole-v1 --loss hl_gauss
  catzoo train dqn --env ALE/Pong-v5 --steps 2M compute.precision=bf16
  catzoo train dqn --env my_package:MyEnv-v0 value_loss.v_min=-1 value_loss.v_max=1
what a study found, or any of its trials, see catzoo tune:
  catzoo train --from studies/dqn-CartPole-v1-hl_gauss/best.yaml --seed 7
many runs, each in a folder of its own; finished ones are skipped:
  catzoo train dqn --env "ALE/*" --seeds 3 --workers 4
  catzoo train dqn --env atari-5 --loss hl_gauss,mse --seeds 3 --workers 2 --steps 100k
  catzoo train dqn --env CartPole-v1,Acrobot-v1 --run-dir runs/classic
the same on a Ray cluster, four runs to a GPU:
  catzoo train dqn --env "ALE/*" --seeds 3 --cluster 10.0.0.1:6379 compute.gpus=0.25
sets: {", ".join(SETS)}
"""


SPREAD = ("workers", "cluster", "bring_back")
"""Words that make it a command of many runs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("agent", metavar="AGENT", nargs="?", help="an agent of the zoo, see catzoo list")
    parser.add_argument(
        "--env",
        metavar="ID",
        help="any Gymnasium id, or my_package:MyEnv-v0; or a comma-separated list of ids, sets such as "
        'atari-5, and patterns such as "ALE/*"; with + between ids or before a set (+minatar-5) one network '
        "plays all in one run",
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE|STUDY:N",
        help="instead of AGENT and --env: a study's best.yaml, one of its trials, a run, or a recipe file",
    )
    parser.add_argument(
        "--loss",
        metavar="NAME",
        help=f"{', '.join(VALUE_LOSSES)}; several: hl_gauss,mse; default: the recipe's",
    )
    parser.add_argument("--preset", metavar="NAME", help="one of the recipe's presets, such as atari-100k")
    parser.add_argument("--steps", metavar="N", type=whole, help="agent steps of a run (20000, 2e4, 20k)")
    parser.add_argument("--seed", metavar="N", type=whole, help="seeds everything; default 0")
    parser.add_argument(
        "--seeds", metavar="N", type=positive, help="how many seeds, from --seed on; default 1"
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=positive,
        help="runs at a time, each in a process with its share of the cores; default 1, on a cluster all",
    )
    add_cluster(parser, "runs")
    parser.add_argument(
        "--run-dir",
        metavar="DIR",
        type=path,
        help="default runs/AGENT-ENV[-PRESET]-LOSS-sSEED; of several runs the folder they are in: runs",
    )
    parser.add_argument("--wandb", metavar="PROJECT", help="log to this Weights & Biases project as well")
    parser.add_argument(
        "overrides", metavar="key=value", nargs="*", default=(), help="any key of catzoo show AGENT"
    )


def run(arguments: argparse.Namespace) -> int:
    """`catzoo train`: one run in this process, or many in others."""
    from catzoo.zoo.system.console import waiting

    _settle_agent(arguments)
    settings = vars(arguments)
    seeds, spread = settings.pop("seeds"), {key: settings.pop(key) for key in SPREAD}
    if seeds or any(spread.values()) or is_list(arguments.env or "") or "," in (arguments.loss or ""):
        with waiting("loading"):
            from catzoo.zoo.launch.train_many import train_many

        envs, losses = settings.pop("env"), settings.pop("loss")
        outcomes = train_many(envs=envs, losses=losses, seeds=seeds or 1, **spread, **settings)
        return int(any("error" in outcome for outcome in outcomes))
    _check_env(arguments.env)
    with waiting("loading"):
        from catzoo.zoo.reporting.result_table import print_result
        from catzoo.zoo.training.train import train

    print_result(train(**settings))
    return 0


def _check_env(env: str | None) -> None:
    """Says that there is no such environment before torch is imported, which takes seconds."""
    from catzoo.zoo.environments.registry import find_spec

    for game in distinct_games(in_one_run(env)) if env else ():
        if ":" not in game:  # a package of one's own may import torch itself
            find_spec(game)


def _settle_agent(arguments: argparse.Namespace) -> None:
    """With --from there need be no agent, so that its place may have been taken by an override."""
    if "=" in (arguments.agent or ""):
        arguments.overrides = [arguments.agent, *arguments.overrides]
        arguments.agent = None
    if arguments.source is None:
        needed = {"AGENT": arguments.agent, "--env": arguments.env}
        if missing := ", ".join(name for name, value in needed.items() if not value):
            raise RecipeError(f"the following arguments are required: {missing} (or --from)")
