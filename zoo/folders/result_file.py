"""result.json: what it must hold to be believed. It may come from anyone, and what it says is printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from catzoo.hparams import RecipeError, build
from catzoo.hparams.json_text import from_json
from catzoo.hparams.recipe import LONGEST_ENV
from catzoo.hparams.schema import convert
from catzoo.zoo.system.csv_rows import LARGEST_RETURN

WHERE = "result.json"
"""In messages."""
LARGEST = 1 << 26
"""Bytes that are read."""
COUNT = {"at_least": 0}
TEXT = {"longest": 1_000}
NUMBER = {"at_least": -LARGEST_RETURN, "at_most": LARGEST_RETURN}


@dataclass(frozen=True, kw_only=True)
class Score:
    """What is said of the returns of some episodes: of all, or of those of one game of several."""

    mean_return: float = field(metadata=NUMBER)
    interval_95: list[float] = field(metadata=NUMBER)
    episodes: int = field(metadata=COUNT)
    std_return: float | None = field(default=None, metadata=NUMBER)

    def __post_init__(self) -> None:
        """What types do not say."""
        if len(self.interval_95) != 2:
            raise RecipeError("interval_95 must be two numbers")


@dataclass(frozen=True, kw_only=True)
class Result(Score):
    """What every result has, and the kinds of what it may have; it may have more."""

    agent: str = field(metadata=TEXT)
    env: str = field(metadata={"longest": LONGEST_ENV})
    loss: str = field(metadata=TEXT)
    seed: int = field(metadata=COUNT)
    steps: int = field(metadata=COUNT)
    protocol: dict[str, Any]
    games: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of several games each one's `Score`."""
    median_return: float | None = field(default=None, metadata=NUMBER)
    returns: list[float] = field(default_factory=list, metadata=NUMBER | {"longest": 10**6})
    cut: int = field(default=0, metadata=COUNT)
    """Episodes that a limit of the evaluation cut."""
    spent: bool = False
    """Whether `eval.share` ended it, so that there may be fewer episodes than the recipe has."""
    metrics: dict[str, float] = field(default_factory=dict, metadata=NUMBER)
    """Of the agent's world, such as a share of games won."""
    train_return: float | None = field(default=None, metadata=NUMBER)
    advice: str | None = field(default=None, metadata=TEXT)
    compute: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict, metadata=TEXT)
    cpu: str = field(default="", metadata=TEXT)
    date: str = field(default="", metadata=TEXT)
    policy: str = field(default="greedy", metadata=TEXT)
    run_dir: str = field(default="", metadata=TEXT)

    def __post_init__(self) -> None:
        """What types do not say."""
        super().__post_init__()
        convert(self.protocol.get("name"), str, TEXT, "protocol.name", WHERE)
        convert(self.protocol.get("settings", {}), dict[str, Any], {}, "protocol.settings", WHERE)
        for game, own in self.games.items():
            convert(game, str, TEXT, "games", WHERE)
            _known(Score, own)


def read_result(path: Path) -> dict[str, Any]:
    """The content of a result.json.

    Raises:
        RecipeError: it is not one.
    """
    try:
        if not path.is_file():  # a pipe would wait for ever
            raise ValueError
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError
        return checked(from_json(content))
    except (OSError, ValueError):
        raise RecipeError(f"{path}: corrupt; delete it to evaluate again") from None


def checked(content: Any) -> dict[str, Any]:
    """A result from JSON, with the keys of later versions as they are.

    Raises:
        RecipeError: something is missing, or of another kind.
    """
    if not isinstance(content, dict):
        raise RecipeError(f"not a mapping ({WHERE})")
    return content | _known(Result, content)


def _known(schema: type[Score], content: dict[str, Any]) -> dict[str, Any]:
    """What `schema` says of a mapping's content, checked."""
    said = {item.name: content[item.name] for item in fields(schema) if item.name in content}
    made = vars(build(schema, said, where=WHERE))
    known = {name: made[name] for name in said}
    if known != said:  # YAML's numbers may be texts, these not
        raise RecipeError(f"a number is written as text ({WHERE})")
    return known


def known_keys(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result with those keys alone that Catzoo writes, also in its protocol and its games."""
    known = {item.name: result[item.name] for item in fields(Result) if item.name in result}
    ours = ("name", "env", "settings", "frames_per_step")
    known["protocol"] = {name: known["protocol"][name] for name in ours if name in known["protocol"]}
    if "games" in known:
        names = [item.name for item in fields(Score)]
        known["games"] = {
            game: {name: own[name] for name in names if name in own} for game, own in known["games"].items()
        }
    return known


def protocol_in_words(result: Mapping[str, Any]) -> str:
    """The protocol of a result: `atari-sticky (frameskip=4, noop_max=0)`."""
    protocol = result["protocol"]
    settings = ", ".join(f"{key}={value}" for key, value in protocol.get("settings", {}).items())
    return f"{protocol['name']} ({settings})" if settings else protocol["name"]
