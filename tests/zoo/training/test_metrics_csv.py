"""The log of episodes: which game each is of, and a file that was begun without it."""

from types import SimpleNamespace

from catzoo.agents.collecting.collector import Episode
from catzoo.zoo.system.csv_rows import read_rows
from catzoo.zoo.training.metrics_csv import EpisodeLog

TWO = ("MinAtar/Breakout", "MinAtar/Freeway")


def logged(path, games, *envs, each=3):
    finished = [Episode(10 * (i + 1), 1.5, 4, env, 0.0) for i, env in enumerate(envs)]
    feed = SimpleNamespace(collector=SimpleNamespace(num_envs=each))
    module = SimpleNamespace(work=SimpleNamespace(take_finished=lambda: finished, feed=feed))
    log = EpisodeLog(path, games)
    log.on_train_start(None, module)
    log.on_train_batch_end(None, module)
    return read_rows(path)


def test_each_learners_environments_begin_with_the_first_game(tmp_path):
    rows = logged(tmp_path / "episodes.csv", TWO, 0, 1, 2, 3, 4, 5)  # two learners of three
    assert [row["game"].removeprefix("MinAtar/") for row in rows] == ["Breakout", "Freeway", "Breakout"] * 2


def test_one_game_has_no_column_for_it(tmp_path):
    (row,) = logged(tmp_path / "episodes.csv", TWO[:1], 0)
    assert row == {"step": "10", "return": "1.5", "length": "4"}


def test_a_file_begun_without_games_goes_on_with_them(tmp_path):
    path = tmp_path / "episodes.csv"
    path.write_text("step,return,length\n5,2,7\n")
    old, new = logged(path, TWO, 1)
    assert old == {"step": "5", "return": "2", "length": "7", "game": ""}
    assert new["game"] == "MinAtar/Freeway"
