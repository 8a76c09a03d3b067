"""Runs one measurement in a process of its own, `python -m catzoo.zoo.bench.loops.loop_worker JOB ROWS`.

A fresh process a run, so that no library inherits another's allocator, caches or threads; pinned to as
many cores as the job has threads, since an environment may bring threads of its own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from catzoo.hparams import Recipe
from catzoo.zoo.bench.loops.job import Job, Trained, bench_recipe, warm_up
from catzoo.zoo.bench.rows import Row
from catzoo.zoo.system.exit_status import exit_status

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "catzoo": {
        "fp32": {},
        "channels_last": {"channels_last": True},
        "bf16": {"precision": "bf16"},
        "bf16 + channels_last": {"precision": "bf16", "channels_last": True},
    },
    "catzoo compiled": {
        "fp32": {"compile": True},
        "bf16 + channels_last": {"precision": "bf16", "channels_last": True, "compile": True},
    },
}
"""What the learner's measurement compares; `compute` keys of the recipe."""
LEARNER_ROUNDS = 5
ROUND_SECONDS = 1.0
"""How long one variant of the learner runs before the next takes its turn."""


def run(job: Job) -> list[Row]:
    """The job's rows; torch's number of threads is the job's meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(job.threads)
    try:
        return PARTS[job.part](job)
    finally:
        torch.set_num_threads(before)


def speed(job: Job) -> list[Row]:
    """One whole training run of one library, and the greedy policy's score after it."""
    recipe, train = bench_recipe(job), side(job.library)
    train(warm_up(recipe))
    trained = train(recipe)
    row = _timing(job, trained)
    if job.eval_episodes:
        scores = _evaluate(recipe, trained, job.eval_episodes)
        row["mean_return"] = round(statistics.fmean(scores), 3)
    return [row]


def side(library: str) -> Callable[[Recipe], Trained]:
    """The function that trains with a library."""
    if library in ("catzoo", "catzoo pqn"):
        return train_ours
    if library == "bare loop":
        return lambda recipe: train_ours(recipe, lightning=False)
    if library == "catzoo bf16":
        return lambda recipe: train_ours(
            dataclasses.replace(recipe, compute=dataclasses.replace(recipe.compute, precision="bf16"))
        )
    if library == "torchrl":
        from catzoo.zoo.bench.loops.peer_torchrl import train

        return train
    vectorised = library.endswith("-vec")
    if library.startswith("sbx"):
        from catzoo.zoo.bench.loops import peer_sbx

        return lambda recipe: peer_sbx.train(recipe, vectorised=vectorised)
    from catzoo.zoo.bench.loops import peer_sb3

    return lambda recipe: peer_sb3.train(recipe, vectorised=vectorised)


def train_ours(recipe: Recipe, *, lightning: bool = True) -> Trained:
    """The zoo's own training: Lightning's loop, or the bare one over the same pieces."""
    from catzoo.zoo.training.build import build_trainer
    from catzoo.zoo.training.loop import fit

    work = build_trainer(recipe)
    start = time.perf_counter()
    if lightning:
        fit(work)
    else:
        while work.steps < work.total_steps:
            work.iterate()
    seconds = time.perf_counter() - start
    work.close()
    collector = work.feed.collector
    collector.policy.epsilon = 0.0
    envs = f"{recipe.num_envs} x {type(collector.env.unwrapped).__name__}"
    return Trained(seconds, work.steps, work.updates, collector.policy, envs)


def _timing(job: Job, trained: Trained) -> Row:
    return {
        **dataclasses.asdict(job),
        "envs": trained.envs,
        "seconds": round(trained.seconds, 4),
        "steps_per_second": round(trained.steps / trained.seconds, 2),
        "updates": trained.updates,
        "updates_per_second": round(trained.updates / trained.seconds, 2),
    }


def _evaluate(recipe: Recipe, trained: Trained, episodes: int) -> list[float]:
    """The same episodes for every library: same environments, same seeds."""
    from catzoo.agents import evaluate_policy
    from catzoo.zoo.environments.making import make_env, stream_seed

    env = make_env(recipe.env, min(episodes, 10), recipe.env_options)
    seed = stream_seed(recipe.seed, f"bench {recipe.env}")
    scores = evaluate_policy(trained.policy.eval(), env, episodes, seed=seed)
    env.close()
    return scores


def learner(job: Job) -> list[Row]:
    """Updates a second on random data, for every number format."""
    steps = {name: _learner_step(job, **compute) for name, compute in VARIANTS[job.library].items()}
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(3):  # the first ones allocate, and choose or compile kernels
            step()
    for _ in range(LEARNER_ROUNDS):
        for name, step in steps.items():
            rates[name].append(rate(step, ROUND_SECONDS))
    return [
        {**dataclasses.asdict(job), "variant": name, "updates_per_second": round(statistics.median(laps), 2)}
        for name, laps in rates.items()
    ]


