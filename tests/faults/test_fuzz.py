"""A folder or a recipe from a stranger: whatever is in it, one line answers, and nothing of it is run.

`CATZOO_LONG=1` makes it 100,000 inputs and some minutes; `-s` prints how many were refused.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchrl.checkpoint import CheckpointError

from catzoo.agents import Checkpoints
from catzoo.hparams import RecipeError, read_yaml, resolve
from catzoo.hparams.agents import all_keys
from catzoo.zoo.catalogue.recipe_files import RECIPES
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.folders.run_recipe import stamped
from catzoo.zoo.training.build import build_agent, build_env, build_trainer
from catzoo.zoo.training.train import recipe_of
from catzoo.zoo.training.weights import load_weights, save_weights

LONG = bool(os.environ.get("CATZOO_LONG"))
LONGEST = 400
"""Characters of an error's one line."""
TINY = ["num_envs=2", "rollout_length=4", "batch_size=4", "network.hidden=[4]", "learning_starts=20",
        "steps=100", "replay.capacity=60", "log_every=16", "value_loss.num_bins=5"]  # fmt: skip
RUNS_CODE = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.putenv",
    "subprocess.Popen", "pickle.find_class", "marshal.loads", "ctypes.dlopen", "socket.connect",
    "socket.bind", "socket.getaddrinfo", "webbrowser.open", "code.__new__", "function.__new__",
)  # fmt: skip
CHANGES_FILES = (
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown",
    "os.truncate", "shutil.rmtree", "shutil.move", "shutil.copyfile",
)  # fmt: skip
HEALTH = ("libnvidia-ml.so.1",)
"""What torch itself looks for to see whether there is a GPU."""
OURS = tuple({sys.prefix, sys.base_prefix, str(Path(os.__file__).parent), str(Path(__file__).parents[2])})


class Watch:
    """Python's own record of what is done, between `begin` and `end`."""

    def __init__(self):
        self.folder, self.known, self.events = None, set(), []
        sys.addaudithook(self.hook)

    def hook(self, event, arguments):
        if self.folder is None:
            return
        suspicious = (
            (event in RUNS_CODE and arguments != HEALTH)
            or (event == "import" and arguments[0].partition(".")[0] not in self.known)
            or (event in ("exec", "compile") and not self.is_ours(event, arguments))
            or (event == "open" and self.writes(*arguments) and self.is_outside(arguments[0]))
            or (event in CHANGES_FILES and any(self.is_outside(path) for path in arguments[:2]))
        )
        if suspicious:
            self.events.append((event, str(arguments)[:200]))

    def is_ours(self, event, arguments):
        file = arguments[1] if event == "compile" else getattr(arguments[0], "co_filename", "")
        return isinstance(file, str) and (file.startswith((*OURS, "<frozen")))

    @staticmethod
    def writes(path, mode, flags):
        return bool(set(mode or "") & set("wax+")) or bool(
            (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )

    def is_outside(self, path):
        if not isinstance(path, str | bytes | os.PathLike):
            return False  # a descriptor
        path = os.fsdecode(path)
        if not os.path.isabs(path):  # in a folder that was opened before
            return ".." in path
        return path != os.devnull and not path.startswith(self.folder)


repr(torch.ones(1, 1))  # torch imports what it needs for that at the first one
WATCH = Watch()
COUNTS = Counter()


@contextlib.contextmanager
def harmless(kind, folder, *refusals):
    """What is inside may raise one of `refusals`, on one line; and must touch nothing outside `folder`."""
    COUNTS[kind] += 1
    WATCH.known = {name.partition(".")[0] for name in sys.modules}
    WATCH.events, WATCH.folder = [], str(folder)
    try:
        yield
    except refusals as error:
        WATCH.folder = None
        said = str(error)
        assert said.isprintable(), said
        assert len(said) <= LONGEST + len(str(folder)), said
        COUNTS[f"{kind}, refused"] += 1
    finally:
        WATCH.folder = None
    assert not WATCH.events


def examples(short, long):
    return settings(
        max_examples=long if LONG else short,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module", autouse=True)
def _totals():
    yield
    inputs = sum(count for kind, count in COUNTS.items() if "refused" not in kind)
    print(f"\n{inputs:,} inputs: " + "; ".join(f"{kind} {count:,}" for kind, count in sorted(COUNTS.items())))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers() | st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**20, 10**400]) | st.floats()
