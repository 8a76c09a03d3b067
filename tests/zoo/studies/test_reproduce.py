"""`catzoo reproduce`: goes on, repeats itself, refuses what is not its own."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import catzoo.zoo
from catzoo.hparams import NoRoomError, RecipeError
from catzoo.zoo.environments import uci_engine
from catzoo.zoo.statistics.intervals import contrast_interval, mean_interval
from catzoo.zoo.studies.reproduce import fewer, make_study, reproduce, words_of
from catzoo.zoo.studies.results_folder import ResultsFolder, load_rows, published_rows, save_rows
from catzoo.zoo.studies.study import Finding, Verdict, find_study
from catzoo.zoo.studies.task_runner import TaskJob, unfinished
from catzoo.zoo.system.exit_status import NO_ROOM

pytestmark = pytest.mark.early
NAME = "stochastic-dynamics"
RESULTS = Path(catzoo.zoo.__file__).parent / "results"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study made in one go, in this process."""
    folder = tmp_path_factory.mktemp("whole") / "study"
    reproduce(NAME, budget="tiny", out=folder, progress=None)
    return folder


def command(folder):
    words = ["catzoo", "reproduce", NAME, "--budget", "tiny", "--workers", "2", "--out", str(folder)]
    return [sys.executable, "-m", *words]


