"""What the site's build does to a page, so that the page also reads well where it lies in the repository.

* A link out of `docs/`, such as `../zoo/results/scores.csv`, leads to a copy of that file within the site.
* `$$x$$` becomes MathML, which browsers draw by themselves.
* `<!-- rows FILE: COLUMN, COLUMN as TITLE, … | COLUMN=VALUE, … -->` becomes a table of the rows of a CSV file
  that have these values (`VALUE or VALUE` for several; a date by its day).
* `<!-- pivot FILE: ROW, COLUMN, VALUE | COLUMN=VALUE, … -->` becomes a table with a line for each ROW, or
  A+B of several, and a column for each COLUMN: means of VALUE, and how many rows they are of. `VALUE / 1e6`
  divides it.
* `<!-- zoo FILE FILE …: LOSS, LOSS, … | COLUMN=VALUE, … -->` becomes the table of all agents on all
  environments: means over seeds with 95 % intervals, and scores that others published.
* `<!-- verdict STUDY -->` becomes the table of what a study found, `<!-- verdicts STUDY, … -->` that of what
  became of each of these claims, on a page at the top.

A table ends with `<!-- end -->`. `python docs/site_hooks.py` writes the tables into the pages and the README,
for whoever reads them in the repository; the build makes them anew. So a number on a page is the one that is
committed, and a file or a column that is not there ends the build.
"""

from __future__ import annotations

import csv
import json
import math
import posixpath
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from catzoo.hparams import VALUE_LOSSES, loss_title
from catzoo.zoo.statistics.intervals import student_interval

ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, str]
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)#\s]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
TABLE = re.compile(r"<!-- (rows|pivot|verdicts|verdict|zoo) (.*?) -->.*?<!-- end -->", re.DOTALL)
STUDIES = "zoo/results/studies"
COPIES = "files"
"""Where in the site their files are."""
PUBLISHED = {
    ("Acrobot-v1", "dqn"): ("Acrobot-v1", "CleanRL DQN", "500000"),
    ("Acrobot-v1", "ppo"): ("Acrobot-v1", "CleanRL PPO", "500000"),
    ("CartPole-v1", "dqn"): ("CartPole-v1", "CleanRL DQN", "500000"),
    ("CartPole-v1", "ppo"): ("CartPole-v1", "CleanRL PPO", "500000"),
    ("HalfCheetah-v5", "sac"): ("HalfCheetah-v4", "SAC (CrossQ authors' runs)", "100000"),
    ("Hopper-v5", "sac"): ("Hopper-v4", "SAC (CrossQ authors' runs)", "100000"),
    ("Walker2d-v5", "sac"): ("Walker2d-v4", "SAC (CrossQ authors' runs)", "100000"),
    ("dmc/cheetah-run", "sac"): ("dmc/cheetah-run", "SAC (TD-MPC2's authors)", "50000"),
    ("dmc/walker-walk", "sac"): ("dmc/walker-walk", "SAC (TD-MPC2's authors)", "50000"),
}
"""Environment and agent of ours: environment, agent and steps in `zoo/data/published_scores.csv`."""


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """A page's text with its tables, formulas and links."""
    parts = FENCE.split(markdown)  # code stays as it is
    for index in range(0, len(parts), 2):
        text = TABLE.sub(lambda found: _table(*found.groups()), parts[index])
        text = re.sub(
            r"\$\$(.+?)\$\$", lambda found: convert(found[1].strip(), display="block"), text, flags=re.S
        )
        parts[index] = LINK.sub(lambda found: _link(found, page, config, files), text)
    return "".join(parts)


def _link(found: re.Match[str], page: Any, config: Any, files: Files) -> str:
    """A link to a file of the repository outside of `docs`, as one to its copy."""
    words, target, _ = found.groups()
    here = posixpath.dirname(page.file.src_uri)
    path = posixpath.normpath(posixpath.join("docs", here, target))
    if "://" in target or path.split("/")[0] == "docs":
        return found[0]
    if not (ROOT / path).exists():
        raise PluginError(f"{page.file.src_uri}: {target} is not there")
    if (ROOT / path).is_dir():
        raise PluginError(f"{page.file.src_uri}: {target} is a folder; link a file")
    copy = f"{COPIES}/{path}" + (".txt" if path.endswith((".md", ".py", ".yaml")) else "")
    if files.get_file_from_path(copy) is None:
        files.append(File.generated(config, copy, abs_src_path=str(ROOT / path)))
    return f"{words}({posixpath.relpath(copy, here or '.')})"


def _table(kind: str, asked: str) -> str:
    if kind == "verdict":
        return _verdict(asked)
    if kind == "verdicts":
        return _verdicts(asked.split(", "))
    if kind == "zoo":
        return _zoo(asked)
    file, _, asked = asked.partition(": ")
    columns, _, where = asked.partition(" | ")
    rows = list(_selected(_rows(file), where))
    if not rows:
        raise PluginError(f"{file}: no row has {where}")
    named = [column.partition(" as ")[::2] for column in columns.split(", ")]
    return (_pivot if kind == "pivot" else _plain)(rows, named)


