"""`list` and `show`: the zoo on one screen. Imports no torch."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import re
from itertools import pairwise
from statistics import mean
from typing import Any

import yaml

from catzoo.hparams import VALUE_LOSSES
from catzoo.hparams.schema import types_of
from catzoo.zoo.catalogue.pretrained import pretrained
from catzoo.zoo.catalogue.recipe_files import agents, find_recipe, recipe_source
from catzoo.zoo.catalogue.score_tables import SCORES, scores
from catzoo.zoo.cli.parser import _add
from catzoo.zoo.folders.result_file import read_result
from catzoo.zoo.studies.claim_names import STUDIES
from catzoo.zoo.system.console import console, print_table


def list_agents() -> None:
    """Prints the agents, the value losses, the measured scores, and the trained agents."""
    rows = [
        (name, recipe_source(name).get("description", ""), ", ".join(recipe_source(name)["environments"]))
        for name in agents()
    ]
    print_table(
        "Agents", ("agent", "what", "recipes for"), rows, note="train one: catzoo train AGENT --env ID"
    )
    print_table(
        "Value losses", ("loss", "what"), [(name, entry.note) for name, entry in VALUE_LOSSES.items()]
    )
    print_scores()
    print_pretrained()


def list_studies() -> None:
    """Prints the studies of `catzoo reproduce`, and what the paper claims there."""
    note = "run one: catzoo reproduce STUDY [--budget small|full] [--workers N]"
    print_table("Studies", ("study", "claim"), list(STUDIES.items()), note=note)


def show(agent: str, env: str | None = None, loss: str | None = None, preset: str | None = None) -> None:
    """Prints an agent's keys with meanings, its resolved recipe for `env`, and its measured scores.

    Raises:
        RecipeError: no such agent, loss or preset.
    """
    source = recipe_source(agent)
    presets = source.get("presets", {})
    chosen = env or presets.get(preset, {}).get("for") or next(iter(source["environments"]))
    if chosen not in source["environments"]:
        from catzoo.zoo.environments.registry import find_spec

        find_spec(chosen)
    recipe = find_recipe(agent, chosen, loss, preset=preset)
    console.print(f"[bold]{agent}[/]: {source.get('description', '')}\n")
    docs = field_docs(type(recipe))
    values = recipe.to_dict()
    shown = [key for key in docs if key not in ("agent", "env", "preset")]
    rows = [(key, _value_at(values, key), docs[key]) for key in sorted(shown, key=lambda key: "." in key)]
    print_table(
        f"Recipe for {chosen}" + (f", preset {preset}" if preset else ""),
        ("key", "value", "meaning"),
        rows,
        note="set one: key=value after catzoo train",
    )
    if presets and preset is None:
        known = ", ".join(f"{name} ({about.get('for', '*')})" for name, about in presets.items())
        console.print(f"presets, by --preset: {known}\n")
    print_scores(agent)


def print_scores(agent: str | None = None) -> None:
    """Prints measured scores, aggregated over seeds."""
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in scores(agent):
        said = re.sub(r"^.* --seed \d+ ?", "", row["command"])  # what differs from the recipe
        preset = re.search(r"--preset (\S+)", row["command"])
        said = " ".join(filter(None, (preset and preset[1], said)))
        key = (row["env"], row["agent"], row["loss"], row["steps"], row["protocol"], said)
        groups.setdefault(key, []).append(row)
    if not groups:
        console.print("No scores measured yet.")
        return
    rows = []
    for (env, name, loss, steps, protocol, said), runs in sorted(groups.items()):
        values = [float(run["mean_return"]) for run in runs]
        rows.append((env, name, loss, f"{int(steps):,}", len(values), f"{mean(values):.1f}",
                     f"{min(values):.1f} … {max(values):.1f}", protocol, said))  # fmt: skip
    columns = ("environment", "agent", "loss", "steps", "seeds", "return", "range", "protocol", "recipe")
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    note = f"every run: {SCORES.parent}"
    print_table("Measured scores (greedy, mean over seeds)", columns, rows, note=note)


def print_pretrained() -> None:
    """Prints the zoo's own trained agents, which `catzoo eval` and `watch` take by name."""
    rows = []
    for name, folder in pretrained().items():
        result = read_result(folder / "result.json")
        low, high = result["interval_95"]
        rows.append((name, f"{result['steps']:,}", result["seed"], f"{result['mean_return']:.1f}",
                     f"[{low:.1f}, {high:.1f}]", result["episodes"], result["protocol"]["name"]))  # fmt: skip
    if rows:
        columns = ("name", "steps", "seed", "return", "95 %", "episodes", "protocol")
        note = "catzoo eval NAME, catzoo watch NAME --out film.mp4"
        print_table("Trained agents", columns, rows, note=note)


def field_docs(schema: type, prefix: str = "") -> dict[str, str]:
    """Dotted key of a recipe's class to the docstring under its field."""
    found: dict[str, str] = {}
    texts = {name: text for kind in reversed(schema.__mro__[:-1]) for name, text in _docstrings(kind).items()}
    hints = types_of(schema)
    for item in dataclasses.fields(schema):
        kind, key = hints[item.name], prefix + item.name
        found |= (
            field_docs(kind, key + ".") if dataclasses.is_dataclass(kind) else {key: texts.get(item.name, "")}
        )
    return found


def _docstrings(schema: type) -> dict[str, str]:
    body = ast.parse(inspect.getsource(schema)).body[0].body  # type: ignore[attr-defined]
    texts: dict[str, str] = {}
    for statement, following in pairwise(body):
        is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(statement, ast.AnnAssign) and is_text:
            texts[statement.target.id] = following.value.value  # type: ignore[union-attr]
    return texts


def _value_at(values: dict[str, Any], key: str) -> str:
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return yaml.safe_dump(found, default_flow_style=True).split("\n")[0] if found is not None else "–"


def run_list(arguments: argparse.Namespace) -> None:
    """`catzoo list`."""
    from catzoo.zoo.cli.listing import list_agents, list_studies

    if arguments.studies:
        list_studies()
    else:
        list_agents()


def run_show(arguments: argparse.Namespace) -> None:
    """`catzoo show`."""
    from catzoo.zoo.cli.listing import show

    show(arguments.agent, env=arguments.env, loss=arguments.loss, preset=arguments.preset)


def _add_list_and_show(commands: Any) -> None:
    listing = _add(commands, "list", "list the agents, losses and measured scores")
    listing.add_argument("--studies", action="store_true", help="the studies of catzoo reproduce instead")
    show = _add(
        commands,
        "show",
        "show an agent's recipe, every key with its meaning, and its scores",
        "  catzoo show dqn\n  catzoo show dqn --env MinAtar/Breakout --loss c51\n"
        "  catzoo show rainbow --preset atari-100k\n",
    )
    show.add_argument("agent", metavar="AGENT", help="an agent of the zoo")
    show.add_argument("--env", metavar="ID", help="resolve the recipe for this environment")
    show.add_argument("--loss", metavar="NAME", help="and this value loss")
    show.add_argument("--preset", metavar="NAME", help="and this preset, such as atari-100k")
