"""`catzoo gallery`: a folder with a page and films, of the zoo's agents and of runs, in one go or in two."""

import importlib.util
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import imageio.v3 as iio
import pytest
from PIL import Image

import catzoo
from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue.pretrained import pretrained
from catzoo.zoo.cli.main import main
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.gallery.agent_cards import card_of
from catzoo.zoo.gallery.gallery import SECONDS, gallery
from catzoo.zoo.gallery.gallery_folder import GalleryFolder, key_of
from catzoo.zoo.watch import small_film
from runs_for_tests import made

NAME = "dqn-CartPole-v1-hl_gauss"
SITE = Path(__file__).resolve().parents[3] / "docs" / "gallery"


class Page(HTMLParser):
    """What a page shows, and whether its tags are balanced."""

    VOID = ("meta", "img", "rect")

    def __init__(self, file):
        super().__init__()
        self.open, self.articles, self.videos, self.images, self.words = [], [], [], [], []
        self.feed(file.read_text(encoding="utf-8"))
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "article":
            self.articles.append(attributes["id"])
        if tag == "video":
            assert attributes["aria-label"]
            assert attributes["preload"] == "none"
            self.videos.append(attributes["src"])
            self.images.append(attributes["poster"])
        if tag == "img":
            assert attributes["alt"]
            assert attributes["loading"] == "lazy"
            self.images.append(attributes["src"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in self.VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Somebody's own run, with a name that needs quotes, and metrics; beside it one that is not finished."""
    folder = tmp_path_factory.mktemp("runs")
    episodes = [(100, 9.0), (200, 11.0)]
    own = made(folder / "my run #1", [9.0, 11.0], loss="hl_gauss", episodes=episodes, gamma=0.9)
    shutil.copy(pretrained()[NAME] / "weights.safetensors", own.weights)
    made(folder / "unfinished", [])
    return folder


@pytest.fixture(scope="module")
def own(run, tmp_path_factory):
    """A gallery of it, what was returned, and what was told meanwhile."""
    out, seen = tmp_path_factory.mktemp("galleries") / "new" / "own", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_film, "MOST_STEPS", 20)
        found = gallery(out, run, seconds=0.2, progress=lambda *counts: seen.append(counts))
    return out, found, seen


def test_somebodys_own_run(own, run):
    out, found, seen = own
    assert found == {
        "page": out / "index.html",
        "filmed": ["my_run__1"],
        "kept": [],
        "without": {},
        "notes": [f"not finished and left out: {run / 'unfinished'}"],
    }
    assert seen == [(0, 1, "my_run__1"), (1, 1, "")]
    assert {path.name for path in out.iterdir()} == {
        "index.html", "gallery.json", "my_run__1.mp4", "my_run__1.webp", "my_run__1-curve.png",
    }  # fmt: skip
    page = Page(out / "index.html")
    assert page.articles == ["my_run__1"]
    assert page.videos == ["my_run__1.mp4"]
    assert {"my_run__1.webp", "my_run__1-curve.png"} == set(page.images)
    assert "10.0 [9.0, 11.0] mean greedy return of 2 episodes" in page.text
    assert f"catzoo eval '{run / 'my run #1'}'" in page.text
    assert "catzoo train dqn --env CartPole-v1 --loss hl_gauss --seed 0 gamma=0.9" in page.text
    assert "loss, but gamma=0.9 ." in page.text
    assert "gamma: 0.9 " in page.text
    assert "--seconds 0.2" in page.text


def test_the_film_and_its_still(own):
    out, *_ = own
    frames = iio.imread(out / "my_run__1.mp4")
    assert frames.shape == (3, 564, 960, 3)  # 0.2 s at 50 / 3 pictures a second
    assert abs(iio.immeta(out / "my_run__1.mp4")["fps"] - 50 / 3) < 0.1
    with Image.open(out / "my_run__1.webp") as still:
        assert still.size == (960, 564)
    film = GalleryFolder(out).films()["my_run__1"]
    assert (film.steps, film.score, film.shown) == (20, 20.0, 9)


def test_it_goes_on_and_makes_only_what_is_missing_or_changed(run, tmp_path, monkeypatch):
    copy, filmed = tmp_path / "run", []

    def film(run, *places, **options):
        filmed.append(Path(run).name)
        for place in places:
            place.write_text("a film")
        return {"steps": 3, "return": 1.5, "shown": 2}

    def stopped(run, *places, **options):
        if filmed:
            raise KeyboardInterrupt
        return film(run, *places, **options)

    monkeypatch.setattr(small_film, "small_film", film)
    shutil.copytree(run / "my run #1", copy)
    out, both = tmp_path / "gallery", [copy, "wordle-wordle-40-mse"]
    catzoo.gallery(out, both, seed=3)
    assert filmed == ["run", "wordle-wordle-40-mse"]
    assert gallery(out, both, seed=3)["kept"] == filmed
    assert len(filmed) == 2
    assert (
        "Seed 3: the first 2 of 3 steps of an episode with the return 1.50" in Page(out / "index.html").text
    )
    (out / "run.mp4").unlink()
    assert gallery(out, both, seed=3)["filmed"] == ["run"]
    (copy / "recipe.yaml").write_text((copy / "recipe.yaml").read_text() + "\n")
    assert gallery(out, both, seed=3)["filmed"] == ["run"]
    filmed.clear()
    monkeypatch.setattr(small_film, "small_film", stopped)
    with pytest.raises(KeyboardInterrupt):
        gallery(out, both, seed=4)
    monkeypatch.setattr(small_film, "small_film", film)
    assert gallery(out, both, seed=4)["filmed"] == ["wordle-wordle-40-mse"]
    assert gallery(out, copy, seed=4)["kept"] == ["run"]
    assert {path.stem for path in out.iterdir()} == {"run", "run-curve", "index", "gallery"}


def test_a_curve_stays_as_long_as_its_agent_is_shown_with_or_without_a_film(run, tmp_path, monkeypatch):
    def film(run, *places, **options):
        for place in places:
            place.write_text("a film")
        return {"steps": 3, "return": 1.5, "shown": 2}

    def lacks(run, *places, **options):
        raise RecipeError("no film here")

    def files():
        return {path.name for path in out.iterdir()} - {"index.html", "gallery.json"}

    out, copy = tmp_path / "gallery", tmp_path / "run"
    shutil.copytree(run / "my run #1", copy)
    monkeypatch.setattr(small_film, "small_film", film)
    gallery(out, copy)
    assert files() == {"run.mp4", "run.webp", "run-curve.png"}
    monkeypatch.setattr(small_film, "small_film", lacks)
    assert gallery(out, copy, seed=1, trust=True)["without"] == {"run": "no film here"}
    assert files() == {"run-curve.png"}
    page = Page(out / "index.html")
    assert page.images == ["run-curve.png"]
    assert f"catzoo gallery {out} {copy} --seed 1 --trust" in page.text
    (out / "mine.png").write_bytes(b"")
    gallery(out, NAME)
    assert files() == {"mine.png"}
    assert GalleryFolder(out).names() == [NAME]


def test_without_its_extra_the_card_stands_with_a_line(tmp_path, monkeypatch, capsys):
    def lacks(*_, **__):
        raise RecipeError("MuJoCo is not installed: pip install 'catzoo[mujoco]'")

    monkeypatch.setattr(small_film, "play_run", lacks)
    assert main(["gallery", str(tmp_path / "out"), NAME]) == 0
    assert f"{NAME}: no film: MuJoCo is not installed" in capsys.readouterr().out
    page = Page(tmp_path / "out" / "index.html")
    assert page.videos == []
    assert "No film: MuJoCo is not installed: pip install 'catzoo[mujoco]'" in page.text
    assert "500.0 [500.0, 500.0]" in page.text
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"index.html", "gallery.json"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["taken", NAME], "taken: has other files in it"),
        (["new", "dqn-CartPole-v1-hl_gaus"], f"did you mean {NAME}"),
        (["new", "unfinished"], "no run is finished"),
        (["new", NAME, "--seconds", "0"], "must be above 0"),
        ([NAME], "name a folder first"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "gallery.json").write_text('{"films": {}}')
    made(tmp_path / "unfinished", [])
    before = sorted(tmp_path.rglob("*"))
    assert main(["gallery", *words]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert said in printed.err
    assert printed.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_two_runs_of_one_name_have_files_of_their_own(run, tmp_path, monkeypatch):
    monkeypatch.setattr(small_film, "small_film", lambda *_, **__: {"steps": 3, "return": 1.5, "shown": 3})
    for place in ("a", "b"):
        shutil.copytree(run / "my run #1", tmp_path / place / "run")
    assert gallery(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])["filmed"] == ["run", "run-2"]
    page = Page(tmp_path / "out" / "index.html")
    assert page.articles == ["run", "run-2"]
    assert "all 3 steps of an episode with the return 1.50" in page.text