def _rows(file: str) -> list[Row]:
    with (ROOT / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _selected(rows: list[Row], where: str) -> Iterator[Row]:
    wanted = [condition.partition("=")[::2] for condition in where.split(", ") if condition]
    for row in rows:
        said = {**row, "date": row.get("date", "")[:10]}
        if all(said[column] in value.split(" or ") for column, value in wanted):
            yield row


def _plain(rows: list[Row], named: list[tuple[str, str]]) -> str:
    lines = [[title or column.replace("_", " ") for column, title in named]]
    lines += [[_short(row[column]) for column, _ in named] for row in rows]
    return _markdown(lines)


def _pivot(rows: list[Row], named: list[tuple[str, str]]) -> str:
    (line, title), (across, _), (value, _) = named
    value, _, divisor = value.partition(" / ")
    unit = float(divisor or 1)
    rows = [{**row, line: " × ".join(row[part] for part in line.split("+"))} for row in rows if row[value]]
    columns = list(dict.fromkeys(row[across] for row in rows))
    lines = [[title or line, *columns]]
    pooled = len({(row[line], row[across]) for row in rows}) < len(rows)
    for key in dict.fromkeys(row[line] for row in rows):
        cells = []
        for column in columns:
            found = [float(row[value]) / unit for row in rows if (row[line], row[across]) == (key, column)]
            mean = _short(str(sum(found) / len(found))) if found else ""
            cells.append(f"{mean} ({len(found)})" if found and pooled else mean)
        lines.append([key, *cells])
    return _markdown(lines)


def _zoo(asked: str) -> str:
    files, _, asked = asked.partition(": ")
    losses, _, where = asked.partition(" | ")
    asked_for = losses.split(", ")
    if unknown := set(asked_for) - set(VALUE_LOSSES):
        raise PluginError(f"{asked}: unknown loss {', '.join(unknown)}")
    rows = [
        row for file in files.split() for row in _selected(_rows(file), where) if row["loss"] in asked_for
    ]
    runs = [tuple(row[name] for name in ("env", "agent", "loss", "seed", "steps")) for row in rows]
    if not rows or len(set(runs)) < len(runs):
        raise PluginError(f"{files}: {'a run twice' if rows else f'no row has {where}'}")
    keys = {(row["env"], row["agent"], int(row["steps"])) for row in rows}
    lines = [["environment", "agent", "steps", *map(loss_title, asked_for), "published"]]
    for env, agent, steps in sorted(keys):
        own = [row for row in rows if (row["env"], row["agent"], int(row["steps"])) == (env, agent, steps)]
        by_loss = [[float(row["mean_return"]) for row in own if row["loss"] == loss] for loss in asked_for]
        lines.append([env, agent, f"{steps:,}", *map(_over_seeds, by_loss), _published(env, agent)])
    return _markdown(lines)


def _over_seeds(scores: list[float]) -> str:
    """A mean with its interval and the number of seeds."""
    if not scores:
        return ""
    mean, half = student_interval(scores)
    return (
        f"{_short(str(mean))} ({_short(str(half))}; {len(scores)})" if len(scores) > 1 else _short(str(mean))
    )


def _published(env: str, agent: str) -> str:
    """What others have, with their steps."""
    wanted = PUBLISHED.get((env, agent))
    for row in _rows("zoo/data/published_scores.csv") if wanted else []:
        if (row["env"], row["agent"], row["steps"]) == wanted:
            spread = f"{_short(row['mean'])} (std {_short(row['std'])}; {row['seeds']})"
            return f"{row['agent']}, {int(row['steps']):,}: {spread}"
    if wanted:
        raise PluginError(f"published_scores.csv: no row has {', '.join(wanted)}")
    return ""


def _verdict(study: str) -> str:
    said = _found(study)
    lines = [["statement", "came out as", "verdict"]]
    for finding in said["findings"]:
        low, high = (_short(str(end)) if end is not None else "" for end in (finding["low"], finding["high"]))
        came_out = f"{_short(str(finding['value']))} [{low}, {high}]"
        aside = ", aside" if finding.get("aside") else ""
        lines.append([finding["claim"], came_out, finding["outcome"] + aside])
    left_out = ", ".join(f"`{key}`" for key in said.get("fewer", ()))
    fewer = f" Not all of the full budget's {left_out}." if left_out else ""
    how = f"{said['protocol']} Seeds: {said['settings']['seeds']}.{fewer}"
    return f"\n{textwrap.fill(how, 128, break_on_hyphens=False)}\n{_markdown(lines)}"


def _verdicts(studies: list[str]) -> str:
    lines = [["study", "claim", "verdict", "seeds"]]
    for study in studies:
        said = _found(study)
        rows = f"[{study}](../{STUDIES}/{study}.csv)"
        lines.append([rows, said["claim"], said["outcome"], str(said["settings"]["seeds"])])
    return _markdown(lines)


def _found(study: str) -> dict[str, Any]:
    return json.loads((ROOT / STUDIES / f"{study}.json").read_text(encoding="utf-8"))


def _short(cell: str) -> str:
    """Three digits, or more before the point."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    if not math.isfinite(number):
        return cell
    return f"{number:,.0f}" if abs(number) >= 100 or number == int(number) else f"{number:.3g}"


def _markdown(lines: list[list[str]]) -> str:
    head, *rest = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join(["", head, "|---" * len(lines[0]) + "|", *rest, ""])


def with_tables(markdown: str) -> str:
    """A page's text with its tables as they are now."""
    return TABLE.sub(
        lambda found: f"<!-- {found[1]} {found[2]} -->\n{_table(*found.groups())}\n<!-- end -->", markdown
    )


def pages() -> list[Path]:
    """Every page that has tables: the site's, and the README."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


if __name__ == "__main__":
    for page in pages():
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
