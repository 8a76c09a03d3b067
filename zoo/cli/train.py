"""`catzoo train`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from catzoo.hparams import VALUE_LOSSES
from catzoo.zoo.cli.parser import _add, positive, whole
from catzoo.zoo.environments.names import SETS, is_list


def run_train(arguments: argparse.Namespace) -> int:
    """`catzoo train`: one run in this process, or many in others."""
    common = {
        "source": arguments.source,
        "preset": arguments.preset,
        "steps": arguments.steps,
        "seed": arguments.seed,
        "run_dir": arguments.run_dir,
        "overrides": arguments.overrides,
        "wandb": arguments.wandb,
    }
    many = arguments.seeds is not None or arguments.workers is not None
    if many or is_list(arguments.env or "") or "," in (arguments.loss or ""):
        from catzoo.zoo.launch.train_many import train_many

        seeds, workers = arguments.seeds or 1, arguments.workers or 1
        outcomes = train_many(
            arguments.agent, arguments.env, losses=arguments.loss, seeds=seeds, workers=workers, **common
        )
        return int(any("error" in outcome for outcome in outcomes))
    from catzoo.zoo.reporting.result_table import print_result
    from catzoo.zoo.training.train import train

    print_result(train(arguments.agent, arguments.env, loss=arguments.loss, **common))
    return 0


def _sort_train(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """With --from there need be no agent, so that its place may have been taken by an override."""
    if "=" in (arguments.agent or ""):
        arguments.overrides = [arguments.agent, *arguments.overrides]
        arguments.agent = None
    if arguments.source is None:
        missing = [
            name for name, value in (("AGENT", arguments.agent), ("--env", arguments.env)) if not value
        ]
        if missing:
            parser.error(f"the following arguments are required: {', '.join(missing)} (or --from)")


def _add_train(commands: Any) -> None:
    train = _add(
        commands,
        "train",
        "train an agent, on one game or many; the same command goes on where it stopped",
        "  catzoo train dqn --env CartPole-v1 --loss hl_gauss\n"
        "  catzoo train dqn --env ALE/Pong-v5 --steps 2M compute.precision=bf16\n"
        "  catzoo train dqn --env my_package:MyEnv-v0 value_loss.v_min=-1 value_loss.v_max=1\n"
        "what a study found, or any of its trials, see catzoo tune:\n"
        "  catzoo train --from studies/dqn-CartPole-v1-hl_gauss/best.yaml --seed 7\n"
        "many runs, each in a folder of its own; finished ones are skipped:\n"
        '  catzoo train dqn --env "ALE/*" --seeds 3 --workers 4\n'
        "  catzoo train dqn --env atari-5 --loss hl_gauss,mse --seeds 3 --workers 2 --steps 100k\n"
        "  catzoo train dqn --env CartPole-v1,Acrobot-v1 --run-dir runs/classic\n"
        f"sets: {', '.join(SETS)}\n",
    )
    train.add_argument("agent", metavar="AGENT", nargs="?", help="an agent of the zoo, see catzoo list")
    train.add_argument(
        "--env",
        metavar="ID",
        help="any Gymnasium id, or my_package:MyEnv-v0; or a comma-separated list of ids, sets such as "
        'atari-5, and patterns such as "ALE/*"',
    )
    train.add_argument(
        "--from",
        dest="source",
        metavar="FILE|STUDY:N",
        help="instead of AGENT and --env: a study's best.yaml, one of its trials, a recipe.yaml or a run",
    )
    train.add_argument(
        "--loss",
        metavar="NAME",
        help=f"{', '.join(VALUE_LOSSES)}; several: hl_gauss,mse; default: the recipe's",
    )
    train.add_argument("--preset", metavar="NAME", help="one of the recipe's presets, such as atari-100k")
    train.add_argument("--steps", metavar="N", type=whole, help="agent steps of a run (20000, 2e4, 20k)")
    train.add_argument("--seed", metavar="N", type=whole, help="seeds everything; default 0")
    train.add_argument(
        "--seeds", metavar="N", type=positive, help="how many seeds, from --seed on; default 1"
    )
    train.add_argument(
        "--workers",
        metavar="N",
        type=positive,
        help="runs at a time, each in a process with its share of the cores; default 1",
    )
    train.add_argument(
        "--run-dir",
        metavar="DIR",
        type=Path,
        help="default runs/AGENT-ENV[-PRESET]-LOSS-sSEED; of several runs the folder they are in: runs",
    )
    train.add_argument("--wandb", metavar="PROJECT", help="log to this Weights & Biases project as well")
    train.add_argument(
        "overrides", metavar="key=value", nargs="*", default=(), help="any key of catzoo show AGENT"
    )
