"""Lists of games: sets, patterns and ids, every name looked up before anything starts."""

import subprocess
import sys

import ale_py
import gymnasium as gym
import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.names import SETS, in_file_names, is_list
from catzoo.zoo.environments.registry import find_spec
from catzoo.zoo.environments.selection import expand
from catzoo.zoo.reporting.published_scores import published

gym.register_envs(ale_py)


@pytest.mark.parametrize("name", [name for name in SETS if name.startswith("atari")])
def test_atari_sets_are_what_they_are_called_and_ale_has_them(name):
    games = SETS[name]
    assert len(games) == len(set(games)) == int(name.split("-")[1])
    assert set(games) <= set(gym.registry)
    assert set(games) <= set(SETS["atari-57"])


def test_smaller_sets_lie_in_larger_ones():
    assert set(SETS["atari-5"]) < set(SETS["atari-10"])
    assert SETS["atari-5"] == tuple(
        f"ALE/{game}-v5" for game in ("BattleZone", "DoubleDunk", "NameThisGame", "Phoenix", "Qbert")
    )


def test_minatar_set():
    pytest.importorskip("minatar")
    assert expand("minatar-5") == list(SETS["minatar-5"]) == expand("MinAtar/*")
    for game in SETS["minatar-5"]:
        assert find_spec(game).id == f"{game}-v1"


def test_mujoco_set():
    names = ["HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5"]
    assert expand("mujoco-5") == names
    assert is_list("mujoco-5")
    assert SETS["dmc-28"] == tuple(sorted({row.env for row in published() if row.protocol == "dmc"}))


def test_tasks_of_deepmind_control_are_found_by_those_who_ask():
    pytest.importorskip("dm_control")
    tasks = expand("dmc/*")
    assert len(tasks) > 40
    assert set(expand("dmc-28")) < set(tasks)
    assert expand("dmc/cheetah-*") == ["dmc/cheetah-run"]
    assert "dmc/ball_in_cup-catch" in tasks
    assert not any(name.startswith("dmc/") for name in expand("*-v1"))
    for wrong, right in (("cheetah-rn", "cheetah-run"), ("ball-in-cup-catch", "ball_in_cup-catch")):
        with pytest.raises(RecipeError, match=f"did you mean dmc/{right}"):
            expand(f"dmc/{wrong}")


def test_a_pattern_is_every_game_that_ale_ships():
    games = expand("ALE/*")
    assert len(games) > 100
    assert games == sorted(name for name in gym.registry if name.startswith("ALE/"))
    assert expand("ALE/[PQ]o*-v5") == ["ALE/Pong-v5", "ALE/Pooyan-v5"]


def test_a_pattern_registers_what_it_asks_for():
    assert expand("wordle/*") == ["wordle/1000", "wordle/200", "wordle/40", "wordle/4667"]
    pytest.importorskip("chess")
    assert expand("chess/stockfish-?") == [f"chess/stockfish-{level}" for level in range(10)]


def test_lists_keep_their_order_and_drop_what_is_there():
    games = expand("ALE/Qbert-v5, CartPole-v1,Atari-5,CartPole-v1,ALE/Qb*")
    assert games == ["ALE/Qbert-v5", "CartPole-v1", *(g for g in SETS["atari-5"] if "Qbert" not in g)]


def test_two_names_of_one_game_are_one_game():
    pytest.importorskip("minatar")
    assert expand("MinAtar/Breakout,MinAtar/Breakout-v1,MinAtar/B*") == ["MinAtar/Breakout"]


def test_sets_of_variants_are_all_that_ale_has():
    for name, game, count in (("asteroids-66", "Asteroids", 66), ("space-invaders-32", "SpaceInvaders", 32)):
        assert is_list(name)
        assert len(set(SETS[name])) == count
        assert expand(name) == list(SETS[name]) == expand(f"ALE/{game}-v5?mode=*&difficulty=*")


def test_variants_are_ids_and_their_patterns_stand_for_what_a_game_has():
    variant = "ALE/Asteroids-v5?mode=5&difficulty=3"
    assert not is_list(variant)
    assert expand(f"{variant},ALE/Asteroids-v5?difficulty=3&mode=5,ALE/Asteroids-v5") == [
        variant, "ALE/Asteroids-v5",
    ]  # fmt: skip
    assert expand("ALE/Pong-v5?mode=*") == ["ALE/Pong-v5?mode=0", "ALE/Pong-v5?mode=1"]
    assert expand("ALE/Asteroids-v5?mode=3?&difficulty=0")[-1] == "ALE/Asteroids-v5?mode=31&difficulty=0"
    assert expand("ALE/Asteroids-v5?mode=12[0-9]") == ["ALE/Asteroids-v5?mode=128"]
    assert expand("ALE/Po[n]g-v5?difficulty=[12]") == ["ALE/Pong-v5?difficulty=1", "ALE/Pong-v5?difficulty=2"]
    assert find_spec(variant).id == "ALE/Asteroids-v5"


