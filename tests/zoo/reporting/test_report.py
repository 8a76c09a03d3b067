"""`catzoo report`: the folder, the page that needs nothing else, and mistakes in one line."""

import base64
import subprocess
import sys
from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image

import catzoo
from catzoo.zoo.cli.main import main
from catzoo.zoo.reporting import report_pictures
from catzoo.zoo.reporting.report import report
from catzoo.zoo.system.csv_rows import read_rows
from runs_for_tests import made

FILES = {
    "index.html", "scores.csv", "aggregates.csv", "per_environment.csv", "table.md",
    "curves.png", "aggregates.png", "profiles.png", "improvement.png",
}  # fmt: skip
EPISODES = [(step, step / 100) for step in range(100, 10_001, 100)]


@pytest.fixture
def runs(tmp_path):
    """Two losses on two environments, two seeds, and one run that is not finished."""
    folder = tmp_path / "runs"
    for seed in range(2):
        for loss, level in (("mse", 100.0), ("c51", 400.0)):
            for env in ("CartPole-v1", "Acrobot-v1"):
                path = folder / f"{env}-{loss}-{seed}"
                made(path, [level + seed], env, loss, seed=seed, steps=10_000, episodes=EPISODES)
    made(folder / "unfinished", [], seed=2)
    return folder


