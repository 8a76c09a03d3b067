"""Agents go to the Hugging Face Hub and come back as they were; what is no agent of the zoo stays there."""

import errno
import json
import os
import shutil

import pytest
import yaml

huggingface_hub = pytest.importorskip("huggingface_hub")
from huggingface_hub import constants  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from catzoo.agents.callbacks.evaluation import Scores  # noqa: E402
from catzoo.hparams import RecipeError  # noqa: E402
from catzoo.zoo.catalogue.pretrained import pretrained  # noqa: E402
from catzoo.zoo.cli.main import main  # noqa: E402
from catzoo.zoo.folders.recipe_sources import recipes_from  # noqa: E402
from catzoo.zoo.folders.run_folder import Run  # noqa: E402
from catzoo.zoo.training import hub as hub_room  # noqa: E402
from catzoo.zoo.training.evaluate import evaluate  # noqa: E402
from catzoo.zoo.training.hub import pull, push  # noqa: E402
from hub_for_tests import TOKEN, hub  # noqa: E402
from runs_for_tests import made  # noqa: E402

AGENT = "dqn-CartPole-v1-hl_gauss"
REPO = "me/cartpole"


@pytest.fixture
def there(monkeypatch, tmp_path):
    """The Hub, with somebody logged in, and an empty working directory."""
    with hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + "".join(template[1:]))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.chdir(tmp_path)
        yield server


@pytest.fixture
def pushed(there):
    push(AGENT, REPO)
    return there.models[REPO]


def test_private_is_for_a_model_that_is_made(there):
    push(AGENT, "me/mine", private=True)
    assert there.private["me/mine"]
    push(AGENT, "me/mine", private=True)
    push(AGENT, REPO)
    before = len(there.commits)
    with pytest.raises(RecipeError, match="it is public, and --private is for a model that is made"):
        push(AGENT, REPO, private=True)
    assert len(there.commits) == before


def front_matter(card):
    return yaml.safe_load(card.decode().split("---\n")[1])


def test_an_agent_comes_back_as_it_went(there, tmp_path, capsys):
    assert main(["push", AGENT, REPO]) == 0
    assert main(["pull", REPO]) == 0
    out = capsys.readouterr().out
    assert f"{there.endpoint}/{REPO}\n" in out
    assert "runs/cartpole: dqn with hl_gauss on CartPole-v1, mean return 500.0 [500.0, 500.0]" in out
    assert "  catzoo eval runs/cartpole\n" in out
    own, back = Run(pretrained()[AGENT]), Run(tmp_path / "runs" / "cartpole")
    names = {"recipe.yaml", "result.json", "weights.safetensors", "README.md"}
    assert {path.name for path in back.path.iterdir()} == names
    assert [path.name for path in back.path.parent.iterdir()] == ["cartpole"]
    assert back.recipe() == own.recipe()
    assert back.result() == own.result()
    assert load_file(back.weights).keys() == load_file(own.weights).keys()
    assert evaluate(back.path, episodes=1)["mean_return"] == 500
    assert recipes_from(back.path)[0].recipe == own.recipe()
    assert "Mean return 500.00" in there.commits[0]["summary"]


def test_the_card_is_what_the_hub_reads_and_people_do(pushed):
    card = pushed["README.md"].decode()
    front = front_matter(pushed["README.md"])
    assert front["library_name"] == "catzoo"
    assert front["pipeline_tag"] == "reinforcement-learning"
    assert {"reinforcement-learning", "CartPole-v1", "dqn", "hl_gauss"} <= set(front["tags"])
    (model,) = front["model-index"]
    (score,) = model["results"]
    assert score["task"]["type"] == "reinforcement-learning"
    assert score["dataset"] == {"name": "CartPole-v1", "type": "CartPole-v1"}
    (metric,) = score["metrics"]
    assert (metric["type"], metric["value"]) == ("mean_reward", "500.00 +/- 0.00")
    assert metric["args"] == {"interval_95": [500.0, 500.0], "episodes": 100}
    for words in (f"catzoo pull {REPO}", "catzoo eval runs/cartpole", "classic-control", "num_bins: 51"):
        assert words in card
    recipe = yaml.safe_load(card.split("```yaml\n")[1].split("```")[0])
    assert recipe == Run(pretrained()[AGENT]).recipe().to_dict()


def test_measures_of_an_agent_s_world_are_on_its_card(there):
    push("wordle-wordle-40-mse", "me/wordle")
    card = there.models["me/wordle"]["README.md"]
    assert "| success | 0.950 |" in card.decode()
    assert front_matter(card)["model-index"][0]["results"][0]["metrics"][0]["value"].endswith(" +/- 1.00")


