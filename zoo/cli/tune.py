"""The words of `catzoo tune`. Imports nothing heavy: the parser is built for every command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLES = """\
  catzoo tune dqn --env CartPole-v1 --loss hl_gauss --trials 20 --seeds 3 --workers 2
  catzoo tune dqn --env CartPole-v1 --space bins --objective auc --pruner median
  catzoo tune pqn --env minatar-5 --steps 100k --aggregate iqm --space my_space.yaml
on several machines at once:
  catzoo tune dqn --env ALE/Pong-v5 --storage postgresql+psycopg://me@host/studies
the same command goes on with the study; then:
  catzoo train --from studies/dqn-CartPole-v1-hl_gauss/best.yaml --seed 7
  catzoo train --from studies/dqn-CartPole-v1-hl_gauss:0        trial 0: the recipe as it is
a space is a YAML file of the recipe's keys:
  optimizer.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
  value_loss.num_bins: {choices: [21, 51, 101]}
  value_loss.sigma: {low: 0.004, high: 0.1, log: true, of: support}
"""


def add_tune_arguments(tune: Any, natural: Callable[[str], int], positive: Callable[[str], int]) -> None:
    """The arguments of `catzoo tune`."""
    tune.add_argument("agent", metavar="AGENT", help="an agent of the zoo, see catzoo list")
    tune.add_argument(
        "--env", metavar="ID", required=True, help="an id, a list, a set such as minatar-5, a pattern"
    )
    tune.add_argument("--loss", metavar="NAME", help="value loss; default: the recipe's")
    tune.add_argument("--preset", metavar="NAME", help="one of the recipe's presets, such as atari-100k")
    tune.add_argument("--steps", metavar="N", type=positive, help="agent steps of each run")
    tune.add_argument("--trials", metavar="N", type=positive, default=20, help="in the end; default 20")
    tune.add_argument("--seeds", metavar="N", type=positive, default=3, help="runs of a trial; default 3")
    tune.add_argument("--seed", metavar="N", type=natural, default=0, help="the first of them; default 0")
    tune.add_argument("--workers", metavar="N", type=positive, default=1, help="trials at a time; default 1")
    tune.add_argument(
        "--space", metavar="NAME|FILE", help="fair (default), bins, grid, support, wide, or a YAML file"
    )
    tune.add_argument("--sampler", metavar="NAME", default="tpe", help="tpe (default), random, grid, cmaes")
    tune.add_argument(
        "--pruner",
        metavar="NAME",
        default="wilcoxon",
        help="wilcoxon (default: over seeds), median or hyperband (within runs), none",
    )
    tune.add_argument(
        "--objective",
        metavar="NAME",
        default="final",
        help="final (default: greedy return after training), best (of all evaluations), auc (of training)",
    )
    tune.add_argument("--aggregate", metavar="NAME", default="mean", help="mean (default) or iqm, over runs")
    tune.add_argument(
        "--confirm",
        metavar="N",
        type=natural,
        default=5,
        help="fresh seeds that the best trial and the default are trained on in the end; default 5",
    )
    tune.add_argument(
        "--storage", metavar="FILE|URL", help="default: a journal in the study's folder; or an Optuna storage"
    )
    tune.add_argument(
        "--study-dir",
        metavar="DIR",
        type=Path,
        help="default studies/AGENT-ENV-LOSS; its name is the study's",
    )
    tune.add_argument("--out", metavar="FILE", type=Path, help="where best.yaml goes as well")
    tune.add_argument("overrides", metavar="key=value", nargs="*", help="over the recipe, for every trial")


def run_tune(arguments: argparse.Namespace) -> None:
    """`catzoo tune`."""
    from catzoo.zoo.tuning.tune import tune

    settings = {key: value for key, value in vars(arguments).items() if key != "command"}
    tune(settings.pop("agent"), settings.pop("env"), **settings)