def test_killed_and_begun_again_it_gives_the_same_table(whole, tmp_path):
    folder = ResultsFolder(tmp_path / "study")
    process = subprocess.Popen(command(folder.path), stdout=subprocess.DEVNULL, process_group=0)
    deadline = time.monotonic() + 300
    while not list(folder.tasks.glob("*/rows.csv")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not folder.verdict.exists()
    done = {path: path.stat().st_mtime_ns for path in folder.tasks.glob("*/rows.csv")}
    assert done
    finished = subprocess.run(command(folder.path), capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "are done already" in finished.stdout
    assert all(path.stat().st_mtime_ns == when for path, when in done.items()), "nothing is done twice"
    assert folder.table.read_bytes() == ResultsFolder(whole).table.read_bytes()
    assert json.loads(folder.verdict.read_text()) == json.loads(ResultsFolder(whole).verdict.read_text())


def test_what_is_finished_is_not_done_again(whole):
    before = ResultsFolder(whole).table.read_bytes()
    lines = []
    reproduce(NAME, budget="tiny", out=whole, progress=lines.append)
    assert lines[1] == "4 of 4 tasks are done already"
    assert ResultsFolder(whole).table.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"study": "sigma-bin"}, "unknown study 'sigma-bin'.*did you mean sigma-bins"),
        ({"study": NAME, "budget": "smal"}, "unknown budget 'smal'.*did you mean small"),
        ({"study": NAME, "seeds": 0}, "seeds=0: must be at least 1"),
        ({"study": NAME, "workers": 0}, "workers=0: must be at least 1"),
        (
            {"study": NAME, "overrides": ["stiky=[0.1]"]},
            r"unknown key stiky \(command line\); did you mean sticky",
        ),
        ({"study": NAME, "overrides": ["sticky=0.1"]}, "sticky=0.1: must be a list"),
        ({"study": NAME, "overrides": ["sticky=[]"]}, r"sticky=\[\]: at least one"),
        ({"study": NAME, "overrides": ["steps=0"]}, "steps=0: must be at least 1"),
        ({"study": NAME, "overrides": ["env=MinAtar/Breakut"]}, "did you mean MinAtar/Breakout"),
        ({"study": NAME, "overrides": ["losses=[hl_gaus, mse]"]}, "did you mean hl_gauss"),
        ({"study": "plasticity", "overrides": ["data=cifar"]}, "unknown data='cifar'"),
        ({"study": "actor-critic", "overrides": ["arms=[mse, hl_gaus]"]}, "did you mean hl_gauss"),
        ({"study": "actor-critic", "overrides": ["small=[Pendulumm-v1]"]}, "did you mean Pendulum-v1"),
        ({"study": "actor-critic", "overrides": ["small=[]", "large=[]"]}, "at least one task"),
        (
            {"study": "actor-critic", "overrides": ["small=[CartPole-v1]"]},
            "v1: sac needs a continuous action",
        ),
        ({"study": "offline", "overrides": ["env=Pendulum-v1"]}, "Pendulum-v1: cql needs a discrete action"),
        ({"study": "wordle", "overrides": ["env=CartPole-v1"]}, "wordle needs an environment with words"),
        (
            {"study": "robots", "overrides": ["envs=[Pendulum-v1]"]},
            "experts for FetchReach-v4.* and metaworld",
        ),
        ({"study": "reward-scale", "overrides": ["envs=[HalfCheetah-v5]"]}, "unknown env 'HalfCheetah-v5'"),
        ({"study": "reward-scale", "overrides": ["supports=[autoo]"]}, "did you mean auto"),
        ({"study": "reward-scale", "overrides": ["scales=[0, 1]"]}, "each must be above 0"),
        ({"study": "auto-support", "overrides": ["scales=[10]"]}, "1 must be among them"),
        ({"study": "auto-support", "overrides": ["envs=[Pendulum-v1]"]}, "no ends set by hand: known are"),
        ({"study": "multi-task", "overrides": ["games=[Breakout]"]}, "at least two"),
        (
            {"study": "multi-task", "overrides": ["games=[Breakout, Freeeway]"]},
            "did you mean MinAtar/Freeway",
        ),
        ({"study": "multi-task", "overrides": ["widths=[1.0]"]}, "at least two"),
        ({"study": "multi-task", "overrides": ["widths=[0.0, 1.0]"]}, "each must be above 0"),
        ({"study": "multi-task", "overrides": ["games=[Breakout, Breakout]"]}, "at least two"),
        ({"study": "reward-scale", "overrides": ["scales=[1, 1.0, 10]"]}, "would be done twice"),
        ({"study": NAME, "overrides": ["losses=[mse, mse]"]}, "mse-.*would be done twice"),
        ({"study": "chess", "overrides": ["network=transformer", "size=100"]}, "a multiple of 8"),
        (
            {"study": "chess", "overrides": ["opponents=[chess/stockfish-21]"]},
            "unknown environment chess/stockfish-21: Stockfish's levels are 0 to 20",
        ),
        ({"study": "chess", "overrides": ["network=after_state"]}, "did you mean after_states"),
        ({"study": "chess", "overrides": ["opponents=[CartPole-v1]"]}, "CartPole-v1 does not play chess"),
        ({"study": "wordle", "overrides": ["weights=[-1.0]"]}, "0 or more each"),
        ({"study": "theory", "overrides": ["samples=20"]}, "samples=20: must be at least 32"),
        ({"study": "ordering", "overrides": ["envs=[MountainCar-v0]"]}, "no random and reference score"),
        (
            {"study": "ordering", "overrides": ["envs=[MinAtar/Breakout,MinAtar/Breakout-v1]"]},
            "an environment twice",
        ),
        ({"study": "initial-values", "overrides": ["starts=[foo]"]}, "unknown start 'foo'"),
        ({"study": "stochastic-dynamics", "overrides": ["sticky=[0.1]"]}, "at least two shares"),
        ({"study": "stochastic-dynamics", "overrides": ["sticky=[0.2,0.1]"]}, "in order"),
        ({"study": "reward-noise", "overrides": ["eta=[0.1,1.0]"]}, "from 0 on, in order"),
        ({"study": "reward-noise", "overrides": ["losses=[mse,huber]"]}, "huber has no support"),
        ({"study": "reward-noise", "overrides": ["v_min=5", "v_max=1"]}, "must be below v_max=1"),
        ({"study": "sigma-bins", "overrides": ["v_min=30"]}, "must be below v_max=25"),
        ({"study": "sigma-bins", "overrides": ["ratios=[0.3333333333,1.0]"]}, "more than six digits"),
        ({"study": "scaling", "overrides": ["widths=[-1.0]"]}, "each must be above 0"),
        ({"study": "wordle", "overrides": ["quality=5"]}, "a share, from 0 to 1"),
        ({"study": "chess", "overrides": ["games=15"]}, "games=15 must be a multiple of 10"),
        ({"study": "lead-causes", "overrides": ["arms=[MSE, HLGauss]"]}, "did you mean HL-Gauss"),
    ],
)
def test_bad_words(arguments, words, tmp_path):
    with pytest.raises(RecipeError, match=words):
        reproduce(arguments.pop("study"), out=tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("study", "overrides", "module", "extra"),
    [
        (NAME, (), "minatar.gym", "minatar"),
        ("robots", (), "gymnasium_robotics", "robots"),
        ("chess", (), "chess", "chess"),
        ("actor-critic", ["small=[Hopper-v5]"], "mujoco", "mujoco"),
    ],
)
def test_a_missing_extra_is_told_before_anything_is_written(
    study, overrides, module, extra, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RecipeError, match=rf"pip install 'catzoo\[{extra}\]'"):
        reproduce(study, overrides=overrides, out=tmp_path / "new", progress=None)
    assert not (tmp_path / "new").exists()