def test_the_site_has_the_zoos_agents_as_they_are_now():
    page, films = Page(SITE / "index.html"), GalleryFolder(SITE).films()
    assert page.articles == list(films) == list(pretrained()), "catzoo gallery docs/gallery"
    for name, folder in pretrained().items():
        run = Run(folder)
        card = card_of(run, run.result(), name, name)
        assert re.search(re.escape(f"{card.mean} {card.interval} mean greedy return"), page.text), name
        assert films[name].key == key_of(run, small_film.LOOK, SECONDS, 0), "catzoo gallery docs/gallery"
        assert (SITE / f"{name}.mp4").stat().st_size < 300_000
        assert (SITE / f"{name}.webp").is_file()
    assert sum(path.stat().st_size for path in SITE.iterdir()) < 2_500_000


@pytest.mark.skipif(importlib.util.find_spec("chess") is None, reason="needs the extra chess")
def test_where_only_the_chosen_move_is_valued_there_are_no_bars(tmp_path, monkeypatch):
    drawn, picture = [], small_film.SmallPicture
    monkeypatch.setattr(small_film, "SmallPicture", lambda *about: drawn.append(picture(*about)) or drawn[-1])
    monkeypatch.setattr(small_film, "MOST_STEPS", 2)
    for name in ("chess-chess-random-hl_gauss", NAME):
        made = small_film.small_film(name, tmp_path / "film.mp4", tmp_path / "still.webp", seconds=1)
        assert made["steps"] == made["shown"] == 2
    chess, cartpole = drawn
    assert not hasattr(chess, "action_bars")
    assert chess.box[3] > cartpole.box[3]
    assert hasattr(cartpole, "action_bars")


@pytest.mark.skipif(importlib.util.find_spec("chess") is None, reason="needs the extra chess")
def test_the_end_of_an_episode_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(small_film, "MOST_STEPS", 2)
    small_film.small_film(
        "chess-chess-random-hl_gauss", tmp_path / "film.mp4", tmp_path / "a.webp", seconds=1
    )
    assert len(iio.imread(tmp_path / "film.mp4")) == 2 + 4  # of four a second


def test_the_speed_of_a_film_is_the_games_own():
    assert small_film.drawn_steps(50, 6.0) == range(0, 300, 3)
    assert small_film.drawn_steps(15, 6.0) == range(90)
    assert small_film.drawn_steps(2, 6.0) == range(24)
    assert small_film.drawn_steps(30, 0.001) == range(0, 2, 2)
