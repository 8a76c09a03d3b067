"""The command: quick where it lists, one line and status 2 where something is wrong."""

import html
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from catzoo.hparams import RECIPES
from catzoo.zoo.cli.bench import KINDS
from catzoo.zoo.cli.data import WORLDS
from catzoo.zoo.cli.main import COMMANDS, main
from catzoo.zoo.cli.parser import whole
from catzoo.zoo.cli.show import field_docs
from runs_for_tests import made


def failing(capsys, *words):
    """Runs a command that must fail; returns its one line."""
    try:
        status = main(words)
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("catzoo: error: ")
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("trian dqn", "did you mean train"),
        ("train dqn --env CartPole-v1 --los mse", "did you mean --loss"),
        ("train dqn --env CartPole-v1 --lr 3", "unknown option --lr"),
        ("train dqn", "--env"),
        ("train", "AGENT"),
        ("train gamma=0.9 --env CartPole-v1", "required: AGENT (or --from)"),
        ("train dqn --env CartPole-v1 --steps many", "not a whole number"),
        ("train dqn --env CartPole-v1 --steps -5", "steps=-5: must be at least 1"),
        ("train dqn --env CartPole-v1 optimizer.lrr=3", "did you mean optimizer.lr"),
        ("train dqn --env CartPole-v1 value_loss.sigma=1 value_loss.sigma_ratio=1", "exclude each other"),
        ("train dqn --env CartPole-v1 value_loss.num_bins=1", "at least 2"),
        ("train a3c --env CartPole-v1", "unknown agent 'a3c'"),
        ("train dqn --env CartPole-v1 --loss crossentropy", "unknown loss 'crossentropy'"),
        ("train dqn --env Pendulum-v1", "discrete action space"),
        ("train dqn --env CartPole-v1 --wandb x", "catzoo[wandb]"),
        ("eval nowhere", "nowhere: no such folder"),
        ("eval nowhere --episodes 0", "at least 1"),
        ("watch nowhere --out film.txt", "film.txt"),
        ("show a3c", "unknown agent"),
        ("show dqn --env CartPolee-v1", "did you mean CartPole-v1"),
        ("eval nowhere --seed -1", "at least 0"),
        ("bench speed", "known are training"),
        ("train dqn --env CartPole-v1,Acrobat-v1", "did you mean Acrobot-v1"),
        ("train dqn --env CartPole-v1 --seeds 0", "argument --seeds: 0 must be at least 1"),
        ("train dqn --env CartPole-v1 --workers 0", "argument --workers: 0 must be at least 1"),
        ("train dqn --env CartPole-v1 --loss mse,hlgau", "did you mean hl_gauss"),
        ("train dqn --env atari-7", "sets are atari-5"),
        ("train a3c --env CartPole-v1,Acrobot-v1", "unknown agent 'a3c'"),
        ("train dqn --env CartPole-v1,Acrobot-v1 optimizer.lrr=3", "did you mean optimizer.lr"),
        ("train dqn --env CartPole-v1,Acrobot-v1 --wandb x", "catzoo[wandb]"),
        ("train pqn --env CartPole-v1 replay.capacity=5", "replay does not apply to pqn"),
        ("train dqn --env ALE/Pong-v5 --preset atari100k", "did you mean atari-100k"),
        (
            "train dqn --env CartPole-v1 --preset atari-100k",
            "preset atari-100k is for ALE/*, not for CartPole-v1",
        ),
        ("train dqn --env ALE/Pung-v5", "did you mean ALE/Pong-v5"),
        ("train dqn --env MinAtar/Breakout+", "name every game once"),
        ("show dqn --env +minatar5", "did you mean minatar-5"),
        ("show dqn --preset fast", "unknown preset 'fast'"),
        ("bench replay --parts speed", "known are priorities, store, memory"),
        ("play chess-chess-random-hl_gauss --uci --yours", "--yours does not go with --uci"),
        ("play chess-chess-random-hl_gauss --uci --seed 0", "--seed does not go with --uci"),
        ("scores nowhere", "no such folder"),
        ("scores .", "no run in it"),
        ("scores", "RUNS_FOLDER"),
        ("report", "RUN"),
        ("report runs", "--out"),
        ("report nowhere --out page", "no such folder"),
        ("report . --out page", "no run in it"),
        ("reprot runs", "did you mean report"),
        ("scores nowhere --limit 3", "unknown option --limit; see"),  # another command's
        ("report runs --out page more", "unrecognized arguments: more"),
    ],
)
def test_mistakes(capsys, tmp_path, monkeypatch, command, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert words in failing(capsys, *command.split())
    assert list(tmp_path.iterdir()) == []


ODD = "'x' [/b] $HOME é"
DOORS = [
    ["train", "dqn", "--env", "CartPole-v1", "--run-dir"],
    ["train", "dqn", "--env", "CartPole-v1", "--seeds", "2", "--run-dir"],
    ["train", "--from"],
    ["tune", "dqn", "--env", "CartPole-v1", "--study-dir"],
    ["tune", "dqn", "--env", "CartPole-v1", "--out"],
    ["tune", "dqn", "--env", "CartPole-v1", "--space"],
    ["tune", "dqn", "--env", "CartPole-v1", "--storage"],
    ["eval"],
    ["watch", "--out", "film.gif"],
    ["watch", "runs", "--out"],
    ["export", "--onnx"],
    ["export", "losses", "mse", "--out"],
    ["scores"],
    ["scores", "runs", "--out"],
    ["scores", "runs", "--curves"],
    ["report", "--out", "report"],
    ["report", "runs", "--out"],
    ["reproduce", "sigma-bins", "--out"],
]


@pytest.mark.parametrize("name", ["", "a\nb", "a\0b", "x" * 300])
@pytest.mark.parametrize("words", DOORS, ids=" ".join)
def test_what_is_no_name_is_refused_at_every_door(capsys, tmp_path, monkeypatch, words, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("catzoo.zoo.launch.processes.check", None)  # of what can be trained
    monkeypatch.setattr("catzoo.zoo.tuning.tune.check_jobs", lambda *_: None)
    assert "name" in failing(capsys, *words, name)
    assert list(tmp_path.iterdir()) == []


def test_names_are_what_was_typed(capsys, tmp_path, monkeypatch):
    """Of run folders, a report and a table; the command that the report names makes it again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    made(tmp_path / "home" / ODD / "a", [1.0, 2.0])
    made(tmp_path / "-runs" / ODD, [3.0, 4.0], seed=1)
    assert main(["scores", f"~/{ODD}", "./-runs", "--out", f"~/{ODD}.csv"]) == 0
    assert f"{tmp_path}/home/{ODD}.csv: a row" in capsys.readouterr().out
    assert main(["report", f"~/{ODD}", "./-runs", "--out", f"./-{ODD}"]) == 0
    page = tmp_path / f"-{ODD}" / "index.html"
    command = html.unescape(re.search("<code>(catzoo report .*?)</code>", page.read_text())[1])
    for file in page.parent.iterdir():
        file.unlink()
    assert main(shlex.split(command)[1:]) == 0
    assert page.is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"home", "-runs", Path(f"-{ODD}").parts[0]}


def test_overrides_may_stand_anywhere(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = failing(capsys, "train", "dqn", "gamma=0.9", "--env", "CartPole-v1", "gamma=7")
    assert "gamma=7: must be at least 0 and at most 1" in line


def test_with_from_the_first_word_may_be_an_override(monkeypatch):
    taken = []
    monkeypatch.setattr("catzoo.zoo.training.train.train", lambda **settings: taken.append(settings))
    monkeypatch.setattr("catzoo.zoo.reporting.result_table.print_result", lambda _: None)
    assert main(["train", "gamma=0.9", "--from", "best.yaml", "n_step=2", "--seed", "7", "n_step=3"]) == 0
    assert main(["train", "dqn", "--from", "best.yaml"]) == 0
    assert [(row["agent"], row["overrides"]) for row in taken] == [
        (None, ["gamma=0.9", "n_step=2", "n_step=3"]),
        ("dqn", []),
    ]


def test_list_and_show_name_what_there_is(capsys):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "dqn" in listed
    assert "hl_gauss" in listed
    assert main(["show", "dqn", "--env", "MinAtar/Breakout", "--loss", "c51"]) == 0
    shown = capsys.readouterr().out
    assert "value_loss.num_bins" in shown
    assert "c51" in shown
    assert "atari-100k (ALE/*)" in shown
    assert main(["show", "pqn", "--preset", "atari-100k"]) == 0
    shown = capsys.readouterr().out
    assert "Recipe for ALE/*, preset atari-100k" in shown
    assert "100000" in shown
    assert "replay.capacity" not in shown  # it has none
    assert main(["show", "dqn", "--env", "CartPole-v1", "optimizer.lr=0.0123"]) == 0
    assert "0.0123" in capsys.readouterr().out
    assert main(["show", "dqn", "optimizer.lr=fast"]) == 2
    assert "optimizer.lr" in capsys.readouterr().err


def test_every_key_has_a_meaning():
    for schema in RECIPES.values():
        assert all(field_docs(schema).values())


@pytest.mark.parametrize("text", ["20000", "20_000", "2e4", "20k"])
def test_whole_numbers(text):
    assert whole(text) == 20_000


def test_whole_numbers_beyond_those_of_floats_are_exact():
    assert whole("9007199254740993") == 9_007_199_254_740_993


def test_without_a_word_it_says_what_there_is(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"\n    {name}\s", said) for name in COMMANDS)


def test_every_file_is_a_command():
    folder = Path(sys.modules["catzoo.zoo.cli"].__path__[0])
    files = [module for module, _ in (*COMMANDS.values(), *KINDS.values(), *WORLDS.values())]
    assert sorted([*files, "__init__", "main", "parser"]) == sorted(path.stem for path in folder.glob("*.py"))


@pytest.mark.parametrize(
    "words", [*COMMANDS, *(f"bench {kind}" for kind in KINDS), *(f"data {world}" for world in WORLDS)]
)
def test_every_command_has_help(capsys, words):
    with pytest.raises(SystemExit) as stop:
        main([*words.split(), "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: catzoo {words} ")


@pytest.mark.parametrize(
    ("words", "imported"),
    [
        ("--help", set()),
        ("--version", set()),
        ("list", {"listing"}),
        ("train --help", {"train"}),
        ("bench --help", {"bench"}),
        ("bench soak --help", {"bench", "bench_soak"}),
    ],
)
def test_only_the_command_in_use_is_imported(words, imported):
    code = (
        "import sys\n"
        "from catzoo.zoo.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('imported', *(name for name in sys.modules if name.startswith('catzoo.zoo.cli.')))\n"
    )
    run = [sys.executable, "-c", code, *words.split()]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    _, *names = done.stdout.splitlines()[-1].split()
    assert {name.rsplit(".", 1)[1] for name in names} == {"main", "parser"} | imported


@pytest.mark.parametrize(
    "words",
    [["--help"], ["list"], ["show", "dqn"], ["train", "--help"], ["scores", "--help"], ["report", "--help"]],
)
def test_quick_commands_import_nothing_heavy(words):
    code = (
        "import sys\n"
        "from catzoo.zoo.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'torchrl', 'lightning', 'gymnasium', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_scores_are_gathered_without_torch(tmp_path):
    from catzoo.zoo.catalogue.recipe_files import find_recipe
    from catzoo.zoo.folders.run_folder import Run
    from catzoo.zoo.training.evaluate import result_of

    for seed in (0, 1):
        recipe, run = find_recipe("dqn", "CartPole-v1", "mse", [{"seed": seed}]), Run(tmp_path / str(seed))
        run.path.mkdir()
        run.save_recipe(recipe)
        run.save_result(result_of(recipe, [1.0, 2.0]))
    code = (
        "import sys\n"
        "from catzoo.zoo.cli.main import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "assert not {'torch', 'lightning', 'matplotlib'} & set(sys.modules)\n"
    )
    words = ["scores", str(tmp_path), "--out", str(tmp_path / "scores.csv")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "CartPole-v1" in done.stdout


def test_import_catzoo_is_light_and_lazy():
    code = "import sys, catzoo; assert 'torch' not in sys.modules; assert callable(catzoo.train)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_name_of_the_package_is_there():
    import catzoo

    assert all(getattr(catzoo, name) is not None for name in catzoo.__all__)


def test_unknown_attributes_are_still_errors():
    import catzoo

    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        catzoo.trian  # noqa: B018


def test_an_unknown_environment_is_told_before_torch_is_imported():
    code = (
        "import sys; from catzoo.zoo.cli.main import main; "
        "status = main(['train', 'dqn', '--env', 'CartPol-v1']); "
        "print(status, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["2", "False"]
    assert "did you mean CartPole-v1?" in done.stderr