def test_a_missing_engine_is_told_before_anything_is_written(tmp_path, monkeypatch):
    pytest.importorskip("chess")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(uci_engine, "DEBIAN", str(tmp_path / "nowhere"))
    with pytest.raises(RecipeError, match="Stockfish is not installed"):
        reproduce("chess", budget="tiny", out=tmp_path / "new", progress=None)
    assert not (tmp_path / "new").exists()


def test_what_is_finished_needs_no_extra(whole, monkeypatch):
    monkeypatch.setitem(sys.modules, "minatar.gym", None)
    assert reproduce(NAME, budget="tiny", out=whole, progress=None)["missing"] == 0


def test_another_studys_folder_is_refused(whole, tmp_path):
    with pytest.raises(RecipeError, match="has results of study stochastic-dynamics, this is study ordering"):
        reproduce("ordering", budget="tiny", out=whole)
    with pytest.raises(RecipeError, match="has other settings: seeds is 1, asked for 2"):
        reproduce(NAME, budget="tiny", seeds=2, out=whole)
    about = json.loads(ResultsFolder(whole).about_file.read_text())
    (tmp_path / "more").mkdir()
    (tmp_path / "more/study.json").write_text(
        json.dumps({**about, "settings": {**about["settings"], "eta": 1}})
    )
    with pytest.raises(RecipeError, match="has other settings: eta is 1, asked for nothing"):
        reproduce(NAME, budget="tiny", out=tmp_path / "more")
    (tmp_path / "mine").write_text("")
    with pytest.raises(RecipeError, match="exists and holds no study"):
        reproduce(NAME, budget="tiny", out=tmp_path)


def test_overrides_are_settings():
    settings = make_study(
        NAME, "tiny", overrides=["sticky=[0.1, 0.5]", "env=MinAtar/Asterix", "steps=2e4"]
    ).settings
    assert (settings.sticky, settings.env, settings.steps) == ((0.1, 0.5), "MinAtar/Asterix", 20_000)
    assert settings.losses == make_study(NAME, "tiny").settings.losses


def test_a_study_is_worked_on_by_one_process(whole):
    with (
        ResultsFolder(whole).held(),
        pytest.raises(RecipeError, match="another process is working on this study"),
    ):
        reproduce(NAME, budget="tiny", out=whole, progress=None)


