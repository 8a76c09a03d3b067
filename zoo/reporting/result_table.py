"""The table at the end of training and evaluation."""

from __future__ import annotations

from typing import Any

from catzoo.zoo.statistics.elo import elo_difference
from catzoo.zoo.system.console import print_table, say
from catzoo.zoo.system.digits import score, with_interval


def print_result(result: dict[str, Any]) -> None:
    """Prints a result as `result.json` has it, and the support monitor's advice."""
    mean, interval = with_interval(result["mean_return"], *result["interval_95"])
    row = (
        result["env"],
        result["loss"],
        f"{result['steps']:,}",
        result["seed"],
        result["episodes"],
        mean,
        interval,
    )
    columns = ("environment", "loss", "steps", "seed", "episodes", "mean return", "95 % interval")
    print_table("Greedy evaluation", columns, [row], note=f"protocol: {result['protocol']['name']}")
    returns = result.get("returns", [])  # a result may come from anyone
    if result["protocol"]["name"] == "chess" and returns and all(abs(score) <= 1 for score in returns):
        elo, low, high = elo_difference(returns)
        say(f"Elo over {result['env']}: {elo:+.0f} [{low:+.0f}, {high:+.0f}]")
    if result.get("games"):
        cells = [
            (game, own["episodes"], *with_interval(own["mean_return"], *own["interval_95"]))
            for game, own in result["games"].items()
        ]
        print_table("Its games", ("game", "episodes", "mean return", "95 % interval"), cells)
    if result.get("metrics"):
        cells = [(name.replace("_", " "), score(value)) for name, value in result["metrics"].items()]
        print_table("Measures of its world", ("measure", "value"), cells)
    if result.get("cut"):
        cut = f"{result['cut']} of {result['episodes']} episodes were cut"
        if result.get("spent"):
            say(f"the training was short, and so was the evaluation (eval.share): {cut}")
        else:
            say(f"{cut} after eval.max_steps")
    if result.get("advice"):
        say(f"support: {result['advice']}")
    if result.get("run_dir"):
        say(f"run folder: {result['run_dir']}")