def waiting(job: Job) -> list[Row]:
    """Updates a second of torch's threads as this process has them wait for each other."""
    step = _learner_step(job)
    rate(step, ROUND_SECONDS)  # the first ones allocate
    laps = [rate(step, ROUND_SECONDS) for _ in range(LEARNER_ROUNDS)]
    return [{**dataclasses.asdict(job), "updates_per_second": round(statistics.median(laps), 2)}]


def rate(step: Callable[[], Any], seconds: float) -> float:
    """Calls a second, over so many seconds."""
    calls, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds or not calls:
        step()
        calls += 1
    return calls / spent


def _learner_step(job: Job, **compute: Any) -> Callable[[], Any]:
    from catzoo.agents import Transitions, make_learner
    from catzoo.zoo.training.build import build_agent, build_env
    from catzoo.zoo.training.compute import resolve_compute

    recipe = bench_recipe(dataclasses.replace(job, steps=1_000), **{"channels_last": False, **compute})
    env = build_env(recipe, 1)
    compute_here = resolve_compute(recipe)
    agent = build_agent(recipe, env, compute_here)
    space, actions, size = env.single_observation_space, int(env.single_action_space.n), recipe.batch_size
    env.close()
    learner = make_learner(agent, compute_here)
    random = torch.Generator().manual_seed(0)
    frames = [torch.randint(256, (size, *space.shape), generator=random, dtype=torch.uint8) for _ in range(2)]
    batch = Transitions(
        observation=frames[0],
        action=torch.randint(actions, (size,), generator=random),
        reward=torch.randn(size, generator=random),
        discount=torch.full((size,), recipe.gamma),
        next_observation=frames[1],
    )
    return lambda: learner.learn_once(batch)


def share(job: Job) -> list[Row]:
    """Where a run's time goes: environment, policy, replay, learner, Lightning, and the rest."""
    from catzoo.zoo.training.build import build_trainer
    from catzoo.zoo.training.loop import fit

    recipe = bench_recipe(job)
    # One thing at a time, or the parts would add up to more than the whole.
    recipe = dataclasses.replace(recipe, compute=dataclasses.replace(recipe.compute, overlap=False))
    train_ours(warm_up(recipe))
    work = build_trainer(recipe)
    spent = dict.fromkeys(("environment", "policy", "replay", "learner", "iteration"), 0.0)

    def timed(name: str, owner: Any, *methods: str) -> None:
        for method in methods:
            setattr(owner, method, _timed(getattr(owner, method), spent, name))

    timed("environment", work.feed.collector.env, "step")
    timed("policy", work.feed.collector.policy, "forward")
    if "replay" in work.components():
        timed("replay", work.components()["replay"], "add", "sample", "update_priority")
    timed("learner", work.learner, "learn")
    timed("iteration", work, "iterate")
    begins: list[float] = []
    iterate = work.iterate
    work.iterate = lambda: (begins.append(time.perf_counter()), iterate())
    fit(work)
    total = (
        time.perf_counter() - begins[0]
    )  # without the trainer's construction, which is no part of the loop
    work.close()
    iteration = spent.pop("iteration")
    spent["the agent's own"] = iteration - sum(spent.values())
    spent["Lightning"] = total - iteration
    return [
        {
            **dataclasses.asdict(job),
            "variant": name,
            "seconds": round(seconds, 4),
            "share": round(seconds / total, 4),
            "updates": work.updates,
        }
        for name, seconds in spent.items()
    ]


def _timed(function: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[name] += time.perf_counter() - start

    return wrapper


def pipeline(job: Job) -> list[Row]:
    """Whole runs with 1, 2, 4 … of the job's cores as torch's threads, collecting in turn and ahead."""
    recipe = bench_recipe(job, precision="auto")
    rows = []
    for threads in [1 << power for power in range(job.threads.bit_length())]:
        for ahead in (False, True):
            torch.set_num_threads(threads)
            compute = dataclasses.replace(recipe.compute, threads=threads, overlap=ahead)
            variant = dataclasses.replace(recipe, compute=compute)
            train_ours(warm_up(variant))
            name = f"{threads} threads, {'collecting ahead' if ahead else 'in turn'}"
            rows.append(_timing(job, train_ours(variant)) | {"variant": name})
    return rows


PARTS: dict[str, Callable[[Job], list[Row]]] = {
    "speed": speed,
    "overhead": speed,
    "learner": learner,
    "share": share,
    "pipeline": pipeline,
    "waiting": waiting,
}


def pin(cores: int) -> None:
    """Keeps this process on so many cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])


def main(job_file: str, rows_file: str) -> None:
    """Reads a job, measures, writes its rows."""
    job = Job(**json.loads(Path(job_file).read_text(encoding="utf-8")))
    pin(job.threads)
    Path(rows_file).write_text(json.dumps(run(job)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(*sys.argv[1:]), "bench"))