def test_a_folder_that_a_kill_left_half_made_is_made(tmp_path, monkeypatch):
    def killed(self, *arguments, **options):
        if self.name == "tasks":
            raise KeyboardInterrupt
        make(self, *arguments, **options)

    make = type(tmp_path).mkdir
    folder, study = ResultsFolder(tmp_path / "study"), make_study(NAME, "tiny")
    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "mkdir", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.make(study)
    folder.make(study)
    assert folder.tasks.is_dir()
    assert folder.logs.is_dir()


def test_a_full_disk_ends_it_at_once_in_one_line(tmp_path, monkeypatch):
    worked = []

    def full(self, task, tasks):
        worked.append(task)
        raise OSError(errno.ENOSPC, "No space left on device", "replay")

    monkeypatch.setattr(type(make_study(NAME, "tiny")), "work", full)
    with pytest.raises(NoRoomError, match="replay: cannot be written: No space left"):
        reproduce(NAME, budget="tiny", out=tmp_path / "study", progress=None)
    assert len(worked) == 1


def test_a_workers_full_disk_ends_the_study(tmp_path, monkeypatch):
    words = f"import sys; print('catzoo: error: run: cannot be written: No space left'); sys.exit({NO_ROOM})"
    monkeypatch.setattr(TaskJob, "command", [sys.executable, "-c", words])
    with pytest.raises(NoRoomError, match="run: cannot be written: No space left"):
        reproduce(NAME, budget="tiny", out=tmp_path / "study", workers=2, progress=None)


def test_results_of_another_version_are_refused(whole, tmp_path):
    about = json.loads(ResultsFolder(whole).about_file.read_text())
    (tmp_path / "study.json").write_text(json.dumps({**about, "version": 0}))
    with pytest.raises(RecipeError, match="has results of version 0, this is version 2"):
        reproduce(NAME, budget="tiny", out=tmp_path)
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(RecipeError, match="cannot be read"):
        reproduce(NAME, budget="tiny", out=tmp_path)


def test_a_failed_task_leaves_the_verdict_open(tmp_path, monkeypatch):
    study = type(make_study(NAME, "tiny"))
    work = study.work

    def sometimes(self, task, tasks):
        if task.labels["loss"] == "mse":
            raise FloatingPointError("the loss is nan")
        return work(self, task, tasks)

    monkeypatch.setattr(study, "work", sometimes)
    said = reproduce(NAME, budget="tiny", out=tmp_path / "study", progress=None)
    assert said["outcome"] == "not decided"
    assert said["missing"] == 2
    assert set(said["failed"].values()) == {"the loss is nan"}


def test_rows_survive_the_file(tmp_path):
    rows = [{"loss": "mse", "seed": 0, "score": 1 / 3}, {"loss": "c51", "more": 2}]
    save_rows(tmp_path / "rows.csv", rows)
    assert load_rows(tmp_path / "rows.csv") == [{**rows[0], "score": 0.333333}, rows[1]]


@pytest.mark.parametrize(
    ("low", "high", "margin", "outcome"),
    [
        (0.1, 0.3, None, "reproduced"),
        (-0.1, 0.3, None, "not decided"),
        (-0.3, -0.1, None, "not reproduced"),
        (-0.1, 0.1, 0.2, "reproduced"),
        (-0.1, 0.3, 0.2, "not decided"),
        (0.25, 0.3, 0.2, "not reproduced"),
    ],
)
def test_a_finding_is_decided_by_its_interval(low, high, margin, outcome):
    assert Finding("", (low + high) / 2, low, high, margin).outcome == outcome


def test_a_finding_of_one_run_is_json():
    found = Finding("gain", 0.5, -float("inf"), float("inf")).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "claim": "gain", "value": 0.5, "low": None, "high": None, "margin": None,
        "aside": False, "outcome": "not decided", "words": "gain: +0.500 [one run]: not decided",
    }  # fmt: skip


