"""What the commands share: the parser, which asks only the command in use for its words, and numbers."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from catzoo.hparams import RecipeError
from catzoo.hparams.paths import path_of
from catzoo.zoo.system.streams import STDERR, STDOUT


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line that offer the nearest choice."""

    def __init__(self, **about: Any) -> None:
        """Takes argparse's own arguments."""
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **about)

    def add_commands(self, dest: str, commands: dict[str, tuple[str, str]]) -> None:
        """Lets the next word be one of `commands`, each with its module in this folder and a line of help."""
        adding = self.add_subparsers(dest=dest, metavar=dest.upper(), required=True, parser_class=Command)
        for name, (module, help) in commands.items():
            adding.add_parser(name, module=module, help=help, description=f"{help[0].upper()}{help[1:]}.")

    def _print_message(self, message: str, file: Any = None) -> None:
        """argparse's own would not write what the stream has no signs for."""
        (STDOUT if file is sys.stdout else STDERR).write(message)

    def error(self, message: str) -> NoReturn:
        """Prints the message and exits with status 2."""
        choice = re.match(r"argument (\S+): invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if choice:
            known = [name.strip("' ") for name in choice[3].split(",")]
            near = difflib.get_close_matches(choice[2], known, n=1)
            what = "command" if choice[1] in ("COMMAND", "KIND") else choice[1]
            hint = f"; did you mean {near[0]}?" if near else ""
            message = f"unknown {what} {choice[2]!r}: known are {', '.join(known)}{hint}"
        unknown = re.match(r"unrecognized arguments: (--?[\w-]+)", message)
        if unknown:
            near = difflib.get_close_matches(unknown[1], self._option_string_actions, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; see {self.prog} --help"
            message = f"unknown option {unknown[1]}{hint}"
        self.exit(2, f"catzoo: error: {message}\n")


class Command(Parser):
    """A command's parser: it is empty until the command is called, and its module imported."""

    def __init__(self, module: str, **about: Any) -> None:
        """Takes the name of the module in this folder, and argparse's own arguments."""
        super().__init__(**about)
        self.module = module

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Asks the module for the words, and parses them; what is left over is an error."""
        command = command_of(self.module)
        if examples := getattr(command, "EXAMPLES", ""):
            self.epilog = f"examples:\n{examples}"
        command.add_arguments(self)
        arguments, rest = super().parse_known_args(args, namespace)
        for many in {"overrides", "names"} & vars(arguments).keys():
            # argparse gives up on words between options, such as `key=value`; they belong to it all the same.
            # (Its parse_intermixed_args takes them, but names a missing AGENT only after a missing option.)
            words = [*getattr(arguments, many), *(word for word in rest if not word.startswith("-"))]
            setattr(arguments, many, words)
            rest = [word for word in rest if word.startswith("-")]
        if rest:
            self.error(f"unrecognized arguments: {rest[0]}")
        return arguments, rest


def command_of(module: str) -> ModuleType:
    """A module of this folder: its `add_arguments(parser)` and `run(arguments)`, and perhaps `EXAMPLES`."""
    return import_module(f"catzoo.zoo.cli.{module}")


def add_cluster(parser: argparse.ArgumentParser, what: str) -> None:
    """The words of a command that can have its work done on a cluster."""
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help=f"{what} on a Ray cluster: 10.0.0.1:6379, ray://host:10001, or auto (the one of this machine); "
        "see docs/scale.md",
    )
    parser.add_argument(
        "--bring-back",
        action="store_true",
        help="with --cluster: nodes share no folder; each works in its own, and sends it when a job ends",
    )


def path(text: str) -> Path:
    """A file or a folder, see `path_of`."""
    try:
        return path_of(text)
    except RecipeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def whole(text: str) -> int:
    """A whole number, also as 200_000, 2e5 or 200k."""
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    try:
        return int(text)  # as it is: a float has 53 bits
    except ValueError:
        pass
    try:
        value = float(text[:-1] if scale > 1 else text) * scale
        if value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number such as 20000, 20_000, 2e4 or 20k")


def natural(text: str) -> int:
    """A whole number of at least 0."""
    value = whole(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0")
    return value


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return value