def test_variants_in_the_names_of_files():
    assert in_file_names("ALE/Asteroids-v5?mode=5&difficulty=3") == "ALE-Asteroids-v5-mode5-difficulty3"
    assert in_file_names("my_package:MyEnv-v0") == "my_package-MyEnv-v0"
    assert len({in_file_names(name) for name in SETS["asteroids-66"]}) == 66


def test_plain_ids_pass_unchanged(tmp_path, monkeypatch):
    (tmp_path / "my_package_of_games.py").write_text(
        "import gymnasium as gym\n"
        "gym.register('MyGame-v0', entry_point='gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("CartPole-v1", "my_package_of_games:MyGame-v0", "ALE/Pong-v5", "FrozenLake-v1"):
        assert expand(name) == [name]
        assert not is_list(name)
    assert all(
        is_list(text) for text in ("A-v0,B-v0", "ALE/*", "atari-5", "Atari-57", "Cart[P]ole-v1", "X-v?")
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CartPole-v1,Acrobat-v1", "unknown environment Acrobat-v1; did you mean Acrobot-v1?"),
        ("atari-5,ALE/Pongg-v5", "ALE/Pongg-v5; did you mean ALE/Pong-v5?"),
        ("atari5", "did you mean atari-5?; sets are atari-5, atari-10"),
        ("ALE/Pog*", "ALE/Pog*: matches no environment; did you mean ALE/Pong-v5?"),
        ("mujoco-6", "did you mean mujoco-5?; sets are atari-5"),
        ("HalfCheeta-v5", "did you mean HalfCheetah-v5?"),
        ("zzz*", "zzz*: matches no environment"),
        ("CartPole-v1,,Acrobot-v1", "an empty name"),
        ("ALE/Asteroids-v5?mode=99", "no mode 99; the game has mode 0 to 31 and 128, difficulty 0 and 3"),
        (
            "ALE/Asteroids-v5?difficulty=1",
            "no difficulty 1; the game has mode 0 to 31 and 128, difficulty 0 and",
        ),
        ("ALE/Pong-v5?mod=1", "unknown switch mod; did you mean mode?"),
        ("ALE/Pong-v5?colour=1", "unknown switch colour: there are mode and difficulty"),
        ("ALE/Pong-v5?=1", "unknown switch without a name"),
        ("ALE/Pong-v5?mode=1&mode=1", "mode is said twice"),
        ("ALE/Pong-v5?mode=", "must be a whole number"),
        ("ALE/Pong-v5?mode", "must be a whole number"),
        ("ALE/Pong-v5?mode=-1", "mode=-1: must be a whole number"),
        ("ALE/Pongg-v5?mode=1", "did you mean ALE/Pong-v5?"),
        ("ALE/Pong-v5?mode=7*", "matches no variant; ALE/Pong-v5 has mode 0 and 1, difficulty 0 to 3"),
        ("ALE/Pong-v5?mode=*&colour=*", "unknown switch colour"),
        ("CartPole-v1?mode=1", "CartPole-v1?mode=1: only Atari's games, ALE/…, have mode and difficulty"),
        ("MinAtar/Breakout?mode=1", "only Atari's games"),
        ("no_such_module_here:X-v0?mode=1", "only Atari's games"),
        ("asteroids-63", "did you mean asteroids-66?; sets are"),
        ("CartPole-v1,no_such_module_here:X-v0", "cannot import no_such_module_here"),
    ],
)
def test_one_bad_name_is_refused_in_one_line(text, words):
    with pytest.raises(RecipeError) as caught:
        expand(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_minatar_missing_names_the_extra_only_to_those_who_want_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "minatar.gym", None)
    assert expand("CartPole-v[1]") == ["CartPole-v1"]
    for text in ("MinAtar/*", "minatar-5"):
        with pytest.raises(RecipeError, match=r"catzoo\[minatar\]"):
            expand(text)


def test_the_module_imports_nothing_heavy():
    code = "import sys, catzoo.zoo.environments.names as names; "
    code += "assert not {'gymnasium', 'numpy', 'torch'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
