"""`catzoo export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from catzoo.zoo.cli.evaluate import RUN, add_best_and_trust
from catzoo.zoo.cli.parser import path

EXAMPLES = """\
  catzoo export dqn-CartPole-v1-hl_gauss --onnx          a trained agent, for ONNX Runtime
  catzoo export runs/sac-Pendulum-v1-hl_gauss-s0 --torch-export --out pendulum.pt2
  catzoo export losses hl_gauss > hl_gauss.py            a loss, which needs nothing but torch
  catzoo export losses hl_gauss c51 --out my_losses.py
"""
USAGE = """\
catzoo export RUN (--onnx | --torch-export) [--out FILE] [--best] [--trust]
       catzoo export losses NAME [NAME ...] [--out FILE]"""
LOSSES = "losses"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.usage = USAGE
    parser.add_argument("what", metavar="RUN", type=_what, help=f"{RUN}; or the word losses")
    parser.add_argument("names", metavar="NAME", nargs="*", help="of losses, see catzoo list")
    form = parser.add_mutually_exclusive_group()
    for word, help in (
        ("onnx", "the greedy policy as an .onnx file (extra onnx)"),
        ("torch-export", "the same as a .pt2 file, for torch.export.load"),
    ):
        form.add_argument(f"--{word}", dest="form", action="store_const", const=word, help=help)
    parser.add_argument(
        "--out", metavar="FILE", type=path, help="default: the run's name; of losses standard output"
    )
    add_best_and_trust(parser)


def _what(text: str) -> str | Path:
    return text if text == LOSSES else path(text)


def run(arguments: argparse.Namespace) -> None:
    """`catzoo export`: pieces of the zoo for other programs."""
    from catzoo.hparams import RecipeError

    options = vars(arguments)
    what, names = options.pop("what"), options.pop("names")
    if what == LOSSES:
        if not names:
            raise RecipeError("losses: which? Name some, as in catzoo export losses hl_gauss")
        if options["form"] or options["best"] or options["trust"]:
            raise RecipeError("losses: of these options a loss takes --out alone")
        _export_losses(names, options["out"])
        return
    if names:
        raise RecipeError(f"{names[0]}: one RUN at a time, after {what}")
    if options["form"] is None:
        raise RecipeError(f"{what}: as what? Add --onnx or --torch-export")
    _export_policy(what, options)


def _export_losses(names: list[str], out: Path | None) -> None:
    from catzoo.hparams.schema import check_name
    from catzoo.losses.single_file import SINGLE, source_of
    from catzoo.zoo.system.atomic_files import write_atomically, writing

    for name in names:
        check_name("value loss", name, SINGLE)
    text = source_of(list(dict.fromkeys(names)))
    if out is None:
        print(text, end="")
        return
    with writing(out):
        write_atomically(out, text)


def _export_policy(what: str | Path, options: dict[str, object]) -> None:
    from catzoo.zoo.system.console import say, waiting

    with waiting("exporting"):
        from catzoo.zoo.training.export import export

        done = export(what, **options)
    count, apart = done["observations"], done["actions_apart"]
    actions = (
        f"{done['same_actions']} of {count} actions the same"
        if apart is None
        else f"actions within {apart:.1g}"
    )
    say(
        f"{done['out']}: observation {done['input']} to {', '.join(done['outputs'])}; beside the agent on "
        f"{count} observations: {actions}, values within {done['values_apart']:.1g}"
    )