class Page(HTMLParser):
    """What a page is made of, and whether its tags are balanced."""

    VOID = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.images, self.words, self.links = [], set(), [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.links += [value for name, value in attributes.items() if name in ("src", "href")]
        if tag == "img":
            assert attributes["alt"]
            kind, _, content = attributes["src"].partition("base64,")
            assert kind == "data:image/png;"
            self.images.append(base64.b64decode(content, validate=True))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_everything(runs, tmp_path):
    out = tmp_path / "new" / "report"
    found = report(runs, out)
    assert {path.name for path in out.iterdir()} == FILES
    assert {path.name for path in found["files"]} == FILES
    assert found["page"] == out / "index.html"
    assert found["notes"] == [f"1 run is not finished and left out: {runs / 'unfinished'}"]
    assert len(read_rows(out / "scores.csv")) == 8
    assert len(read_rows(out / "per_environment.csv")) == len(found["environments"]) == 4
    assert len(read_rows(out / "aggregates.csv")) == len(found["aggregates"]) == 4 * 2 + 1
    assert (out / "table.md").read_text().startswith("| environment | steps | DQN · MSE | DQN · C51 |")


def test_the_page_needs_nothing_else(runs, tmp_path):
    text = report(runs, tmp_path / "out")["page"].read_text()
    page = Page(text)
    assert all(link.startswith("data:") for link in page.links)
    assert "script" not in page.tags
    assert "url(" not in text
    pictured = [(tmp_path / "out" / f"{name}.png").read_bytes()
                for name in ("aggregates", "profiles", "improvement", "curves")]  # fmt: skip
    assert page.images == pictured
    for content in pictured:
        Image.open(BytesIO(content)).verify()
    words = " ".join(page.words)
    for word in ("classic-control", "10,000", "2 seeds", f"catzoo {catzoo.__version__}", "2,000 resamples",
                 "stratified bootstrap", "Student's t", f"catzoo report {runs} --out {tmp_path / 'out'}",
                 f"left out: {runs / 'unfinished'}", "None are known"):  # fmt: skip
        assert word in words, word
    assert "prefers-color-scheme: dark" in text


def test_published_scores_stand_beside_ours(tmp_path):
    made(tmp_path / "run", [123.0], steps=500_000)
    words = " ".join(Page(report(tmp_path / "run", tmp_path / "out")["page"].read_text()).words)
    assert "CleanRL C51" in words
    assert "488.7, s.d. 16.1" in words
    assert "None are known" not in words


def test_names_are_no_markup(tmp_path):
    run = made(tmp_path / "run", [1.0])
    strange = {"env": "<b>$x$", "cpu": "<script>'\"", "date": "&amp;", "policy": "{{ 6 * 7 }}"}
    run.save_result({**run.result(), **strange})
    page = Page(report(tmp_path / "run", tmp_path / "out")["page"].read_text())
    assert not {"b", "script"} & page.tags
    for name in strange.values():
        assert any(name in words for words in page.words), name


def test_another_report_replaces_it(runs, tmp_path):
    out = tmp_path / "out"
    report(runs, out)
    (out / "mine.txt").write_text("kept")
    report([runs / "CartPole-v1-mse-0"], out)  # too little for profiles and improvements
    assert {path.name for path in out.iterdir()} == FILES - {"profiles.png", "improvement.png"} | {"mine.txt"}


def test_lines_look_the_same_in_every_picture(runs, tmp_path, monkeypatch):
    seen = {}

    def spied(name):
        original = getattr(report_pictures, name)

        def call(*arguments):
            seen[name] = arguments
            return original(*arguments)

        return call

    for name in ("draw_curves", "_draw_profiles"):
        monkeypatch.setattr(report_pictures, name, spied(name))
    report(runs, tmp_path / "out")
    looks = seen["draw_curves"][2]
    assert looks == seen["_draw_profiles"][1]
    assert len({str(look) for look in looks.values()}) == 2


def test_the_command(runs, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["report", str(runs / "CartPole-v1-mse-0"), str(runs), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Aggregates (normalised score, 2 environments)" in said
    assert "Optimality gap" in said
    assert "1 run is not finished and left out" in said
    assert f"{out / 'index.html'}: the report; beside it aggregates.png, curves.png" in said
    assert {path.name for path in out.iterdir()} == FILES


def test_nothing_to_aggregate(tmp_path, capsys):
    made(tmp_path / "a", [1.0], "CartPole-v1", "mse")
    made(tmp_path / "b", [1.0], "Acrobot-v1", "c51")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert "not every group has finished runs on them: Acrobot-v1, CartPole-v1" in capsys.readouterr().out
    assert "None, for the reason above" in (tmp_path / "out" / "index.html").read_text()


def test_many_groups_and_panels(tmp_path):
    """More than the palette has, and more environments than large panels."""
    for number in range(9):
        made(tmp_path / "g" / str(number), [1.0], gamma=0.9 + number / 100)
    assert len(read_rows(report(tmp_path / "g", tmp_path / "out")["files"][-2])) == 9
    for number in range(13):
        made(tmp_path / "e" / str(number), [1.0], f"CartPole-v{number}", episodes=EPISODES)
    with Image.open(report(tmp_path / "e", tmp_path / "other")["page"].with_name("curves.png")) as picture:
        assert picture.width > 2000
        assert picture.height < 2000


def _strange_table(out):
    out.mkdir()
    (out / "scores.csv").write_text("mine")


def _stranger(out):
    out.mkdir()
    (out / "index.html").write_text("<h1>Mine</h1>")


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda runs, out: made(runs / "z", [1.0], "MinAtar/Breakout"), "runs of different protocols: "),
        (lambda runs, out: made(runs / "z", [1.0], seed=5), "runs of different lengths on CartPole-v1: "),
        (lambda runs, out: [path.unlink() for path in runs.rglob("result.json")], "no run is finished: "),
        (lambda runs, out: (runs / "CartPole-v1-mse-0" / "result.json").write_text("{"), "json: corrupt"),
        (lambda runs, out: _stranger(out), "not a report of ours: choose another --out"),
        (
            lambda runs, out: _strange_table(out),
            "scores.csv: is there already, and no report of ours beside it",
        ),
        (lambda runs, out: out.write_text("a file"), "cannot be written"),
        (lambda runs, out: (out / "index.html").mkdir(parents=True), "cannot be written"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(prepare, words, runs, tmp_path, capsys):
    out = tmp_path / "out"
    prepare(runs, out)
    before = sorted(tmp_path.rglob("*"))
    assert main(["report", str(runs), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("catzoo: error: ")
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_that_is_none(runs, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(runs), "--out", "a\0b"])
    assert capsys.readouterr().err.count("\n") == 1


def test_it_needs_no_torch(runs, tmp_path):
    code = (
        "import sys, catzoo\n"
        "from catzoo.zoo.cli.main import main\n"
        "assert main(['report', sys.argv[1], '--out', sys.argv[2]]) == 0\n"
        "assert not {'torch', 'lightning', 'torchrl'} & set(sys.modules)\n"
        "assert callable(catzoo.report)\n"
    )
    words = [sys.executable, "-c", code, str(runs), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_picture_that_fails_leaves_no_trace(runs, tmp_path, monkeypatch):
    """The older report stays whole, as far as it was not replaced yet."""
    out = tmp_path / "out"
    before = report(runs, out)["page"].read_bytes()

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("catzoo.zoo.pictures.style.replace", fails)
    assert main(["report", str(runs), "--out", str(out)]) == 2
    assert (out / "index.html").read_bytes() == before
    assert {path.name for path in out.iterdir()} == FILES
