"""`catzoo list`: the zoo on one screen. Imports no torch."""

from __future__ import annotations

import argparse
import re
from statistics import mean

from catzoo.hparams import VALUE_LOSSES
from catzoo.zoo.catalogue.pretrained import pretrained
from catzoo.zoo.catalogue.recipe_files import agents, recipe_source
from catzoo.zoo.catalogue.score_tables import SCORES, scores
from catzoo.zoo.folders.result_file import read_result
from catzoo.zoo.studies.claim_names import STUDIES
from catzoo.zoo.system.console import print_table, say
from catzoo.zoo.system.digits import digits_of, number, with_interval


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("--studies", action="store_true", help="the studies of catzoo reproduce instead")


def run(arguments: argparse.Namespace) -> None:
    """`catzoo list`."""
    if arguments.studies:
        list_studies()
    else:
        list_agents()


def list_agents() -> None:
    """Prints the agents, the value losses, the measured scores, and the trained agents."""
    rows = [
        (
            name,
            recipe_source(name).get("description", ""),
            ", ".join(recipe_source(name).get("environments") or ()),
        )
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
        say("No scores measured yet.")
        return
    rows = []
    for (env, name, loss, steps, protocol, said), runs in sorted(groups.items()):
        values = [float(run["mean_return"]) for run in runs]
        digits = digits_of(values)
        low, high = number(min(values), digits), number(max(values), digits)
        rows.append((env, name, loss, f"{int(steps):,}", len(values), number(mean(values), digits),
                     f"{low} … {high}", protocol, said))  # fmt: skip
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
        score = with_interval(result["mean_return"], *result["interval_95"])
        rows.append((name, f"{result['steps']:,}", result["seed"], *score,
                     result["episodes"], result["protocol"]["name"]))  # fmt: skip
    if rows:
        columns = ("name", "steps", "seed", "return", "95 %", "episodes", "protocol")
        note = "catzoo eval NAME, catzoo watch NAME --out film.mp4"
        print_table("Trained agents", columns, rows, note=note)
