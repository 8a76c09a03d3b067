"""A report as one HTML file: pictures inside, no script, nothing fetched, light or dark as the system is."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from catzoo.hparams.schema import brief
from catzoo.version import __version__
from catzoo.zoo.reporting.comparison import Comparison
from catzoo.zoo.reporting.finished_runs import Row, named
from catzoo.zoo.reporting.published_scores import SOURCES, Published
from catzoo.zoo.reporting.report_pictures import AGGREGATES, CURVES, IMPROVEMENT, PROFILES
from catzoo.zoo.reporting.summary import TITLES, Summary
from catzoo.zoo.reporting.tables import digits_of, environment_cells, estimate_text, explanation, number
from catzoo.zoo.statistics.aggregates import RESAMPLES
from catzoo.zoo.statistics.intervals import FEW
from catzoo.zoo.statistics.normalisation import scales

MARK = '<meta name="generator" content="catzoo report">'
"""What tells our pages from others."""
STYLE = """
:root { color-scheme: light dark;
  --back: #fff; --ink: #1f2933; --muted: #5b6772; --line: #d5dbe1; --soft: #f4f6f8 }
@media (prefers-color-scheme: dark) {
  :root { --back: #14181c; --ink: #e6eaee; --muted: #9aa7b3; --line: #36404a; --soft: #1d2329 }
}
body { background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem }
p, ul { max-width: 48rem } .picture { max-width: none } .muted, caption { color: var(--muted) }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } thead th { background: var(--soft) }
caption { caption-side: bottom; text-align: left; padding-top: .5rem; font-size: .9rem }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; border: 1px solid var(--line) }
code { background: var(--soft); padding: .1rem .3rem; border-radius: 4px; overflow-wrap: anywhere }
"""
ALT = {
    AGGREGATES: "Aggregate scores of each group with 95 % intervals; the table below has the numbers",
    CURVES: "Mean training return over agent steps, a panel per environment, a line per group",
    PROFILES: "Share of runs that score more than a threshold, over the threshold, a line per group",
    IMPROVEMENT: "Probability that a run of one group beats a run of another, with 95 % intervals",
}


class Bold(str):
    """A table's cell that stands out."""


def page(
    comparison: Comparison,
    summary: Summary,
    rows: Sequence[Row],
    others: Sequence[Published],
    pictures: Sequence[Path],
    *,
    command: str,
    date: str,
) -> str:
    """The page.

    Args:
        comparison: what is compared.
        summary: its numbers over environments.
        rows: its numbers by environment, see `environment_rows`.
        others: published scores beside them.
        pictures: PNG files.
        command: what makes the report again.
        date: of the report.
    """
    drawn = {path.name: path for path in pictures}
    runs = len(comparison.everyone())
    title = f"{runs} run{'s' * (runs > 1)} on {_envs(comparison)}"
    body = [
        f'<h1>{escape(title)}</h1><p class="muted">protocol {escape(brief(comparison.protocol))} · '
        f"catzoo {__version__} · {escape(date)}</p>",
        _list([*left_out(comparison), *summary.notes]),
        *_over_environments(summary, drawn),
        "<h2>Learning curves</h2>",
        "<p>Training episodes, which explore. The band is the 95 % interval of the mean over seeds "
        "(Student's t); with fewer than three, each seed is a thin line instead.</p>",
        _picture(drawn[CURVES]),
        *_by_environment(comparison, rows),
        *_published(comparison, rows, others),
        *_made(comparison, command),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{MARK}'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>Catzoo: {escape(title)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(filter(None, body))
        + "\n</body></html>\n"
    )


def left_out(comparison: Comparison) -> list[str]:
    """Runs that the report is not about, in sentences."""
    said = []
    for paths, one, many in (
        (comparison.unfinished, "is not finished and left out", "are not finished and left out"),
        (comparison.copies, "repeats a recipe and seed, and is left out",
         "repeat a recipe and seed, and are left out"),
    ):  # fmt: skip
        if paths:
            said.append(
                f"{len(paths)} run{'s' * (len(paths) > 1)} {one if len(paths) == 1 else many}: {named(paths)}"
            )
    return said


