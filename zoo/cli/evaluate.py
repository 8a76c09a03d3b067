"""`catzoo eval`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import natural, path, positive

EXAMPLES = """\
  catzoo eval runs/dqn-CartPole-v1-hl_gauss-s0 --episodes 500 --seed 7
  catzoo eval dqn-CartPole-v1-hl_gauss          one of the zoo's own, see catzoo list
  catzoo eval chess-chess-random-hl_gauss --env chess/stockfish-0     another opponent
"""
RUN = "a run's folder, or the name of one of the zoo's trained agents (catzoo list)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("run", metavar="RUN", type=path, help=RUN)
    parser.add_argument(
        "--env", metavar="ID", help="another environment with the same observations and actions"
    )
    parser.add_argument("--episodes", metavar="N", type=positive, help="default: the recipe's eval.episodes")
    parser.add_argument("--seed", metavar="N", type=natural, help="of the environments; default: the run's")
    add_best_and_trust(parser)


def add_best_and_trust(parser: argparse.ArgumentParser) -> None:
    """Which of a run's weights, and whether its code may be imported; `catzoo watch` takes both as well."""
    parser.add_argument(
        "--best",
        action="store_true",
        help="the weights with the best mean return over 100 training episodes, instead of the last ones",
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import the package that the run's environment names, as in my_package:MyEnv-v0",
    )


def run(arguments: argparse.Namespace) -> None:
    """`catzoo eval`."""
    from catzoo.zoo.catalogue.pretrained import find_run
    from catzoo.zoo.folders.run_folder import Run
    from catzoo.zoo.reporting.result_table import print_result
    from catzoo.zoo.system.console import counting, waiting

    with waiting("loading"):
        from catzoo.zoo.training.evaluate import evaluate

    episodes = arguments.episodes or Run(find_run(arguments.run)).recipe().eval.episodes
    with counting("evaluating", episodes) as progress:
        result = evaluate(**vars(arguments), progress=progress)
    print_result(result)