def test_of_several_games_each_has_its_own_deviation_or_none_where_none_was_kept(there, tmp_path):
    games = "MinAtar/Breakout-v1+MinAtar/Freeway-v1"
    scores = Scores([0.0, 3.0, 2.0, 3.0])
    scores.envs = [0, 1, 0, 1]
    run = made(tmp_path / "run", scores, env=games)
    shutil.copy(pretrained()[AGENT] / "weights.safetensors", run.weights)
    push("run", REPO)
    card = front_matter(there.models[REPO]["README.md"])
    values = [score["metrics"][0]["value"] for score in card["model-index"][0]["results"]]
    assert values == ["1.00 +/- 1.00", "3.00 +/- 0.00"]
    before = run.result()
    for own in before["games"].values():
        del own["std_return"]
    run.save_result(before)
    push("run", REPO)
    card = front_matter(there.models[REPO]["README.md"])
    values = [score["metrics"][0]["value"] for score in card["model-index"][0]["results"]]
    assert values == ["1.00", "3.00"]


def test_a_film_and_a_curve_go_with_it_and_go_away_with_the_next(there, tmp_path):
    shutil.copytree(pretrained()[AGENT], tmp_path / "run")
    Run("run").curve.write_bytes(b"picture")
    (tmp_path / "run" / "replay.mp4").write_bytes(b"own")
    push("run", REPO)
    files = there.models[REPO]
    assert (files["replay.mp4"], files["learning_curve.png"]) == (b"own", b"picture")
    assert "![learning curve](learning_curve.png)" in files["README.md"].decode()
    (tmp_path / "other.mp4").write_bytes(b"other")
    push("run", REPO, film="other.mp4")
    assert files["replay.mp4"] == b"other"
    assert (pull(REPO) / "replay.mp4").read_bytes() == b"other"
    push(AGENT, REPO)
    assert files.keys() == {
        ".gitattributes",
        "recipe.yaml",
        "result.json",
        "weights.safetensors",
        "README.md",
    }
    assert len(there.commits) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.pkl", "it has model.pkl, which no agent of the zoo has"),
        ("sub/weights.safetensors", "it has sub/weights.safetensors"),
        ("../evil", r"it has \.\./evil"),
    ],
)
def test_a_model_with_other_files_is_refused_before_any_is_read(pushed, there, tmp_path, name, words):
    pushed[name] = b"x"
    there.asked.clear()
    with pytest.raises(RecipeError, match=f"^{REPO}: not pulled: {words}"):
        pull(REPO)
    assert not any("resolve" in path for path in there.asked)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["model.bin", "data/train.parquet"])
def test_a_model_that_is_no_agent_is_not_pushed_over(there, name):
    files = {".gitattributes": b"", "README.md": b"mine", name: b"x"}
    there.models[REPO] = dict(files)
    with pytest.raises(RecipeError, match=f"^{REPO}: not pushed: it has {name}, which no agent of the zoo"):
        push(AGENT, REPO)
    assert there.models[REPO] == files


def test_a_licence_stays_where_it_is(pushed):
    pushed["LICENSE"] = b"MIT"
    pushed["README.md"] = b"edited there"
    push(AGENT, REPO)
    assert pushed["LICENSE"] == b"MIT"
    assert pushed["README.md"] != b"edited there"
    assert {path.name for path in pull(REPO).iterdir()} == pushed.keys() - {"LICENSE", ".gitattributes"}


