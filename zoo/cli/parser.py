"""The words of the `catzoo` command: its parser, built without anything heavy."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line that offer the nearest choice."""

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
            options = [name for action in self._all_actions() for name in action.option_strings]
            near = difflib.get_close_matches(unknown[1], options, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; see {self.prog} --help"
            message = f"unknown option {unknown[1]}{hint}"
        self.exit(2, f"catzoo: error: {message}\n")

    def _all_actions(self) -> list[argparse.Action]:
        actions = list(self._actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    actions += parser._all_actions() if isinstance(parser, Parser) else parser._actions
        return actions


def whole(text: str) -> int:
    """A whole number, also as 200_000, 2e5 or 200k."""
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
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


def _add(commands: Any, name: str, help: str, examples: str = "") -> Parser:
    return commands.add_parser(  # type: ignore[no-any-return]
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
