"""`train`: a folder with a result, going on where it stopped, and nothing written for bad input."""

import json
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from catzoo.hparams import RecipeError
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.system.csv_rows import cut_after, number_of, put_aside, read_rows, step_of
from catzoo.zoo.training import session
from catzoo.zoo.training.evaluate import bootstrap_interval, evaluate
from catzoo.zoo.training.metrics_csv import CSVMetrics
from catzoo.zoo.training.train import recipe_of, train
from catzoo.zoo.training.weights import load_agent
from environments_for_tests import Corridor, registered
from tiny_runs_for_tests import TINY, tiny


def trained(rows):
    """Rows of training metrics; an evaluation at another step has a row of its own."""
    return [row for row in rows if row["train/updates"]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    tiny(folder, steps=400, seed=5, loss="hl_gauss")
    return Run(folder)


def test_the_folder_holds_what_it_promises(run):
    names = {path.name for path in run.path.iterdir()}
    assert {
        "recipe.yaml", "metrics.csv", "tensorboard", "episodes.csv", "checkpoints", "weights.safetensors",
        "result.json", "learning_curve.png",
    } <= names  # fmt: skip
    assert not [name for name in names if name.endswith(".tmp")]
    assert any((run.path / "tensorboard").glob("events.out.*"))


def test_the_result_says_what_it_was_measured_with(run):
    result = json.loads(run.result_file.read_text())
    assert result["episodes"] == len(result["returns"]) == 8
    assert np.isclose(result["mean_return"], np.mean(result["returns"]))
    assert (result["steps"], result["seed"], result["loss"]) == (400, 5, "hl_gauss")
    assert result["protocol"]["name"] == "classic-control"
    assert {"catzoo", "torch", "torchrl", "gymnasium"} <= result["versions"].keys()
    low, high = result["interval_95"]
    assert low <= result["mean_return"] <= high


def test_metrics_have_one_row_a_step(run):
    rows = read_rows(run.metrics)
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(set(steps))
    assert {"train/loss", "train/return", "eval/return", "support/above"} <= rows[0].keys()
    assert sum(bool(row["eval/return"]) for row in rows) == 2
    episodes = read_rows(run.episodes)
    assert len(episodes) >= int(float(trained(rows)[-1]["train/episodes"]))


def test_evaluate_repeats_the_result(run):
    again = evaluate(run.path)
    assert again["returns"] == run.result()["returns"]
    assert evaluate(run.path, episodes=3, seed=1)["episodes"] == 3


def test_weights_load_without_pickle(run):
    recipe, agent = load_agent(run.path)
    assert recipe.seed == 5
    assert agent.network.head.linear.weight.shape == (2 * 51, 8)


def test_the_best_weights_are_loaded_when_asked_for(tmp_path):
    tiny(tmp_path / "run", steps=400)
    run = Run(tmp_path / "run")
    _, last = load_agent(run.path)
    _, best = load_agent(run.path, best=True)
    assert last.trained_steps >= 400
    assert best.trained_steps in {int(path.name[5:]) for path in run.checkpoints.glob("step-*")}
    assert evaluate(run.path, best=True, episodes=2)["steps"] == min(best.trained_steps, 400)
    run.best_weights.unlink()
    with pytest.raises(RecipeError, match=r"no weights-best\.safetensors"):
        load_agent(run.path, best=True)


def test_the_same_command_says_it_is_finished(run, capsys):
    before = run.metrics.read_bytes()
    result = tiny(run.path, steps=400, seed=5, loss="hl_gauss")
    assert "is finished: it has 400 steps" in capsys.readouterr().out
    assert result == run.result()
    assert run.metrics.read_bytes() == before
    tiny(run.path, "eval.max_steps=77", steps=400, seed=5, loss="hl_gauss")
    assert "keeps its evaluation: catzoo eval" in capsys.readouterr().out


def test_more_steps_go_on_from_the_checkpoint(tmp_path):
    tiny(tmp_path / "run", steps=300)
    first = read_rows(tmp_path / "run" / "metrics.csv")
    result = tiny(tmp_path / "run", steps=600)
    rows = read_rows(tmp_path / "run" / "metrics.csv")
    assert result["steps"] == 600
    assert rows[: len(first)] == [{**row, **{key: "" for key in rows[0] if key not in row}} for row in first]
    updates = [int(float(row["train/updates"])) for row in trained(rows)]
    assert updates == sorted(updates)
    assert updates[-1] == int((int(trained(rows)[-1]["step"]) - 100) * 0.1)


def test_a_folder_is_what_was_typed_and_the_evaluation_has_a_bar(tmp_path, monkeypatch):
    """A name that Lightning, the shell and rich would each read in a way of their own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    bars = []
    counting = session.counting
    monkeypatch.setattr(session, "counting", lambda *what: bars.append(what) or counting(*what))
    name = "first [dqn] '$HOME' :cat: é"
    result = tiny(f"~/{name}", steps=200)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert [path.name for path in (tmp_path / "home").iterdir()] == [name]
    assert any((tmp_path / "home" / name / "tensorboard").glob("events.out.*"))
    assert evaluate(f"~/{name}")["returns"] == result["returns"]
    assert recipe_of(source=f"~/{name}") == recipe_of(source=tmp_path / "home" / name)
    assert bars == [("evaluating", 8)]


def test_another_recipe_is_refused_with_what_differs(run):
    with pytest.raises(RecipeError, match=r"gamma is 0\.99, asked for 0\.9;"):
        tiny(run.path, "gamma=0.9", steps=400, seed=5, loss="hl_gauss")
    with pytest.raises(RecipeError, match="seed is 5, asked for 0"):
        tiny(run.path, steps=400, loss="hl_gauss")


def test_an_environment_that_raises_ends_the_run_with_its_own_error(tmp_path):
    from environments_for_tests import Corridor

    gym.register("FallingCorridor-v0", entry_point=lambda: Corridor(10_000, fail_at=120))
    try:
        with pytest.raises(RuntimeError, match="the corridor collapsed"):
            tiny(tmp_path / "run", "eval.every=0", steps=1000, env="FallingCorridor-v0")
    finally:
        del gym.registry["FallingCorridor-v0"]
    assert [int(row["step"]) for row in read_rows(tmp_path / "run" / "metrics.csv")] == [100, 200, 300, 400]
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*"))) == 2
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"env": "CartPol-v1"}, "did you mean CartPole-v1"),
        (
            {"env": "Pendulum-v1"},
            "Pendulum-v1: dqn needs a discrete action space, but it has Box(-1.0, 1.0, (1,)",
        ),
        ({"loss": "hlgau"}, "did you mean hl_gauss"),
        ({"steps": -5}, "steps=-5: must be at least 1"),
        ({"overrides": ["replay.capacity=1e15", "steps=1e15"]}, "GB are free"),
        ({"overrides": ["network.name=nature_cnn"]}, "needs images"),
        ({"overrides": ["compute.cuda_graph=true", "compute.device=cpu"]}, "needs a GPU"),
        ({"overrides": ["compute.device=abacus"]}, "compute.device=abacus"),
        ({"overrides": ["compute.device=meta"]}, "compute.device=meta"),
        ({"overrides": ["agent=ppo"]}, "not an override"),
        ({"overrides": ["env=ALE/Pong-v5"]}, "not an override"),
        ({"overrides": ["value_loss=5"]}, "value_loss is a group"),
        ({"overrides": ["seed=2024-99-99"]}, "not a value"),
        ({"overrides": ["network.hidden=[999999, 999999]"]}, "CartPole-v1"),
        ({"env": "tabular/Blackjack-v0"}, "missing"),
        ({"env": "FrozenLake-v1", "overrides": ["env_options={map_name: 9x9}"]}, "cannot be made"),
        ({"env": "ALE/Pong-v5", "overrides": ["env_options={frameskip: abc}"]}, "env_options"),
        ({"seed": 10**20}, "seed="),
        ({"overrides": ["value_loss.pad_sigmas=1000"]}, "pad_sigmas"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, keywords, words):
    keywords = {"env": "CartPole-v1", **keywords}
    with pytest.raises(RecipeError) as caught:
        train("dqn", run_dir=tmp_path / "run", **keywords)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_agent(tmp_path):
    with pytest.raises(RecipeError, match="the zoo has chess, cql, dqn"):
        train("dqm", "CartPole-v1", run_dir=tmp_path / "run")


@pytest.mark.parametrize("env", ["CartPole-v1,Acrobot-v1", "minatar-5", "MinAtar/*"])
def test_several_environments_are_several_runs(env, tmp_path):
    with pytest.raises(RecipeError, match=r"catzoo\.train_many makes a run for each of several"):
        train("dqn", env, run_dir=tmp_path / "run")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RecipeError, match="not a run folder"):
        tiny(tmp_path, steps=100)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RecipeError, match="cannot be written"):
        tiny(tmp_path / "file" / "run", steps=100)


def test_corrupt_runs_are_named(run, tmp_path):
    import shutil

    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    copy.weights.write_bytes(b"nonsense")
    with pytest.raises(RecipeError, match=r"weights\.safetensors: corrupt"):
        load_agent(copy.path)
    copy.result_file.write_text("{}")
    with pytest.raises(RecipeError, match=r"result\.json: corrupt"):
        copy.result()
    copy.recipe_file.write_text("a: [")
    with pytest.raises(RecipeError, match="not YAML"):
        load_agent(copy.path)
    with pytest.raises(RecipeError, match="not a run folder"):
        load_agent(tmp_path)


def test_csv_metrics_merge_by_step_and_grow_columns(tmp_path):
    log = CSVMetrics(tmp_path / "m.csv")
    log.log_metrics({"a": 1.0}, step=1)
    log.log_metrics({"b": 2.0}, step=1)
    log.log_metrics({"a": 3.0}, step=2)
    log.finalize("success")
    again = CSVMetrics(tmp_path / "m.csv")
    again.log_metrics({"c": 4.0}, step=3)
    again.save()
    rows = read_rows(tmp_path / "m.csv")
    assert [row["a"] for row in rows] == ["1", "3", ""]
    assert [row["c"] for row in rows] == ["", "", "4"]
    cut_after(tmp_path / "m.csv", 1)
    assert [row["step"] for row in read_rows(tmp_path / "m.csv")] == ["1"]


@pytest.mark.parametrize(
    ("header", "stays"), [("step,return,length", True), ("step,ret\x00rn,length", False)]
)
def test_a_table_of_other_columns_is_put_aside(header, stays, tmp_path):
    file = tmp_path / "episodes.csv"
    file.write_text(f"{header}\n1,2,3\n")
    damaged = put_aside(file, ("step", "return"))
    assert (damaged is None) == stays == file.exists()
    assert stays or damaged.read_text().endswith("1,2,3\n")
    assert put_aside(tmp_path / "missing.csv", ("step",)) is None


def test_the_interval_holds_the_mean_and_narrows():
    few, many = ([0.0, 1.0] * n for n in (5, 500))
    widths = []
    for scores in (few, many):
        low, high = bootstrap_interval(scores)
        assert low <= 0.5 <= high
        widths.append(high - low)
    assert widths[1] < 0.2 * widths[0]
    assert np.isclose(widths[1], 2 * 1.96 * 0.5 / np.sqrt(1000), rtol=0.1)


def test_ctrl_c_is_one_line_and_the_run_goes_on(tmp_path):
    import signal
    import subprocess
    import time

    words = ["train", "dqn", "--env", "CartPole-v1", "--steps", "500k", "--run-dir", str(tmp_path / "run")]
    words += [*TINY, "checkpoint_every=100"]
    process = subprocess.Popen([sys.executable, "-m", "catzoo", *words], stderr=subprocess.PIPE, text=True)
    checkpoints = tmp_path / "run" / "checkpoints"
    while process.poll() is None and not (checkpoints.exists() and any(checkpoints.glob("step-*"))):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    said = process.stderr.read().strip()
    steps = max(int(path.name.split("-")[1]) for path in checkpoints.glob("step-*"))
    assert said == f"catzoo: stopped at step {steps:,}, which is saved; the same command goes on"
    result = tiny(tmp_path / "run", "checkpoint_every=100", steps=steps + 100)
    assert result["steps"] == steps + 100


def test_two_processes_cannot_share_a_folder(run):
    before = run.recipe_file.read_text()
    with (
        run.training(run.recipe()),
        pytest.raises(RecipeError, match="another process is training"),
    ):
        tiny(run.path, steps=800, seed=5, loss="hl_gauss")
    assert run.recipe_file.read_text() == before.replace("steps: 800", "steps: 400")
    with run.training(run.recipe()):
        pass


def test_fewer_steps_than_there_are_cannot_be_asked_for(tmp_path):
    tiny(tmp_path / "run", steps=400)
    (tmp_path / "run" / "result.json").unlink()
    before = (tmp_path / "run" / "recipe.yaml").read_bytes()
    with pytest.raises(RecipeError, match="steps already: ask for more"):
        tiny(tmp_path / "run", steps=200)
    assert (tmp_path / "run" / "recipe.yaml").read_bytes() == before


def test_unreadable_checkpoints_are_not_started_over(tmp_path):
    tiny(tmp_path / "run", steps=400)
    before = (tmp_path / "run" / "metrics.csv").read_bytes()
    for manifest in (tmp_path / "run" / "checkpoints").rglob("manifest.json"):
        manifest.write_text("garbage")
    with pytest.raises(RecipeError, match="no readable checkpoint"):
        tiny(tmp_path / "run", steps=600)
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == before


def test_nothing_is_pickled(run):
    assert not [path for path in run.path.rglob("*") if path.suffix in (".pkl", ".pt", ".pth", ".ckpt")]


def test_a_loss_of_ones_own_needs_one_line_of_a_dict(tmp_path, monkeypatch):
    from catzoo.hparams import VALUE_LOSSES
    from catzoo.losses import LOSSES, MSE

    class LogCosh(MSE):
        def forward(self, outputs, target):
            return (self.decode(outputs) - target).cosh().log()

    monkeypatch.setitem(LOSSES, "somebodys_own", LogCosh)
    try:
        result = tiny(tmp_path / "run", steps=300, loss="somebodys_own")
        assert result["loss"] == "somebodys_own"
        assert evaluate(tmp_path / "run", episodes=2)["episodes"] == 2
    finally:
        VALUE_LOSSES.pop("somebodys_own", None)


@pytest.fixture
def rewarding():
    """Registers CartPole with one reward, and says its name."""

    class Rewarding(gym.Wrapper):
        def __init__(self, reward):
            super().__init__(gym.make("CartPole-v1"))
            self.reward = reward

        def step(self, action):
            observation, _, *rest = self.env.step(action)
            return observation, self.reward, *rest

    def register(reward):
        gym.register("Rewarding-v0", entry_point=lambda: Rewarding(reward), disable_env_checker=True)
        return "Rewarding-v0"

    yield register
    del gym.registry["Rewarding-v0"]


@pytest.mark.parametrize("reward", [float("nan"), 1e300])
def test_rewards_that_are_not_numbers_stop_the_run(tmp_path, rewarding, reward):
    with pytest.raises(FloatingPointError, match=r"^Rewarding-v0: reward (nan|1e\+300) at step 4: "):
        tiny(tmp_path / "run", steps=1000, env=rewarding(reward))
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize("every", [20, 200])
@pytest.mark.parametrize("overlap", [False, True])
def test_what_was_learned_before_a_simulator_failed_is_saved(tmp_path, overlap, every):
    """The same command goes on there, with new episodes, once the simulator is mended."""
    broken = [True]

    class Breaking(Corridor):
        """Saves itself, as it is."""

        steps = 0

        def step(self, action):
            seen, reward, *rest = super().step(action)
            self.steps += 1
            return seen, float("nan") if broken[0] and self.steps > 60 else reward, *rest

        def state_dict(self):
            return {"t": self.t, "steps": self.steps}

        def load_state_dict(self, state):
            self.t, self.steps = state["t"], state["steps"]

    def go_on():
        keys = [f"compute.overlap={str(overlap).lower()}", f"checkpoint_every={every}"]
        return tiny(tmp_path / "run", *keys, steps=600, env=name)

    saved = []
    with registered("Breaking-v0", lambda: Breaking(7)) as name:
        for _ in range(2):  # what comes after has new episodes, and breaks later
            with pytest.raises(FloatingPointError, match=r"reward nan at step \d+: .*; saved at step \d+"):
                go_on()
            newest = max((tmp_path / "run" / "checkpoints").glob("step-*"))
            saved.append(int(newest.name.removeprefix("step-")))
        broken[0] = False
        result = go_on()
    assert 200 < saved[0] < saved[1], "later than the last that was due, and not stuck there"
    assert result["steps"] == 600
    steps = [step_of(row) for row in read_rows(Run(tmp_path / "run").metrics)]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize(
    ("steps", "n_step", "said"),
    [
        (100, 1, "learning_starts=100 of 100 steps: nothing will be learned"),
        (104, 1, None),
        (200, 101, "num_envs=2 n_step=101: no return is whole before step 200 of 200 steps: nothing will be"),
    ],
)
def test_a_run_that_learns_nothing_says_so(tmp_path, capsys, steps, n_step, said):
    tiny(tmp_path / "run", f"n_step={n_step}", "num_envs=2", steps=steps)
    out = " ".join(capsys.readouterr().out.split())
    assert said in out if said else "nothing will be learned" not in out


def test_large_returns_are_read_again_to_the_last_digit(tmp_path, rewarding):
    result = tiny(tmp_path / "run", steps=300, env=rewarding(123_456.75))
    run = Run(tmp_path / "run")
    assert run.result() == result
    rows = read_rows(run.episodes)
    assert rows
    for row in rows:
        assert number_of(row["return"]) == 123_456.75 * int(row["length"])


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path, rewarding):
    with pytest.raises(FloatingPointError, match=r"the loss is \w+ at step \d+, update 1: the batch is in"):
        tiny(tmp_path / "run", steps=1000, env=rewarding(3e38), loss="mse")  # its square is too large
    assert not (tmp_path / "run" / "result.json").exists()
    batch = load_file(tmp_path / "run" / "not_finite.safetensors")
    assert (batch["reward"] > 1e38).all()
    assert batch["observation"].shape == (16, 4)


def test_overrides_may_be_one_mapping_or_one_string(tmp_path):
    for overrides in ({"value_loss": {"num_bins": 1}}, "value_loss.num_bins=1"):
        with pytest.raises(RecipeError, match="at least 2"):
            train("dqn", "CartPole-v1", run_dir=tmp_path / "run", overrides=overrides)


def test_a_folder_with_links_in_it_is_refused(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in ("checkpoints", "replay", "recipe.yaml.tmp"):
        folder = tmp_path / f"with-{name}"
        folder.mkdir()
        (folder / name).symlink_to(victim)
        with pytest.raises(RecipeError, match=r"is a symbolic link|is not a run folder"):
            train("dqn", "CartPole-v1", run_dir=folder, overrides=TINY)
    assert not list(victim.iterdir())


def test_a_start_that_failed_leaves_a_folder_that_can_be_used(tmp_path, monkeypatch):
    run = Run(tmp_path / "run")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RecipeError, match="No space left"), run.training(recipe_of("dqn", "CartPole-v1")):
        pass
    assert not list(run.path.iterdir())
    monkeypatch.undo()
    (run.path / "recipe.yaml.tmp").touch()  # of a process that was killed
    with run.training(recipe_of("dqn", "CartPole-v1")):
        assert run.recipe_file.exists()


def test_a_run_killed_in_its_first_save_begins_again(tmp_path):
    from catzoo.zoo.training.resume import _begin

    run = Run(tmp_path / "run")
    recipe = recipe_of(
        "dqn", "CartPole-v1", overrides=["num_envs=20", "rollout_length=20", "checkpoint_every=150"]
    )
    with run.training(recipe):
        run.metrics.write_text("step,x\n400,1\n")
        _begin(run)
        run.metrics.write_text("step,x\n400,1\n800,1\n")
        with pytest.raises(RecipeError, match="checkpoints are gone"):
            _begin(run)


def test_a_compiler_that_was_asked_for_and_is_missing_is_one_line(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise torch._dynamo.exc.TorchDynamoException(
            "No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1"
        )

    monkeypatch.setattr("torch.compile", lambda loss, **_: broken)
    with pytest.raises(
        RecipeError, match=r"^compute\.compile=true: .* here: No working C\+\+ compiler found$"
    ):
        tiny(tmp_path / "run", "compute.compile=true", steps=200)