NASTY = st.sampled_from(
    [
        "1e999", "-.inf", ".nan", "~", "0x" + "f" * 5000, "9" * 5000, "1:" * 3000 + "1", "1:" * 300 + "1.5",
        "2024-99-99", "0001-01-01 00:00:00+23:59", "!!int ''", "!!float x", "!!bool maybe", "!!timestamp x",
        "!!binary =", "!!set {a}", "!!omap [a: 1]", "!!python/object/apply:os.system ['true']", "!<%0A> x",
        "!!python/name:os.system", "&a [*a]", "&a x", "*a", "{<<: {a: 1}}", "{? [a] : b}", "{on: 1}", "on",
        "[" * 3000, "{a: " * 30 + "}" * 30, "a: b: c", "|", ">", "'", '"', '"\\x00"', '"\\n\\e[31m"', "%",
        "antigravity:X-v0", "tests:X-v0", "../../x", "x" * 20_000, "--- a\n--- b", "[1, 2", "\t", "#",
        "[" + "1," * 5000 + "1]", "null", "ALE/Pong-v5", "hl_gauss", "mse", "rainbow", "[64, 64]", "true",
    ]
)  # fmt: skip
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=6,
)
VALUES = PLAIN.map(lambda value: json.dumps(value, ensure_ascii=False)) | NASTY
BYTES = st.binary(max_size=6) | VALUES.map(str.encode)


@st.composite
def harmed_text(draw, text):
    """A YAML text with some lines changed, deleted or doubled, and bytes put in."""
    lines = text.split("\n")
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["value", "value", "value", "delete", "double", "key", "indent"]))
        key, colon, _ = lines[place].partition(":")
        if kind == "value":
            lines[place] = f"{key}{colon} {draw(VALUES)}"
        elif kind == "key":
            lines[place] = f"{draw(VALUES)}: {draw(VALUES)}"
        elif kind == "indent":
            lines[place] = draw(st.sampled_from([" ", "  ", "\t", "- "])) + lines[place]
        else:
            lines[place : place + 1] = [] if kind == "delete" else [lines[place]] * 2
        lines = lines or [""]
    content = "\n".join(lines).encode()
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(BYTES) + content[at + draw(st.integers(0, 3)) :]
    return content