def test_a_full_disk_is_not_the_hub_s_silence(pushed, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(huggingface_hub.HfApi, "hf_hub_download", full)
    with pytest.raises(RecipeError, match=r"^runs/cartpole: cannot be written: No space left on device$"):
        pull(REPO)
    assert not list((tmp_path / "runs").iterdir())
    monkeypatch.setattr(hub_room, "model_card", full)
    with pytest.raises(RecipeError, match=r"^cannot be written: No space left on device; the same command"):
        push(AGENT, REPO)


def test_a_pulled_folder_is_there_as_a_whole(pushed, tmp_path, monkeypatch):
    def stopped(source, target):
        seen.append({path.name for path in source.iterdir()})
        assert not target.exists()
        raise KeyboardInterrupt

    seen = []
    monkeypatch.setattr(hub_room, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        pull(REPO)
    assert seen == [pushed.keys() - {".gitattributes"}]
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("weights.safetensors", b"\x80\x04pickle", "weights.safetensors: corrupt"),
        ("recipe.yaml", b"!!python/object/apply:os.system [ls]", "recipe.yaml, line 1: not YAML"),
        ("recipe.yaml", b"agent: no\n", "recipe.yaml"),
        ("result.json", json.dumps({"mean_return": "high"}).encode(), "result.json: corrupt"),
        ("result.json", None, "no agent of the zoo: it has no result.json"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_refused(pushed, tmp_path, name, content, words):
    pushed[name] = content
    if content is None:
        del pushed[name]
    with pytest.raises(RecipeError, match=f"^{REPO}: ") as refused:
        pull(REPO)
    assert str(refused.value).startswith(f"{REPO}: {words}")
    assert not list(tmp_path.glob("runs/*"))
    assert not list(tmp_path.glob("runs/.*"))


def test_an_environment_of_a_package_is_imported_only_where_it_is_trusted(pushed):
    pushed["recipe.yaml"] = pushed["recipe.yaml"].replace(b"env: CartPole-v1\n", b"env: evil:CartPole-v1\n")
    with pytest.raises(RecipeError, match="imports evil: if you know it, add --trust"):
        evaluate(pull(REPO))


def test_a_folder_that_is_there_is_left_alone(pushed, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(RecipeError, match=r"^mine: is there already: choose another --out$"):
        pull(REPO, "mine")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")  # another in its place would not be the shell's
    with pytest.raises(RecipeError, match=r"^\.: is there already"):
        pull(REPO, ".")
    monkeypatch.chdir(tmp_path)
    assert pull(REPO, "empty", revision="main") == pull(REPO, "again").with_name("empty")


@pytest.mark.parametrize(
    "name", ["cartpole", "a/b/c", "me/", "/x", "me/../x", "me/x--y", "me/x y", "-a/b", "me/x."]
)
@pytest.mark.parametrize("words", [["pull"], ["push", AGENT]])
def test_a_name_that_is_none_is_one_line(capsys, words, name):
    if name.startswith("-"):
        words = [*words, "--"]
    assert main([*words, name]) == 2
    assert capsys.readouterr().err == f"catzoo: error: {name}: a model of the Hub is named OWNER/NAME\n"


def test_nobody_logged_in_is_told_how(there, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(
        RecipeError, match=r"nobody is logged in to the Hugging Face Hub: hf auth login, or set"
    ):
        push(AGENT, REPO)
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    with pytest.raises(RecipeError, match=r"me/cartpole: .*hf auth login"):
        push(AGENT, REPO)
    assert not there.models


def test_what_the_hub_refuses_is_one_line(there, pushed):
    with pytest.raises(RecipeError, match=r"^them/x: the Hub refuses: .*no leave to write there$") as refused:
        push(AGENT, "them/x")
    assert "\n" not in str(refused.value)
    with pytest.raises(RecipeError, match=r"^me/none: no such model on the Hub, or one that is not yours"):
        pull("me/none")
    with pytest.raises(RecipeError, match=f"^{REPO}: no such revision or file"):
        pull(REPO, revision="v9")


def test_a_hub_that_does_not_answer_is_one_line(there, monkeypatch, tmp_path):
    there.shutdown()
    there.server_close()
    with pytest.raises(RecipeError, match=f"^{REPO}: the Hub cannot be reached: "):
        pull(REPO)
    with pytest.raises(RecipeError, match=f"^{REPO}: the Hub cannot be reached: "):
        push(AGENT, REPO)
    assert not (tmp_path / "runs").exists()


def test_what_cannot_be_pushed_is_refused_first(there, tmp_path):
    made(tmp_path / "begun", [])
    for run, more, words in (
        ("begun", {}, "begun: not finished"),
        ("nowhere", {}, "nowhere: no such folder"),
        (AGENT, {"film": "none.mp4"}, "none.mp4: no such file"),
        (AGENT, {"film": "film.gif"}, "film.gif: the Hub shows films of the kind .mp4"),
    ):
        with pytest.raises(RecipeError, match=words):
            push(run, REPO, **more)
    assert not there.asked


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"xml_file": "/home/me/robot.xml"}, "env_options.xml_file"),
        ({"files": {"map": ["a", "~/map"]}}, r"env_options.files.map\.1"),
        ({"xml_file": "C:\\me\\robot.xml"}, "env_options.xml_file"),
    ],
)
def test_a_path_of_this_machine_is_not_published(there, tmp_path, options, key):
    run = made(tmp_path / "run", [1.0], env_options=options)
    shutil.copy(pretrained()[AGENT] / "weights.safetensors", run.weights)
    with pytest.raises(RecipeError, match=f"^run: {key} is a path of this machine, and would be published$"):
        push("run", REPO)
    assert not there.asked


def test_of_a_result_only_what_is_known_is_published(there, tmp_path):
    shutil.copytree(pretrained()[AGENT], tmp_path / "run")
    own = Run("run").result()
    protocol, game = own["protocol"], {"mean_return": 1.0, "interval_95": [0.0, 2.0], "episodes": 2}
    more = {"host": "my-machine", "run_dir": "/home/me/run", "games": {"x": game | {"host": "mine"}}}
    Run("run").save_result({**own, **more, "protocol": {**protocol, "host": "mine"}})
    push("run", REPO)
    assert json.loads(there.models[REPO]["result.json"]) == {**own, "games": {"x": game}}
    Run("run").save_result({**own, "protocol": {**protocol, "settings": {"rom": "~/rom"}}})
    with pytest.raises(RecipeError, match=r"^run: result.json.protocol.settings.rom is a path"):
        push("run", REPO)


def test_without_the_library_it_is_one_line(monkeypatch):
    monkeypatch.setattr(hub_room, "find_spec", lambda name: None)
    for call in (lambda: push(AGENT, REPO), lambda: pull(REPO)):
        with pytest.raises(
            RecipeError, match=r"^huggingface_hub is not installed: pip install 'catzoo\[hub\]'$"
        ):
            call()
