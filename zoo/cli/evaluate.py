"""`catzoo eval`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from catzoo.zoo.cli.parser import _add, natural, positive


def run_eval(arguments: argparse.Namespace) -> None:
    """`catzoo eval`."""
    from catzoo.zoo.catalogue.pretrained import find_run
    from catzoo.zoo.folders.run_folder import Run
    from catzoo.zoo.reporting.result_table import print_result
    from catzoo.zoo.system.console import counting
    from catzoo.zoo.training.evaluate import evaluate

    episodes = arguments.episodes or Run(find_run(arguments.run)).recipe().eval.episodes
    with counting("evaluating", episodes) as progress:
        result = evaluate(
            arguments.run,
            episodes=episodes,
            seed=arguments.seed,
            progress=progress,
            best=arguments.best,
            trust=arguments.trust,
        )
    print_result(result)


RUN = "a run's folder, or the name of one of the zoo's trained agents (catzoo list)"


def _add_eval_and_watch(commands: Any) -> None:
    evaluate = _add(
        commands,
        "eval",
        "score the greedy policy of a finished run, or of one of the zoo's trained agents",
        "  catzoo eval runs/dqn-CartPole-v1-hl_gauss-s0 --episodes 500 --seed 7\n"
        "  catzoo eval dqn-CartPole-v1-hl_gauss          one of the zoo's own, see catzoo list\n",
    )
    evaluate.add_argument("run", metavar="RUN", type=Path, help=RUN)
    evaluate.add_argument(
        "--episodes", metavar="N", type=positive, help="default: the recipe's eval.episodes"
    )
    evaluate.add_argument("--seed", metavar="N", type=natural, help="of the environments; default: the run's")
    watch = _add(
        commands,
        "watch",
        "film the greedy policy, with the value distribution of its action beside the frame",
        "  catzoo watch runs/dqn-CartPole-v1-hl_gauss-s0 --out cartpole.mp4\n"
        "  catzoo watch runs/dqn-ALE-Pong-v5-hl_gauss-s0 --out pong.gif --max-steps 400\n",
    )
    watch.add_argument("run", metavar="RUN", type=Path, help=RUN)
    watch.add_argument("--out", metavar="FILE", type=Path, required=True, help="an .mp4 or .gif file")
    watch.add_argument("--seed", metavar="N", type=natural, default=0, help="of the episode; default 0")
    watch.add_argument("--max-steps", metavar="N", type=positive, default=3_000, help="default 3000")
    for command in (evaluate, watch):
        command.add_argument(
            "--best",
            action="store_true",
            help="the weights with the best mean return over 100 training episodes, instead of the last ones",
        )
        command.add_argument(
            "--trust",
            action="store_true",
            help="import the package that the run's environment names, as in my_package:MyEnv-v0",
        )
