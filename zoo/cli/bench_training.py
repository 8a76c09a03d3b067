"""`catzoo bench training`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import path, positive

EXAMPLES = """\
  catzoo bench training
  catzoo bench training --env ALE/Pong-v5 --steps 4000 --out results/
  catzoo bench training --agent sac --env HalfCheetah-v5 --parts speed share
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument(
        "--agent", choices=("dqn", "sac", "td3", "ppo"), default="dqn", help="dqn, sac, td3, ppo; default dqn"
    )
    parser.add_argument(
        "--env", metavar="ID", help="default CartPole-v1 for dqn and ppo, Pendulum-v1 for sac and td3"
    )
    parser.add_argument("--steps", metavar="N", type=positive, help="agent steps of each run")
    parser.add_argument("--seeds", metavar="N", type=positive, default=5, help="runs of each side; default 5")
    parser.add_argument(
        "--parts",
        metavar="PART",
        nargs="+",
        choices=("speed", "overhead", "share", "learner", "pipeline", "waiting"),
        help="speed, overhead, share; of dqn alone learner, pipeline, waiting; default all but the last two",
    )
    parser.add_argument(
        "--peers",
        metavar="PEER",
        nargs="+",
        choices=("sb3", "sb3-vec", "torchrl", "sbx", "sbx-vec"),
        default=("sb3", "sb3-vec", "torchrl"),
        help="sb3 (one environment, as its users have), sb3-vec (as many as ours), torchrl; sbx and sbx-vec, "
        "Stable-Baselines3 in JAX; default the first three",
    )
    parser.add_argument(
        "--episodes", metavar="N", type=positive, default=30, help="greedy, after each run; default 30"
    )
    parser.add_argument("--cores", metavar="N", type=positive, default=1, help="for each side; default 1")
    parser.add_argument(
        "--out", metavar="DIR", type=path, help="where the CSV goes; an unfinished one goes on"
    )


def run(arguments: argparse.Namespace) -> None:
    """`catzoo bench training`."""
    from catzoo.zoo.bench.loops.training import bench_training, print_table

    settings = vars(arguments)
    del settings["command"]  # its rows name each side's own
    print_table(bench_training(**settings))