def _envs(comparison: Comparison) -> str:
    many = len(comparison.envs)
    return brief(comparison.envs[0]) if many == 1 else f"{many} environments"


def _over_environments(summary: Summary, drawn: dict[str, Path]) -> list[str]:
    if not summary.scores:
        return ["<h2>Aggregates</h2><p>None, for the reason above.</p>"]
    columns = ["group", *(TITLES[name] for name in summary.aggregates), "seeds"]
    cells = [
        [group.label, *(estimate_text(found[group]) for found in summary.aggregates.values()), str(len(own))]
        for group, own in summary.scores.items()
    ]
    body = [
        "<h2>Aggregates</h2>",
        f"<p>{escape(_about_scale(summary))}</p>",
        _picture(drawn[AGGREGATES]),
        _table(columns, cells),
    ]
    if PROFILES in drawn:
        body += [
            "<h2>Performance profiles</h2>",
            "<p>How large a share of runs scores more than τ: the higher a line, the better; where it "
            "crosses the dotted one is the median run. Bands are 95 % intervals, threshold by threshold.</p>",
            _picture(drawn[PROFILES]),
        ]
    if IMPROVEMENT in drawn:
        body += [
            "<h2>Probability of improvement</h2>",
            "<p>How probably a run of the one beats a run of the other on the same environment, ties "
            "counting half. An interval that holds 0.5 orders nothing; 1.00 [1.00, 1.00] says that every run "
            "was better, not how sure that is.</p>",
            _picture(drawn[IMPROVEMENT]),
        ]
    return body


def _about_scale(summary: Summary) -> str:
    if len(summary.envs) == 1:
        return (
            f"In raw returns of {brief(summary.envs[0])}, the one environment that can be aggregated: no "
            "median over environments and no optimality gap. The IQM of fewer than four runs is their mean."
        )
    one = "a human" if summary.scale.startswith("human") else "the reference"
    return (
        f"Over {len(summary.envs)} environments, in {summary.scale}s: 0 is random play, 1 is {one}. IQM is "
        "the mean of the middle half of all runs, the median is over environments of the mean over seeds, "
        "the optimality gap is how far runs stay below 1 on average (lower is better)."
    )


def _by_environment(comparison: Comparison, rows: Sequence[Row]) -> list[str]:
    columns = ["environment", "steps", *(group.label for group in comparison.groups)]
    cells: list[list[str]] = []
    for env in comparison.envs:
        own = environment_cells(rows, env, comparison.groups)
        cells.append(
            [env, f"{comparison.steps[env]:,}", *(Bold(text) if best else text for text, best in own)]
        )
    body = ["<h2>By environment</h2>", _table(columns, cells, " ".join(explanation(comparison)))]
    known = [env for env in comparison.envs if env in scales()]
    if known:
        human = all(env.startswith("ALE/") for env in known)
        normalised = {(row["env"], row["group"]): row["normalised"] for row in rows if "group" in row}
        cells = [
            [env, *("–" if (env, group) not in normalised else number(normalised[env, group], 2)
                    for group in comparison.groups)]
            for env in known
        ]  # fmt: skip
        body += [
            f"<h3>{'Human-normalised' if human else 'Normalised'}</h3>",
            _table(["environment", *(group.label for group in comparison.groups)], cells,
                   "Mean over seeds; 0 is random play, 1 is "
                   f"{'a human' if human else 'the reference (zoo/data/reference_scores.csv)'}."),
        ]  # fmt: skip
    return body