def test_a_verdict_needs_all_of_its_findings():
    good, open_, bad = (Finding("", 0, low, high) for low, high in ((1, 2), (-1, 1), (-2, -1)))
    assert Verdict([good, good]).outcome == "reproduced"
    assert Verdict([good, open_]).outcome == "not decided"
    assert Verdict([good, open_, bad]).outcome == "not reproduced"
    assert Verdict([good], missing=1).outcome == Verdict([]).outcome == "not decided"
    assert Verdict([good, bad], missing=1).outcome == "not decided"


def test_a_verdict_does_not_ask_for_asides():
    good, bad = Finding("", 0, 1, 2), Finding("", 0, -2, -1, aside=True)
    assert bad.outcome == "not reproduced"
    assert bad.words().endswith("not reproduced, aside")
    assert Verdict([good, bad]).outcome == "reproduced"
    assert Verdict([bad]).outcome == "not decided"


def test_contrast_interval_is_welchs():
    # t = 2.5547 on 7.03 degrees of freedom (Welch 1947), so that the half-width is 2.3652 standard errors.
    x, y = [3.0, 4.0, 5.0, 6.0, 7.0], [1.0, 2.0, 2.0, 3.0, 4.0]
    value, low, high = contrast_interval((x, y), (1, -1))
    error = (2.5 / 5 + 1.3 / 5) ** 0.5
    assert value == pytest.approx(2.6)
    assert (high - low) / 2 == pytest.approx(2.365 * error, rel=1e-3)
    assert contrast_interval(([1.0], y), (1, -1))[1:] == (-float("inf"), float("inf"))
    assert contrast_interval(([1.0, 1.0], [0.5, 0.5]), (1, -1)) == (0.5, 0.5, 0.5)
    assert contrast_interval(([1.0, float("nan")], y), (1, -1))[1:] == (-float("inf"), float("inf"))


def test_intervals_of_a_mean_hold_it_whatever_the_number_of_seeds():
    random = np.random.default_rng(0)
    for seeds in (3, 9, 10, 12, 29, 60):
        held = [
            low <= 0 <= high
            for low, high in (mean_interval(list(random.standard_normal(seeds))) for _ in range(600))
        ]
        assert 0.92 < np.mean(held) < 0.98, seeds


def test_it_goes_on_from_published_rows_and_adds_to_them(whole, tmp_path):
    published = ResultsFolder(whole)
    for name, verdict in (("a", published.verdict), ("b", tmp_path / "study.json")):
        shutil.copy(published.verdict, tmp_path / "study.json")
        shutil.copy(published.table, tmp_path / "study.csv")
        lines = []
        asked = {"budget": "tiny", "out": tmp_path / name, "go_on_from": verdict}
        reproduce(NAME, **asked, progress=lines.append)
        tasks = len(make_study(NAME, "tiny").tasks())
        assert f"{tasks} of {tasks} tasks are done already" in lines
        assert ResultsFolder(tmp_path / name).table.read_bytes() == published.table.read_bytes()
    wider = make_study(NAME, "tiny", seeds=2)
    folder = ResultsFolder(tmp_path / "wider")
    rows = published_rows(wider, published.verdict)
    left = unfinished(wider, folder, rows)
    assert folder.adopt(wider, rows) == tasks
    assert folder.adopt(wider, rows) == 0
    assert left == unfinished(wider, folder)
    assert {int(task.labels["seed"]) for task in left} == {1}


def test_what_others_read_is_made_again_and_has_to_be_the_same(tmp_path):
    study = make_study("wordle", "tiny", seeds=2)
    data, *learning = study.tasks()
    given = [
        {**data.labels, "success": 0.123456789, "guesses": 4},
        *({**task.labels, "step": 2, "success": 0.5} for task in learning if task.labels["seed"] == 0),
    ]
    save_rows(tmp_path / "given.csv", given)
    rows, folder = load_rows(tmp_path / "given.csv"), ResultsFolder(tmp_path / "new")
    left = unfinished(study, folder, rows)
    assert folder.adopt(study, rows) == len(learning) // 2
    assert left == unfinished(study, folder)
    assert {task.labels["seed"] for task in unfinished(study, folder) if task.stage} == {1}
    assert data in unfinished(study, folder)
    with pytest.raises(RecipeError, match=r"data-s0 gives other rows here than in .*expected.csv"):
        folder.finish(data, [{**data.labels, "success": 0.1235, "guesses": 4}])
    assert data in unfinished(study, folder)
    folder.finish(data, given[:1])
    assert data not in unfinished(study, folder)
    rows[0]["success"] = 0.5
    with pytest.raises(RecipeError, match="data-s0 gives other rows here"):
        folder.adopt(study, rows)


