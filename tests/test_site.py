"""What the site's build makes of a page: tables of committed rows, formulas, links."""

import csv
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

mkdocs = pytest.importorskip("mkdocs")
pytest.importorskip("latex2mathml")
from mkdocs.config.defaults import MkDocsConfig  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402
from mkdocs.structure.files import Files  # noqa: E402

HOOKS = Path(__file__).resolve().parents[1] / "docs" / "site_hooks.py"


@pytest.fixture
def hooks(tmp_path):
    spec = importlib.util.spec_from_file_location("site_hooks", HOOKS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = tmp_path
    (tmp_path / "zoo" / "results" / "studies").mkdir(parents=True)
    with (tmp_path / "zoo" / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["env", "loss", "seed", "score"], ["Pong", "mse", 0, 1.5], ["Pong", "mse", 1, 2.5],
                          ["Pong", "c51", 0, 1234.56], ["Breakout", "mse", 0, 7]])  # fmt: skip
    return module


def page(hooks, text, src="agents/dqn.md"):
    config = MkDocsConfig()
    config.load_dict({"site_name": "x", "docs_dir": str(hooks.ROOT), "site_dir": str(hooks.ROOT / "site")})
    config.validate()
    config.plugins._current_plugin = None
    files = Files([])
    where = SimpleNamespace(file=SimpleNamespace(src_uri=src))
    return hooks.on_page_markdown(text, page=where, config=config, files=files), files


def test_rows_of_a_file(hooks):
    text, _ = page(
        hooks, "<!-- rows zoo/rows.csv: env as game, score | loss=mse or c51, env=Pong --><!-- end -->"
    )
    assert text.split() == [
        "|",
        "game",
        "|",
        "score",
        "|",
        "|---|---|",
        "|",
        "Pong",
        "|",
        "1.5",
        "|",
        "|",
        "Pong",
        "|",
        "2.5",
        "|",
        "|",
        "Pong",
        "|",
        "1,235",
        "|",
    ]


def test_a_pivot_has_means_and_says_of_how_many(hooks):
    text, _ = page(hooks, "<!-- pivot zoo/rows.csv: env as game, loss, score --><!-- end -->")
    assert "| Pong | 2 (2) | 1,235 (1) |" in text
    assert "| Breakout | 7 (1) |  |" in text
    alone, _ = page(hooks, "<!-- pivot zoo/rows.csv: env+seed, loss, score --><!-- end -->")
    assert "| Pong × 1 | 2.5 |  |" in alone
    halved, _ = page(hooks, "<!-- pivot zoo/rows.csv: env, loss, score / 0.5 --><!-- end -->")
    assert "| Pong | 4 (2) | 2,469 (1) |" in halved


def test_a_verdict(hooks):
    finding = {"claim": "A above B", "value": 0.1234, "low": -0.5, "high": 1, "outcome": "not decided"}
    file = hooks.ROOT / "zoo" / "results" / "studies" / "order.json"
    said = {"findings": [finding], "protocol": "Of Pong.", "settings": {"seeds": 3}}
    said |= {"claim": "A first", "outcome": "not decided"}
    file.write_text(json.dumps(said))
    text = page(hooks, "<!-- verdict order --><!-- end -->")[0]
    assert "| A above B | 0.123 [-0.5, 1] | not decided |" in text
    assert "\nOf Pong. Seeds: 3.\n" in text
    (file.parent / "order.csv").write_text("")
    index = page(hooks, "<!-- verdicts order --><!-- end -->", src="evidence.md")[0]
    assert "(files/zoo/results/studies/order.csv) | A first | not decided | 3 |" in index


def test_links_out_of_the_pages_lead_to_copies(hooks):
    text, files = page(hooks, "[rows](../../zoo/rows.csv), [page](../losses.md), `[code](../../no.py)`")
    assert text == "[rows](../files/zoo/rows.csv), [page](../losses.md), `[code](../../no.py)`"
    assert files.get_file_from_path("files/zoo/rows.csv") is not None


def test_formulas_become_mathml(hooks):
    text, _ = page(hooks, "so $$y = r$$ and\n```\n$$x$$\n```")
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in text
    assert "$$x$$" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[x](../../zoo/none.csv)", "is not there"),
        ("[x](../../zoo/results)", "is a folder"),
        ("<!-- rows zoo/rows.csv: env | loss=huber --><!-- end -->", "no row has"),
    ],
)
def test_what_is_missing_ends_the_build(hooks, text, words):
    with pytest.raises(PluginError, match=words):
        page(hooks, text)


def test_the_tables_in_the_pages_are_those_of_the_results():
    spec = importlib.util.spec_from_file_location("site_hooks", HOOKS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path in module.pages():
        text = path.read_text(encoding="utf-8")
        assert module.with_tables(text) == text, f"{path.name}: python docs/site_hooks.py"


def test_so_does_a_column_that_is_not_there(hooks):
    with pytest.raises(KeyError):
        page(hooks, "<!-- rows zoo/rows.csv: speed --><!-- end -->")


def test_the_zoos_table_has_means_over_seeds_and_others_scores(hooks, monkeypatch):
    rows = [
        ("Pong", "dqn", "mse", 1, 2.0),
        ("Pong", "dqn", "mse", 2, 4.0),
        ("Pong", "ppo", "hl_gauss", 1, 7.0),
    ]
    lines = [f"{env},{agent},{loss},{seed},1000,{score}" for env, agent, loss, seed, score in rows]
    head = "env,agent,loss,seed,steps,mean_return"
    (hooks.ROOT / "zoo" / "runs.csv").write_text("\n".join([head, *lines]))
    (hooks.ROOT / "zoo" / "data").mkdir()
    published = "env,agent,protocol,steps,mean,std,seeds,source\nPong,Theirs,atari,5000,9.5,1.25,3,them\n"
    (hooks.ROOT / "zoo" / "data" / "published_scores.csv").write_text(published)
    monkeypatch.setattr(hooks, "PUBLISHED", {("Pong", "ppo"): ("Pong", "Theirs", "5000")})
    text, _ = page(hooks, "<!-- zoo zoo/runs.csv: hl_gauss, mse --><!-- end -->")
    assert "| environment | agent | steps | HL-Gauss | MSE | published |" in text
    assert "| Pong | dqn | 1,000 |  | 3 (12.7; 2) |  |" in text  # 12.706 is t of one degree of freedom
    assert "| Pong | ppo | 1,000 | 7 |  | Theirs, 5,000: 9.5 (std 1.25; 3) |" in text
    for asked, words in (
        ("hlgauss", "unknown loss hlgauss"),
        ("mse | env=None", "no row has env=None"),
        ("mse", "a run twice"),
    ):
        twice = "zoo/runs.csv zoo/runs.csv" if words == "a run twice" else "zoo/runs.csv"
        with pytest.raises(PluginError, match=words):
            page(hooks, f"<!-- zoo {twice}: {asked} --><!-- end -->")
    monkeypatch.setattr(hooks, "PUBLISHED", {("Pong", "ppo"): ("Pong", "Nobody", "5000")})
    with pytest.raises(PluginError, match="no row has Pong, Nobody, 5000"):
        page(hooks, "<!-- zoo zoo/runs.csv: hl_gauss, mse --><!-- end -->")
