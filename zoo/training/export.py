"""`export`: the greedy policy of a finished run as one file for other programs."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from catzoo.agents import Agent
from catzoo.hparams import RecipeError
from catzoo.hparams.paths import Typed, path_of
from catzoo.hparams.schema import brief, check_name
from catzoo.zoo.catalogue.pretrained import find_run
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.environments.unit_actions import UnitActions
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.system.atomic_files import published, writing
from catzoo.zoo.system.disk_space import check_writable
from catzoo.zoo.training.build import build_env
from catzoo.zoo.training.evaluate import most_envs
from catzoo.zoo.training.greedy_policy import GreedyPolicy, policy_card
from catzoo.zoo.training.torch_state import own_torch
from catzoo.zoo.training.weights import open_agent

NUM_ENVS, OBSERVATIONS, EPSILON = 8, 256, 0.25
"""Of the play that a file is checked on: environments, observations, and the share of random actions."""
APART = 1e-3
"""What a file's numbers may be off by, in shares of the largest; they are off by rounding, 1e-6 or so."""
SAME = 0.99
"""The share of discrete actions that must be the agent's: rounding decides between values that are level."""
CARD = "catzoo.json"
"""The name of what a .pt2 file says of itself."""


class Form(NamedTuple):
    """A kind of file."""

    suffix: str
    save: Callable[[Any, GreedyPolicy, Tensor, dict[str, Any], Path], None]
    """Writes an exported program with its policy, observations [2, ...] and card."""
    load: Callable[[Path], Callable[[np.ndarray], Mapping[str, Any]]]
    """What a file computes of observations [B, ...], as another program would."""


@own_torch()
def export(
    run: Typed,
    out: Typed | None = None,
    *,
    form: str = "onnx",
    best: bool = False,
    trust: bool = False,
) -> dict[str, Any]:
    """Writes the greedy policy of a finished run as one file, which needs no catzoo to be used.

    Its input `observation` [batch, ...] is what the environment gives, for any size of the batch. Outputs are
    `action`, `values` (decoded), `probabilities` of the values where the loss has bins, and
    `action_probabilities` where the policy has them; the file says what each means, and whose it is.

    What was written is run beside the agent on observations of play before it gets its name.

    Args:
        run: the run's folder, or the name of one of the zoo's own trained agents.
        out: the file, replaced when complete; the run's name by default, here.
        form: `onnx` (.onnx), or `torch-export` (.pt2, for `torch.export.load`).
        best: see `load_agent`.
        trust: see `load_agent`.

    Returns:
        `out` (the path), `input` ("float32 [batch, 4]"), `outputs` (names), `observations` (how many were
        compared), `same_actions` (how many) or, of continuous ones, `actions_apart` (the largest difference),
        the other is None, and `values_apart`.

    Raises:
        RecipeError: not a finished run, a file that cannot be written, a missing package, or a network that
            this kind of file cannot hold.
    """
    check_name("form", form, FORMS)
    kind = FORMS[form]
    typed = path_of(find_run(run).resolve().name + kind.suffix if out is None else out)
    if typed.suffix.lower() != kind.suffix:
        raise RecipeError(f"{typed}: {form} makes {kind.suffix} files")
    check_writable(typed)
    if form == "onnx":
        _check_packages()
    out = typed.absolute()  # though the environment may go to another folder
    recipe, agent = open_agent(run, best=best, trust=trust)
    agent.cpu()  # whose operations any machine has
    protocol = protocol_of(recipe.env, recipe.env_options)
    env = build_env(recipe, min(NUM_ENVS, most_envs(recipe, protocol)), protocol)
    try:
        observations = observations_of_play(agent, env, OBSERVATIONS)
    finally:
        env.close()
    policy = GreedyPolicy(agent, env)
    card = policy_card(policy, recipe, protocol, None if best else Run(find_run(run)).result())
    pair = torch.as_tensor(observations[:2])
    with writing(typed), _quiet(), published(out) as file:
        kind.save(_program(policy, pair, run), policy, pair, card, file)
        compared, unlike = _compared(kind.load(file)(observations), agent, env, observations)
        if unlike:
            words = f"its {' and '.join(unlike)} are not the agent's, {compared}"
            raise RecipeError(f"{typed}: not written: {words}")
    shape = ", ".join(["batch", *map(str, pair.shape[1:])])
    read = f"{str(pair.dtype).removeprefix('torch.')} [{shape}]"
    return {"out": str(typed), "input": read, "outputs": list(policy.outputs()), **compared}