STAMPED = yaml.safe_dump(stamped(recipe_of("dqn", "CartPole-v1", overrides=TINY)), sort_keys=False)
SOURCE = (RECIPES / "dqn.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@examples(300, 40_000)
@given(content=harmed_text(STAMPED) | harmed_text(STAMPED) | VALUES.map(str.encode) | st.binary(max_size=60))
def test_recipes_of_runs(content, folder):
    (folder / "recipe.yaml").write_bytes(content)
    with harmless("recipe.yaml", folder, RecipeError):
        Run(folder).recipe()


@examples(150, 15_000)
@given(content=harmed_text(SOURCE) | PLAIN.map(lambda value: json.dumps({"defaults": value}).encode()))
def test_recipe_files(content, folder):
    (folder / "dqn.yaml").write_bytes(content)
    with harmless("recipe file", folder, RecipeError):
        source = read_yaml(folder / "dqn.yaml")
        resolve(source, env="CartPole-v1", preset=next(iter(source.get("presets") or [None]), None))


KEYS = st.sampled_from([*all_keys(), "value_loss", "optimizer", "env_options.a", "env_options.a.b"])
HARMED_KEYS = st.tuples(KEYS, TEXT).map("".join) | KEYS.map(lambda key: key[:-1]) | TEXT
SENSIBLE = st.sampled_from(["1", "2", "100", "0.5", "1e-3", "true", "null", "[32]", "adam", "mlp", "memory"])
OVERRIDES = st.one_of(
    st.tuples(KEYS, SENSIBLE), st.tuples(KEYS, SENSIBLE | VALUES), st.tuples(HARMED_KEYS, VALUES)
).map("=".join)


@examples(300, 40_000)
@given(
    words=st.lists(OVERRIDES | TEXT, min_size=1, max_size=3),
    agent=st.sampled_from(["dqn", "rainbow", "pqn"]),
    env=st.sampled_from(["CartPole-v1", "ALE/Pong-v5", "antigravity:X-v0", "MinAtar/Breakout"]),
)
def test_overrides(words, agent, env, folder):
    with harmless("override", folder, RecipeError):
        recipe_of(agent, env, overrides=words)


DTYPES = st.sampled_from(["F32", "F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "C64", "F4"]) | TEXT
SIZES = st.lists(st.integers(0, 9) | st.sampled_from([2**31, 2**40, 2**63, 2**64, -1]), max_size=5)


@st.composite
def harmed_tensors(draw, content):
    """A safetensors file with its header rewritten, bytes flipped, or its end gone."""
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    for _ in range(draw(st.integers(0, 2)) if names else 0):
        name = draw(st.sampled_from(names))
        new = draw(
            st.fixed_dictionaries({}, optional={"shape": SIZES, "dtype": DTYPES, "data_offsets": SIZES})
            | st.sampled_from(["rename", "delete", "twin"])
            | PLAIN
        )
        entry = header.get(name)
        if new == "rename":
            header[draw(TEXT)] = header.pop(name, None)
        elif new == "delete":
            header.pop(name, None)
        elif new == "twin":
            header[draw(TEXT)] = entry
        else:
            header[name] = {**entry, **new} if isinstance(new, dict) and isinstance(entry, dict) else new
    text = json.dumps(header).encode()
    harmed = bytearray(
        draw(st.just(len(text)) | st.integers(0, 2**64 - 1)).to_bytes(8, "little") + text + body
    )
    for _ in range(draw(st.integers(0, 2))):
        harmed[draw(st.integers(0, len(harmed) - 1))] ^= draw(st.integers(1, 255))
    end = draw(st.just(len(harmed)) | st.just(len(harmed)) | st.integers(0, len(harmed)))
    return bytes(harmed[:end])


@pytest.fixture(scope="module")
def tiny():
    recipe = recipe_of("dqn", "CartPole-v1", overrides=TINY)
    env = build_env(recipe, 1)
    yield build_agent(recipe, env)
    env.close()


@examples(200, 10_000)
@given(data=st.data())
def test_weights(data, tiny, folder):
    run = Run(folder / "weights")
    if not run.path.exists():
        run.path.mkdir()
        save_weights(run, tiny, 0)
        (run.path / "good").write_bytes(run.weights.read_bytes())
    content = data.draw(harmed_tensors((run.path / "good").read_bytes()) | st.binary(max_size=40))
    run.weights.write_bytes(content)
    with harmless("weights", folder, RecipeError):
        load_weights(run, tiny)


@pytest.fixture(scope="module")
def checkpoint(folder):
    agent = trainer()
    for _ in range(8):
        agent.iterate()
    path = Checkpoints(folder / "checkpoints", agent, run="tiny").save()
    agent.close()
    shutil.copytree(path, folder / "good")
    return path


@pytest.fixture(scope="module")
def fresh():
    """An agent to restore; another one every so often, for what is restored may have changed it."""

    def agents():
        while True:
            agent = trainer()
            try:
                for _ in range(50):
                    yield agent
            finally:
                with contextlib.suppress(Exception):
                    agent.close()

    return agents()


def trainer():
    return build_trainer(recipe_of("dqn", "CartPole-v1", overrides=TINY))


def places(tree, path=()):
    """Paths to everything in a JSON tree."""
    yield path
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


@st.composite
def harmed_json(draw, content):
    """JSON with a value replaced or deleted, or bytes changed."""
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(content)))
        return content[:at] + draw(BYTES) + content[at + draw(st.integers(0, 3)) :]
    tree = json.loads(content)
    for _ in range(draw(st.integers(1, 2))):
        *path, last = draw(st.sampled_from([path for path in places(tree) if path] or [(0,)]))
        parent = tree
        for key in path:
            parent = parent[key]
        marks = st.sampled_from(["$tensor", "$array", "$tuple", "$scalar", "$mapping", "$call"])
        marked = st.dictionaries(marks, PLAIN | st.sampled_from("0123456789"), min_size=1, max_size=1)
        if draw(st.integers(0, 4)):
            parent[last] = draw(PLAIN | marked | st.just([[]] * 50))
        elif isinstance(parent, dict | list) and len(parent):
            del parent[last]
    return json.dumps(tree).encode()


def write_seal(folder, sealed):
    text = json.dumps(sealed)
    (folder / "seal.json").write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")


@examples(120, 3_000)
@given(data=st.data())
def test_checkpoints(data, checkpoint, folder, fresh):
    good = folder / "good"
    sealed = json.loads((good / "seal.json").read_text().split("\n")[1])
    name = data.draw(st.sampled_from(["seal.json", "manifest.json", *sealed["files"]]), label="file")
    try:
        if name == "seal.json":
            write_seal(
                checkpoint, json.loads(data.draw(harmed_json(json.dumps(sealed).encode()).filter(is_json)))
            )
        else:
            kind = harmed_json if name.endswith(".json") else harmed_tensors
            content = data.draw(kind((good / name).read_bytes()))
            (checkpoint / name).unlink()
            (checkpoint / name).write_bytes(content)
            sealed["files"][name] = [len(content), hashlib.sha256(content).hexdigest()]
            write_seal(checkpoint, sealed)
        agent = next(fresh)
        with harmless("checkpoint", folder, CheckpointError):
            Checkpoints(folder / "checkpoints", agent, run="tiny").restore()
    finally:
        for changed in (name, "seal.json"):
            shutil.copyfile(good / changed, checkpoint / changed)


def is_json(content):
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def saved_step(checkpoint):
    return int(checkpoint.name.removeprefix("step-"))


def test_the_checkpoint_as_it_was_is_read(checkpoint, folder):
    with harmless("whole", folder):
        assert Checkpoints(folder / "checkpoints", trainer(), run="tiny").restore() == saved_step(checkpoint)


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LAUGHS, "line 1: not YAML: references"),
        ("a: 1\n" * 250_000, "larger than 1 MB"),
        ("a: " + "[" * 5000, "nest"),
        ("a: " + "[" * 50 + "]" * 50, "nested too deeply"),
        ("a: !!python/object/apply:os.system ['true']", "the tag"),
        ("on: 1", "the key True must be a name"),
        ("a: " + "1:" * 200_000 + "1", "more than 10000 characters"),
        ("a: !!int ''", "the tag"),
    ],
)
def test_bombs(content, words, folder):
    (folder / "recipe.yaml").write_text(content)
    with pytest.raises(RecipeError, match=words):
        Run(folder).recipe()


@pytest.mark.parametrize(
    "words", [["network.hidden=[1000000,1000000]"], ["network.width=1000", "network.name=resnet50"],
              ["num_envs=10000", "rollout_length=100000"], ["num_envs=1e9"]]
)  # fmt: skip
def test_what_no_memory_holds(words, folder):
    with harmless("memory", folder), pytest.raises(RecipeError, match=r"GB are free|at most|images"):
        build_trainer(recipe_of("dqn", "CartPole-v1", overrides=words))


@pytest.mark.usefixtures("at_the_bottom")
@pytest.mark.parametrize(
    "content", ["[" * 100_000, "[]", '{"steps": "x", "mean_return": 1}', '{"steps": NaN}']
)
def test_results(content, folder):
    (folder / "result.json").write_text(content)
    with pytest.raises(RecipeError, match="corrupt"):
        Run(folder).result()


def test_code_would_be_seen(folder):
    with pytest.raises(AssertionError), harmless("code", folder):
        os.system("true")
    with pytest.raises(AssertionError), harmless("code", folder):
        exec("1")
    with pytest.raises(AssertionError), harmless("code", folder):
        (folder.parent / "outside").touch()
