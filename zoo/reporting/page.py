"""A report as one HTML file: pictures inside, no script, nothing fetched, light or dark as the system is.

What it says stands in `page.html.j2`; here are the tables, and what has to be counted.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catzoo.hparams.schema import brief
from catzoo.version import __version__
from catzoo.zoo.reporting.comparison import Comparison
from catzoo.zoo.reporting.finished_runs import Row, named
from catzoo.zoo.reporting.page_templates import Bold, template
from catzoo.zoo.reporting.published_scores import SOURCES, Published
from catzoo.zoo.reporting.summary import TITLES, Summary
from catzoo.zoo.reporting.tables import environment_cells, estimate_text, explanation
from catzoo.zoo.statistics.aggregates import RESAMPLES
from catzoo.zoo.statistics.intervals import FEW
from catzoo.zoo.statistics.normalisation import scales
from catzoo.zoo.system.digits import digits_of, typeset

MARK = '<meta name="generator" content="catzoo report">'
"""What tells our pages from others."""


@dataclass(frozen=True)
class Table:
    """Columns, rows of cells, and what is to be said under them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


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
    runs, envs = len(comparison.everyone()), comparison.envs
    where = brief(envs[0]) if len(envs) == 1 else f"{len(envs)} environments"
    known = [env for env in envs if env in scales()]
    human = all(env.startswith("ALE/") for env in known)
    return template("page.html.j2", Path(__file__).parent).render(
        title=f"{runs} run{'s' * (runs > 1)} on {where}",
        mark=MARK,
        version=__version__,
        date=date,
        command=command,
        protocol=comparison.protocol,
        groups=comparison.groups,
        notes=[*left_out(comparison), *summary.notes],
        pictures={path.stem: _picture(path) for path in pictures},
        summary=summary,
        aggregates=_aggregates(summary),
        environments=_by_environment(comparison, rows),
        normalised=_normalised(comparison, rows, known, human),
        human=human,
        published=_published(comparison, rows, others),
        trained=_trained([result for _, result in comparison.everyone()]),
        resamples=f"{RESAMPLES:,}",
        few=FEW,
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


def _picture(path: Path) -> dict[str, str | int]:
    content = path.read_bytes()
    (pixels,) = struct.unpack(">I", content[16:20])  # of a PNG's header; 1.5 of them are a unit, see `style`
    return {"content": base64.b64encode(content).decode(), "width": round(pixels / 1.5)}


def _aggregates(summary: Summary) -> Table:
    columns = ["group", *(TITLES[name] for name in summary.aggregates), "seeds"]
    cells = [
        [group.label, *(estimate_text(found[group]) for found in summary.aggregates.values()), str(len(own))]
        for group, own in summary.scores.items()
    ]
    return Table(columns, cells)


def _by_environment(comparison: Comparison, rows: Sequence[Row]) -> Table:
    columns = ["environment", "steps", *(group.label for group in comparison.groups)]
    cells: list[list[str]] = []
    for env in comparison.envs:
        own = environment_cells(rows, env, comparison.groups)
        cells.append(
            [env, f"{comparison.steps[env]:,}", *(Bold(text) if best else text for text, best in own)]
        )
    return Table(columns, cells, " ".join(explanation(comparison)))


def _normalised(comparison: Comparison, rows: Sequence[Row], envs: Sequence[str], human: bool) -> Table:
    found = {(row["env"], row["group"]): row["normalised"] for row in rows if "group" in row}
    cells = []
    for env in envs:
        digits = digits_of(found[env, group] for group in comparison.groups if (env, group) in found)
        cells.append([env, *("–" if (env, group) not in found else typeset(found[env, group], digits)
                             for group in comparison.groups)])  # fmt: skip
    one = "a human" if human else "the reference (zoo/data/reference_scores.csv)"
    note = f"Mean over seeds; 0 is random play, 1 is {one}."
    return Table(["environment", *(group.label for group in comparison.groups)], cells, note)


def _published(comparison: Comparison, rows: Sequence[Row], others: Sequence[Published]) -> Table:
    """Ours and theirs in one table, for the environments that they have."""
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
            *(f"{typeset(one.mean, digits)}, s.d. {typeset(one.std, digits)}" if one else "–"
              for one in found),
        ])  # fmt: skip
    sources = [SOURCES[source] for source in dict.fromkeys(other.source for other in others)]
    note = " ".join(
        ["Ours as above, of the greedy policy; theirs with the standard deviation over seeds.", *sources]
    )
    columns = ["environment", "steps", *(group.label for group in comparison.groups), *agents]
    return Table(columns, cells, note)


def _trained(results: Sequence[Row]) -> str:
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
    return "; ".join(words for known, words in said if known) + "."
