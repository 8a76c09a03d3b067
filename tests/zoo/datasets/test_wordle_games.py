"""Games of Wordle as data: what the environment would have shown, of the quality that was asked for."""

import numpy as np
import pytest
import torch

from catzoo.agents.replay import read_dataset
from catzoo.hparams import RecipeError
from catzoo.zoo.datasets.wordle_games import make_wordle_games, play_mixture
from catzoo.zoo.environments.making import make_env
from catzoo.zoo.environments.wordle_rules import letters_of, words_of
from catzoo.zoo.system.file_locks import held_path
from catzoo.zoo.training.wordle_metrics import contradicts


def test_the_environment_would_have_shown_the_same(tmp_path):
    make_wordle_games("wordle/40", tmp_path, games=30, quality=0.3, seed=1)
    data = read_dataset(tmp_path)
    answers = play_mixture(40, np.random.default_rng([1, 40]), 30, 0.3)["answer"]
    env = make_env("wordle/40", 1)
    for tokens, action, reward, answer in zip(*data.columns.values(), answers, strict=True):
        env.reset(seed=0, options={"answer": words_of(40)[answer]})
        length = int((action >= 0).sum())
        for place in range(length):
            _, paid, over, _, infos = env.step(action[place : place + 1].numpy())
            assert paid[0] == reward[place]
            assert over[0] == (place == length - 1)
        assert np.array_equal(infos["final_obs"][0], tokens.numpy())
        assert (reward[length:] == 0).all()


def test_who_guesses_what_fits_contradicts_nothing_and_wins_more():
    played = {
        quality: play_mixture(40, np.random.default_rng(0), 400, quality) for quality in (0.0, 0.5, 1.0)
    }
    rates = [part["won"].mean() for part in played.values()]
    assert rates[0] < rates[1] < rates[2]
    best, letters = played[1.0], letters_of(words_of(40))
    wrong = contradicts(letters[best["guess"]], letters[best["answer"]])
    assert not wrong[np.arange(6) < best["played"][:, None]].any()


def test_what_is_there_is_not_made_again(tmp_path):
    first = make_wordle_games("wordle/40", tmp_path / "data", games=20)
    assert make_wordle_games("wordle/40", tmp_path / "data", games=20, progress=pytest.fail) == first
    with pytest.raises(RecipeError, match="holds another dataset"):
        make_wordle_games("wordle/40", tmp_path / "data", games=20, quality=0.5)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(RecipeError, match="holds something else"):
        make_wordle_games("wordle/40", tmp_path / "other", games=20)


def test_what_a_killed_start_left_is_written_over(tmp_path):
    whole = make_wordle_games("wordle/40", tmp_path / "data", games=20)
    before = read_dataset(tmp_path / "data").columns["tokens"].clone()
    (tmp_path / "data" / "manifest.json").unlink()
    assert make_wordle_games("wordle/40", tmp_path / "data", games=20) == whole
    assert torch.equal(read_dataset(tmp_path / "data").columns["tokens"], before)


def test_a_folder_that_cannot_be_or_is_held_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(RecipeError, match=r"file.*: cannot be written"):
            make_wordle_games("wordle/40", out, games=5)
    (tmp_path / "data").mkdir()
    with held_path(tmp_path / "data", "at work"), pytest.raises(RecipeError, match="is making this dataset"):
        make_wordle_games("wordle/40", tmp_path / "data", games=5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"env": "CartPole-v1"}, "CartPole-v1: games of Wordle are played with wordle/40"),
        ({"quality": 1.5}, "^quality=1.5: must be from 0 to 1$"),
        ({"games": 0}, "^games=0: must be at least 1$"),
    ],
)
def test_bad_input_is_one_line(tmp_path, change, words):
    with pytest.raises(RecipeError, match=words):
        make_wordle_games(**{"env": "wordle/40", "games": 5, "out": tmp_path / "data"} | change)
    assert not (tmp_path / "data").exists()
