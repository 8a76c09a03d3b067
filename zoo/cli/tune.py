"""`catzoo tune`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import add_cluster, natural, path, positive
from catzoo.zoo.tuning.spaces import DEFAULT_SPACE, spaces

EXAMPLES = """\
  catzoo tune dqn --env CartPole-v1 --loss hl_gauss --trials 20 --seeds 3 --workers 2
  catzoo tune dqn --env CartPole-v1 --space bins --objective auc --pruner median
  catzoo tune pqn --env minatar-5 --steps 100k --aggregate iqm --space my_space.yaml
on several machines at once:
  catzoo tune dqn --env ALE/Pong-v5 --storage postgresql+psycopg://me@host/studies
on a Ray cluster, with one command:
  catzoo tune dqn --env ALE/Pong-v5 --cluster 10.0.0.1:6379 compute.gpus=0.25
the same command goes on with the study; then:
  catzoo train --from studies/dqn-CartPole-v1-hl_gauss/best.yaml --seed 7
  catzoo train --from studies/dqn-CartPole-v1-hl_gauss:0        trial 0: the recipe as it is
a space is a YAML file of the recipe's keys:
  optimizer.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
  value_loss.num_bins: {choices: [21, 51, 101]}
  value_loss.sigma: {low: 0.004, high: 0.1, log: true, of: support}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("agent", metavar="AGENT", help="an agent of the zoo, see catzoo list")
    parser.add_argument(
        "--env", metavar="ID", required=True, help="an id, a list, a set such as minatar-5, a pattern"
    )
    parser.add_argument("--loss", metavar="NAME", help="value loss; default: the recipe's")
    parser.add_argument("--preset", metavar="NAME", help="one of the recipe's presets, such as atari-100k")
    parser.add_argument("--steps", metavar="N", type=positive, help="agent steps of each run")
    parser.add_argument(
        "--trials",
        metavar="N",
        type=positive,
        default=20,
        help="of the study in all; default 20",
    )
    parser.add_argument("--seeds", metavar="N", type=positive, default=3, help="runs of a trial; default 3")
    parser.add_argument("--seed", metavar="N", type=natural, default=0, help="the first of them; default 0")
    parser.add_argument(
        "--workers", metavar="N", type=positive, help="trials at a time; default 1, on a cluster its room"
    )
    add_cluster(parser, "runs")
    parser.add_argument(
        "--space", metavar="NAME|FILE", help=f"{', '.join(spaces())}, or a YAML file; default {DEFAULT_SPACE}"
    )
    parser.add_argument("--sampler", metavar="NAME", default="tpe", help="tpe (default), random, grid, cmaes")
    parser.add_argument(
        "--pruner",
        metavar="NAME",
        default="wilcoxon",
        help="wilcoxon (default: over seeds), median or hyperband (within runs), none",
    )
    parser.add_argument(
        "--objective",
        metavar="NAME",
        default="final",
        help="final (default: greedy return after training), best (of all evaluations), auc (of training)",
    )
    parser.add_argument(
        "--aggregate", metavar="NAME", default="mean", help="mean (default) or iqm, over runs"
    )
    parser.add_argument(
        "--confirm",
        metavar="N",
        type=natural,
        default=5,
        help="then the best trial and the default are trained on so many fresh seeds; default 5",
    )
    parser.add_argument(
        "--storage", metavar="FILE|URL", help="default: a journal in the study's folder; or an Optuna storage"
    )
    parser.add_argument(
        "--study-dir",
        metavar="DIR",
        type=path,
        help="default studies/AGENT-ENV-LOSS; its name is the study's",
    )
    parser.add_argument("--out", metavar="FILE", type=path, help="where best.yaml goes as well")
    parser.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        help="over the recipe, for every trial; what the space varies, for trial 0",
    )


def run(arguments: argparse.Namespace) -> None:
    """`catzoo tune`."""
    from catzoo.zoo.system.console import waiting

    with waiting("loading"):
        from catzoo.zoo.tuning.tune import tune

    tune(**vars(arguments))
