"""The `catzoo` command: a thin shell over the functions of the same names.

Heavy imports happen inside the command that needs them, so that `--help`, `list`, `show` and `scores` answer
at once. A mistake is one line on standard error and exit status 2.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence

from catzoo.hparams import RecipeError
from catzoo.zoo.arguments import make_parser
from catzoo.zoo.games import is_list


def run_list(arguments: argparse.Namespace) -> None:
    """`catzoo list`."""
    from catzoo.zoo.listing import list_agents, list_studies

    if arguments.studies:
        list_studies()
    else:
        list_agents()


def run_show(arguments: argparse.Namespace) -> None:
    """`catzoo show`."""
    from catzoo.zoo.listing import show

    show(arguments.agent, env=arguments.env, loss=arguments.loss, preset=arguments.preset)


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
        from catzoo.zoo.many import train_many

        seeds, workers = arguments.seeds or 1, arguments.workers or 1
        outcomes = train_many(
            arguments.agent, arguments.env, losses=arguments.loss, seeds=seeds, workers=workers, **common
        )
        return int(any("error" in outcome for outcome in outcomes))
    from catzoo.zoo.result_table import print_result
    from catzoo.zoo.training import train

    print_result(train(arguments.agent, arguments.env, loss=arguments.loss, **common))
    return 0


def run_tune(arguments: argparse.Namespace) -> None:
    """`catzoo tune`."""
    from catzoo.zoo.tuning.tune import tune

    settings = {key: value for key, value in vars(arguments).items() if key != "command"}
    tune(settings.pop("agent"), settings.pop("env"), **settings)


def run_scores(arguments: argparse.Namespace) -> None:
    """`catzoo scores`."""
    from catzoo.zoo.gathering import print_scores

    print_scores(arguments.runs, out=arguments.out, curves=arguments.curves)


def run_report(arguments: argparse.Namespace) -> None:
    """`catzoo report`."""
    from catzoo.zoo.reporting.report import print_report, report

    print_report(report(arguments.runs, arguments.out))


def run_eval(arguments: argparse.Namespace) -> None:
    """`catzoo eval`."""
    from catzoo.zoo.console import counting
    from catzoo.zoo.evaluation import evaluate
    from catzoo.zoo.pretrained import find_run
    from catzoo.zoo.result_table import print_result
    from catzoo.zoo.runs import Run

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


def run_watch(arguments: argparse.Namespace) -> None:
    """`catzoo watch`."""
    # Nothing opens a window here; without a desktop pygame would complain that it cannot.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    from catzoo.zoo.console import console, counting
    from catzoo.zoo.watching import watch

    with counting("filming", arguments.max_steps) as progress:
        film = watch(
            arguments.run,
            arguments.out,
            seed=arguments.seed,
            max_steps=arguments.max_steps,
            progress=progress,
            best=arguments.best,
            trust=arguments.trust,
        )
    console.print(f"{film['out']}: {film['steps']} steps, return {film['return']:g}")


def run_reproduce(arguments: argparse.Namespace) -> int:
    """`catzoo reproduce`."""
    from catzoo.zoo.studies.reproduce import reproduce

    settings = {key: value for key, value in vars(arguments).items() if key != "command"}
    return int(bool(reproduce(settings.pop("study"), **settings)["failed"]))


def run_bench_training(arguments: argparse.Namespace) -> None:
    """`catzoo bench training`."""
    from catzoo.zoo.bench.training import bench_training, print_table

    rows = bench_training(
        arguments.env,
        steps=arguments.steps,
        seeds=arguments.seeds,
        peers=arguments.peers,
        out=arguments.out,
        parts=arguments.parts,
        episodes=arguments.episodes,
        cores=arguments.cores,
    )
    print_table(rows)


def run_bench_replay(arguments: argparse.Namespace) -> None:
    """`catzoo bench replay`."""
    from catzoo.zoo.bench.replay import bench_replay
    from catzoo.zoo.console import say

    command = shlex.join(["catzoo", *sys.argv[1:]])
    bench_replay(arguments.out, parts=arguments.parts, command=command, progress=say)


def run_bench_checkpoint(arguments: argparse.Namespace) -> None:
    """`catzoo bench checkpoint`."""
    from catzoo.zoo.bench.checkpoint import bench_checkpoint

    settings = {key: value for key, value in vars(arguments).items() if key not in ("command", "kind")}
    bench_checkpoint(command=shlex.join(["catzoo", *sys.argv[1:]]), **settings)


def run_bench_soak(arguments: argparse.Namespace) -> None:
    """`catzoo bench soak`."""
    from catzoo.zoo.bench.soak import bench_soak

    settings = {key: value for key, value in vars(arguments).items() if key not in ("command", "kind")}
    bench_soak(command=shlex.join(["catzoo", *sys.argv[1:]]), **settings)


def run_bench_kernels(arguments: argparse.Namespace) -> None:
    """`catzoo bench kernels`."""
    from catzoo.kernels.bench import BenchError, table
    from catzoo.zoo.bench.kernels import bench_kernels
    from catzoo.zoo.console import say

    settings = {key: value for key, value in vars(arguments).items() if key not in ("command", "kind")}
    try:
        rows = bench_kernels(command=shlex.join(["catzoo", *sys.argv[1:]]), progress=say, **settings)
    except BenchError as error:
        raise RecipeError(str(error)) from None
    say("\n" + table(rows))


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "list": run_list,
    "show": run_show,
    "train": run_train,
    "tune": run_tune,
    "scores": run_scores,
    "report": run_report,
    "eval": run_eval,
    "watch": run_watch,
    "reproduce": run_reproduce,
    "bench training": run_bench_training,
    "bench kernels": run_bench_kernels,
    "bench replay": run_bench_replay,
    "bench checkpoint": run_bench_checkpoint,
    "bench soak": run_bench_soak,
}
"""What each command runs; the words are in `arguments`."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments of a command line; a mistake ends the process with status 2."""
    parser = make_parser()
    arguments, rest = parser.parse_known_args(argv)
    # argparse gives up on `key=value` words that stand between options; they are overrides all the same.
    takes_overrides = arguments.command in ("train", "tune", "reproduce")
    stray = [word for word in rest if word.startswith("-") or not takes_overrides]
    if stray:
        parser.error(f"unrecognized arguments: {stray[0]}")
    if takes_overrides:
        arguments.overrides = [*arguments.overrides, *rest]
    if arguments.command == "train":
        _sort_train(parser, arguments)
    return arguments


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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    arguments = parse(argv)
    name = " ".join(filter(None, (arguments.command, getattr(arguments, "kind", None))))
    return exit_status(lambda: COMMANDS[name](arguments), arguments.command)


def exit_status(action: Callable[[], int | None], command: str) -> int:
    """Does something, and says in one line what went wrong; returns the exit status of `command`."""
    try:
        return action() or 0
    except RecipeError as error:
        print(f"catzoo: error: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"catzoo: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        step = getattr(stop, "step", None)
        where = "" if step is None else f" at step {step:,}, which is saved"
        goes_on = "; the same command goes on" if command in ("train", "tune", "reproduce") else ""
        print(f"catzoo: stopped{where}{goes_on}", file=sys.stderr)
        return 128 + getattr(stop, "signum", signal.SIGINT)
    except BrokenPipeError:
        if command not in ("list", "show", "scores", "report"):
            raise
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