@torch.no_grad()
def observations_of_play(agent: Agent, env: VectorEnv, count: int, seed: int = 0) -> np.ndarray:
    """Observations [count, ...] of an agent that plays with some random actions; float64 as float32.

    Args:
        agent: who plays.
        env: where; it is reset.
        count: how many, in all environments.
        seed: of the environments, and of the random actions.
    """
    policy = agent.policy(env.single_action_space, seed=seed)
    policy.epsilon = EPSILON
    observation, _ = env.reset(seed=seed)
    narrow = np.float32 if observation.dtype == np.float64 else observation.dtype
    seen = [observation.astype(narrow)]
    while sum(map(len, seen)) < count:
        observation, *_ = env.step(policy(torch.as_tensor(seen[-1])))
        seen.append(observation.astype(narrow))
    return np.concatenate(seen)[:count]


@torch.no_grad()
def _compared(
    found: Mapping[str, Any], agent: Agent, env: VectorEnv, observations: np.ndarray
) -> tuple[dict[str, Any], list[str]]:
    """What a file found beside what the agent does in an evaluation; and the names of what is not alike."""
    policy, seen = agent.policy(env.single_action_space), torch.as_tensor(observations)
    policy.epsilon = 0.0
    own = policy(seen)
    own = env.actions(own) if isinstance(env, UnitActions) else own
    values = (agent.value_loss.decode(agent.appraise(seen)[0]) * agent.unit).numpy()
    action = np.asarray(found["action"])
    same, count = int((action == own).reshape(len(own), -1).all(1).sum()), len(own)
    numbers = own.dtype.kind == "f"
    (apart, action_fits), (values_apart, values_fit) = _apart(action, own), _apart(found["values"], values)
    compared = {
        "observations": count,
        "same_actions": None if numbers else same,
        "actions_apart": apart if numbers else None,
        "values_apart": values_apart,
    }
    fits = {"actions": action_fits if numbers else same >= SAME * count, "values": values_fit}
    return compared, [name for name, fit in fits.items() if not fit]


def _apart(theirs: Any, ours: np.ndarray) -> tuple[float, bool]:
    """The largest difference of numbers, and whether it is one of rounding."""
    apart = float(np.abs(np.asarray(theirs, np.float64) - ours).max())
    return apart, apart <= APART * max(float(np.abs(ours).max()), 1.0)


def _program(policy: GreedyPolicy, pair: Tensor, run: Typed) -> torch.export.ExportedProgram:
    sizes = {"observation": {0: torch.export.Dim("batch")}}
    try:
        with torch.no_grad():
            return torch.export.export(policy, (pair,), dynamic_shapes=sizes)
    except Exception as error:  # whatever a network of one's own raises under a trace
        why = brief(" ".join(str(error).split()), 200)
        raise RecipeError(f"{run}: torch.export cannot follow its network: {why}") from None


# --- torch.export ---


def _save_torch(program: Any, policy: GreedyPolicy, pair: Tensor, card: dict[str, Any], file: Path) -> None:
    torch.export.save(program, file, extra_files={CARD: json.dumps(card, indent=1)})


def _load_torch(file: Path) -> Callable[[np.ndarray], Mapping[str, Any]]:
    module = torch.export.load(file).module()
    return lambda observations: module(torch.as_tensor(observations))


# --- ONNX ---


def _check_packages() -> None:
    lacks = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if lacks:
        raise RecipeError(f"an .onnx file needs {', '.join(lacks)}: pip install 'catzoo[onnx]'")


def _save_onnx(program: Any, policy: GreedyPolicy, pair: Tensor, card: dict[str, Any], file: Path) -> None:
    names = {"input_names": ["observation"], "output_names": list(policy.outputs())}
    sizes = {"observation": {0: "batch"}}
    try:
        made = torch.onnx.export(program, (pair,), dynamo=True, dynamic_shapes=sizes, verbose=False, **names)
    except torch.onnx.OnnxExporterError as error:
        raise RecipeError(_why_not(error)) from None
    model = made.model
    model.doc_string = f"The greedy policy of {card['agent']} on {card['env']}, by catzoo {card['catzoo']}"
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.doc_string = card["outputs"].get(value.name, card["input"])
    for key, said in card.items():
        model.metadata_props[key] = said if isinstance(said, str) else json.dumps(said)
    made.save(file)


def _why_not(error: BaseException) -> str:
    """Why there is no ONNX of a network, by the operator where that is why."""
    operator, first = None, error
    while error is not None and operator is None:
        operator = re.search(r"No ONNX function found for <OpOverload\(op='([\w.:]+)'", str(error))
        error = error.__cause__
    if operator:
        return f"ONNX has no operator for {operator[1]}, which the network uses; --torch-export has"
    return f"the network cannot be written as ONNX: {brief(' '.join(str(first).split()), 200)}"


def _load_onnx(file: Path) -> Callable[[np.ndarray], Mapping[str, Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda seen: dict(zip(names, session.run(names, {"observation": seen}), strict=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters speak of packages that nobody asked for, and of their own insides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)


FORMS = {
    "onnx": Form(".onnx", _save_onnx, _load_onnx),
    "torch-export": Form(".pt2", _save_torch, _load_torch),
}
"""By the words of the command."""
