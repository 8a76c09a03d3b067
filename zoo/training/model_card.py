"""The README.md of an agent on the Hugging Face Hub: what the Hub reads, and what people do."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import yaml

from catzoo.hparams import VALUE_LOSSES, Recipe
from catzoo.hparams.schema import brief
from catzoo.zoo.folders.result_file import protocol_in_words
from catzoo.zoo.system.digits import score, with_interval

FILM = "replay.mp4"
"""The Hub shows a film of this name above the card of an agent."""
CURVE = "learning_curve.png"


def model_card(recipe: Recipe, result: Mapping[str, Any], repo: str, *, curve: bool = False) -> str:
    """A model card.

    Its front matter has the mean reward of every environment as the Hub's leaderboards of reinforcement
    learning read it, `mean +/- standard deviation` over episodes; beside it is the mean's 95 % interval.

    Args:
        recipe: of the run.
        result: the content of its result.json.
        repo: `OWNER/NAME`.
        curve: whether `learning_curve.png` lies beside the card.
    """
    loss = VALUE_LOSSES[recipe.value_loss.name].title
    title = f"{recipe.agent} with {loss} on {brief(recipe.env, 200)}"
    parts = [
        f"---\n{_front(recipe, result, title)}---\n\n# {title}",
        f"A `{recipe.agent}` agent of Catzoo, trained for {recipe.steps:,} steps with the value loss {loss}.",
        _scores(result),
        *([f"![learning curve]({CURVE})"] if curve else []),
        _use(recipe, repo),
        _protocol(recipe, result),
        f"## Recipe\n\n```yaml\n{yaml.safe_dump(recipe.to_dict(), sort_keys=False)}```",
    ]
    return "\n\n".join(parts) + "\n"


def _front(recipe: Recipe, result: Mapping[str, Any], title: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    task = "reinforcement-learning"
    games = result.get("games") or {result["env"]: result}
    scores = [
        EvalResult(
            task_type=task,
            task_name=task,
            dataset_type=env,
            dataset_name=env,
            metric_type="mean_reward",
            metric_name="mean_reward",
            metric_value=_mean_and_deviation(own),
            metric_args={"interval_95": list(own["interval_95"]), "episodes": own["episodes"]},
            verified=False,
        )
        for env, own in games.items()
    ]
    data = ModelCardData(
        library_name="catzoo",
        pipeline_tag=task,
        tags=[*games, task, "deep-reinforcement-learning", recipe.agent, recipe.value_loss.name],
        model_name=title,
        eval_results=scores,
    )
    return f"{data.to_yaml()}\n"


def _mean_and_deviation(result: Mapping[str, Any]) -> str:
    """The mean return `+/-` its standard deviation over episodes, without that where nobody has kept it."""
    mean, found = f"{result['mean_return']:.2f}", result.get("std_return")
    if found is None and result.get("returns"):
        found = statistics.pstdev(result["returns"])
    return mean if found is None else f"{mean} +/- {found:.2f}"


def _scores(result: Mapping[str, Any]) -> str:
    games = result.get("games") or {result["env"]: result}
    rows = [
        f"| {env} | {own['episodes']} | {' '.join(with_interval(own['mean_return'], *own['interval_95']))} |"
        for env, own in games.items()
    ]
    table = ["| environment | episodes | mean greedy return [95 %] |", "|---|---|---|", *rows]
    if result.get("metrics"):
        measures = [f"| {name.replace('_', ' ')} | {score(own)} |" for name, own in result["metrics"].items()]
        table += ["", "| measure | value |", "|---|---|", *measures]
    return "\n".join(table)


def _use(recipe: Recipe, repo: str) -> str:
    folder = f"runs/{repo.partition('/')[2]}"
    theirs = ":" in recipe.env
    trust, env = (" --trust", f" --env {recipe.env}") if theirs else ("", "")
    return f"""\
## Use

```
pip install 'catzoo[hub]'
catzoo pull {repo}
catzoo eval {folder}{trust}
catzoo watch {folder} --out film.mp4{trust}
catzoo train --from {folder}{env} --seed 1
```

```python
import catzoo

folder = catzoo.pull("{repo}")
recipe, agent = catzoo.load_agent(folder{", trust=True" if theirs else ""})
```

The folder is data: YAML, JSON and safetensors, no pickle."""


def _protocol(recipe: Recipe, result: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in (result.get("versions") or {}).items())
    rows = {
        "protocol": protocol_in_words(result),
        "policy": str(result.get("policy", "greedy")),
        "episodes": str(result["episodes"]),
        "steps": f"{result['steps']:,}",
        "seed": str(result["seed"]),
        "date": str(result.get("date", "")),
        "machine": str(result.get("cpu", "")),
        "versions": versions,
    }
    lines = [f"| {name} | {brief(text, 400)} |" for name, text in rows.items() if text]
    return "\n".join(["## Protocol", "", "| | |", "|---|---|", *lines])