def test_what_nobody_reads_is_not_made_again(tmp_path):
    study = make_study("linear-probe", "tiny", seeds=2)
    rows = [{**task.labels, "score": float("nan")} for task in study.tasks() if task.labels["seed"] == 0]
    folder = ResultsFolder(tmp_path / "new")
    left = [task for task in study.tasks() if task.labels["seed"] == 1]
    assert unfinished(study, folder, rows) == left
    assert folder.adopt(study, rows) == len(rows)
    assert unfinished(study, folder) == left
    shutil.rmtree(folder.tasks / "probe-mse-s0")
    again = [task for task in study.tasks() if task.name == "agent-mse-s0"]
    without = [row for row in rows if (row["what"], row["loss"]) != ("probe", "mse")]
    shutil.rmtree(folder.tasks / "agent-mse-s0")
    assert [task for task in unfinished(study, folder, without) if task not in left][:1] == again
    assert folder.adopt(study, without) == 0
    folder.finish(again[0], [{**again[0].labels, "score": float("nan")}])


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (NAME, {"version": 1}, "version is 1, asked for 2"),
        (NAME, {"settings": {"steps": 5}}, "steps is 5, asked for"),
        (NAME, {"study": "theory"}, "study is theory, asked for stochastic-dynamics"),
        (NAME, {"settings": None}, "no verdict of a study with its table rows.csv"),
    ],
)
def test_rows_of_something_else_are_refused(whole, tmp_path, name, change, words):
    said = json.loads(ResultsFolder(whole).verdict.read_text())
    settings = change.get("settings", {})
    said |= {**change, "settings": None if settings is None else said["settings"] | settings}
    (tmp_path / "verdict.json").write_text(json.dumps(said))
    shutil.copy(ResultsFolder(whole).table, tmp_path)
    with pytest.raises(RecipeError, match=words):
        reproduce(
            name, budget="tiny", out=tmp_path / "out", go_on_from=tmp_path / "verdict.json", progress=None
        )
    assert not (tmp_path / "out").exists()


def test_a_published_verdict_says_what_version_it_is_of():
    for file in RESULTS.glob("studies/*.json"):
        assert (
            json.loads(file.read_text())["version"]
            <= find_study(json.loads(file.read_text())["study"]).version
        )


def test_a_verdict_of_a_part_says_so(whole):
    assert fewer(make_study("actor-critic", "full")) == []
    part = make_study("actor-critic", "full", overrides=["large=[]", "arms=[mse, hl_gauss]"])
    assert fewer(part) == ["large", "arms"]
    assert fewer(make_study("auto-support", "full", overrides=["scales=[1, 7]"])) == ["scales"]
    said = json.loads(ResultsFolder(whole).verdict.read_text())
    assert said["fewer"] == fewer(make_study(NAME, "tiny")) != []
    assert f"{said['outcome']}, with fewer {said['fewer'][0]}" in words_of(said)[0]


@pytest.mark.parametrize("overrides", [[], ["large=[]"], ["arms=[hl_gauss, mse]", "large=[]"]])
def test_published_arms_are_taken_by_a_study_of_more_or_fewer(overrides):
    published = Path(__file__).parents[3] / "zoo/results/studies/actor-critic.json"
    study = make_study("actor-critic", "full", overrides=overrides)
    assert {row["arm"] for row in published_rows(study, published)} >= {"hl_gauss", "mse"}