def _published(comparison: Comparison, rows: Sequence[Row], others: Sequence[Published]) -> list[str]:
    """Ours and theirs in one table, for the environments that they have."""
    if not others:
        return [
            "<h2>Published scores</h2>",
            "<p>None are known for these environments under this protocol at this number of steps.</p>",
        ]
    agents = list(dict.fromkeys(other.agent for other in others))
    by_place = {(other.env, other.agent): other for other in others}
    cells = []
    for env in dict.fromkeys(other.env for other in others):
        found = [by_place.get((env, agent)) for agent in agents]
        digits = digits_of([other.mean for other in found if other])
        cells.append([
            env,
            f"{comparison.steps[env]:,}",
            *(text for text, _ in environment_cells(rows, env, comparison.groups)),
            *(f"{number(one.mean, digits)}, s.d. {number(one.std, digits)}" if one else "–" for one in found),
        ])  # fmt: skip
    sources = [SOURCES[source] for source in dict.fromkeys(other.source for other in others)]
    note = " ".join(
        ["Ours as above, of the greedy policy; theirs with the standard deviation over seeds.", *sources]
    )
    columns = ["environment", "steps", *(group.label for group in comparison.groups), *agents]
    return ["<h2>Published scores</h2>", _table(columns, cells, note)]


def _made(comparison: Comparison, command: str) -> list[str]:
    recipes = [f"{group.label}: {brief(group.recipe, 1_000)}" for group in comparison.groups if group.recipe]
    facts = [
        *_trained([result for _, result in comparison.everyone()]),
        f"Intervals over environments: stratified bootstrap (seeds are drawn anew within each environment), "
        f"{RESAMPLES:,} resamples, 2.5th and 97.5th percentile (Agarwal et al. 2021). It knows only the "
        "seeds that were run: of three on one environment, 95 % intervals hold the mean in about 73 % of "
        "cases. With one seed there is none.",
        f"Intervals on one environment: Student's t for fewer than {FEW} seeds, else a bootstrap; for one "
        "seed, in the CSV, a bootstrap over its episodes.",
        *(f"Recipe of {recipe}" for recipe in recipes),
    ]
    return [
        "<h2>How this was made</h2>",
        f"<p><code>{escape(command)}</code></p>",
        _list(facts),
        "<p>Beside this page: the pictures, <code>scores.csv</code> (a row for each run, with the command "
        "that trains it again), <code>aggregates.csv</code>, <code>per_environment.csv</code> and "
        "<code>table.md</code>.</p>",
    ]


def _trained(results: Sequence[Row]) -> list[str]:
    """When, with what and on what, as far as the results say it."""
    versions: dict[str, set[str]] = {}
    for result in results:
        for name in ("catzoo", "torch", "gymnasium"):
            versions.setdefault(name, set()).add(result.get("versions", {}).get(name, "?"))
    dates = sorted({result["date"] for result in results if result.get("date")})
    machines = sorted({result["cpu"] for result in results if result.get("cpu")})
    policies = sorted({str(result["policy"]) for result in results if result.get("policy")})
    said = [
        (dates, "Evaluated " + " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else ""),
        (versions, "with " + ", ".join(f"{name} {named(sorted(some))}" for name, some in versions.items())),
        (machines, "on " + named(machines)),
        (policies, "policy: " + named(policies)),
    ]
    return ["; ".join(words for known, words in said if known) + "."]


def _picture(path: Path) -> str:
    content = path.read_bytes()
    (pixels,) = struct.unpack(">I", content[16:20])  # of a PNG's header; 1.5 of them are a unit, see `style`
    inside = base64.b64encode(content).decode()
    return (
        f'<p class="picture"><img src="data:image/png;base64,{inside}" width="{round(pixels / 1.5)}" '
        f'alt="{escape(ALT[path.name])}"></p>'
    )


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]], note: str = "") -> str:
    head = "".join(f"<th>{escape(brief(column, 200))}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    caption = f"<caption>{escape(note)}</caption>" if note else ""
    inside = f"{caption}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody>"
    return f'<div class="wide"><table>{inside}</table></div>'


def _cell(text: str) -> str:
    shown = escape(brief(text, 200))
    return f"<td><strong>{shown}</strong></td>" if isinstance(text, Bold) else f"<td>{shown}</td>"


def _list(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences if sentence)
    return f"<ul>{items}</ul>" if items else ""
