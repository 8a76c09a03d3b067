"""`catzoo bench training`: whole training loops beside Stable-Baselines3 and TorchRL, in one run.

| part | what is measured |
|---|---|
| speed | whole training runs, libraries taking turns seed by seed: steps a second, and the greedy return |
| overhead | Lightning's loop against a bare `while work.steps < total: work.iterate()`, same pieces |
| learner | updates a second of the Nature CNN on random frames, in fp32, channels_last and bf16 |
| share | where a run's time goes: environment, policy, replay, learner, Lightning |
| waiting | updates a second of the Nature CNN by threads that sleep while they wait, and by ones that spin |
| pipeline | whole runs by threads of torch, collecting in turn with the learner and ahead of it |

The agents are `dqn`, `sac`, `td3` and `ppo` (`WORK` in `job.py`); the last three have no `learner`, `waiting`
and `pipeline`.

What is the same for every library: network, batch, updates per step, replay, exploration (schedule, noise,
first temperature), optimizer, target updates, PPO's environments, epochs, clip and lambda, cores and threads.
Nothing is there that one side lacks: no double Q-learning, no layer norm in SAC's critics, no observation or
reward is normalised. The libraries' loss is `huber` for DQN (Stable-Baselines3 and TorchRL: smooth L1) and
`mse` for the others; ours runs with `hl_gauss` as well. `catzoo pqn` is another agent, by its own recipe: its
rate stands beside DQN's, its work is not theirs.

With more than one core ours also collects in a thread while it learns, on Atari, as its recipe says there.

What differs: how a library collects. Ours steps `num_envs` environments together and updates in bursts:
DQN 16 after 160 steps of 16, SAC and TD3 eight after eight steps of one. `sb3` and `sbx` (the same in JAX)
step one environment and update as soon as an update is due, as their users do; as `sb3-vec` and `sbx-vec`
they have as many environments as ours and update in the same bursts: how much of the ratio is that?
`torchrl` steps one, in bursts as ours. For PPO all have as many environments as ours, and there is no `-vec`.
What else a library does in its own way stands in its file, `peer_*.py`. Nobody logs to a file.

On Atari Stable-Baselines3 gets our ALE vector environment (see `peer_sb3`), and TorchRL is left out: its
transforms need torchvision. The column `envs` says what was stepped. Ours runs with the recipe's
channels_last, which moves memory and not precision; `catzoo bf16` is a side of its own.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from catzoo.hparams import RecipeError
from catzoo.hparams.paths import path_of
from catzoo.hparams.schema import check_name
from catzoo.zoo.bench.loops.job import KEY, WORK, Job
from catzoo.zoo.bench.loops.loop_peers import PEERS, problem_of_peer
from catzoo.zoo.bench.loops.loop_summary import print_table, summarise
from catzoo.zoo.bench.rows import Row, append_results, stamp, whole
from catzoo.zoo.environments.names import in_file_names
from catzoo.zoo.system import machine
from catzoo.zoo.system.console import pasteable, say
from catzoo.zoo.system.digits import score
from catzoo.zoo.system.exit_status import last_words

__all__ = ["COLUMNS", "bench_training", "print_table", "summarise"]

COLUMNS = (
    *KEY,
    "variant",
    "envs",
    "seconds",
    "steps_per_second",
    "updates",
    "updates_per_second",
    "mean_return",
    "share",
    "versions",
    "cpu",
    "load",
    "date",
    "command",
)
"""Of the CSV. `load` is the machine's load average before the run: what else was going on."""
NUMBERS = {
    **dict.fromkeys(("seed", "steps", "threads", "eval_episodes", "updates"), int),
    **dict.fromkeys(
        ("seconds", "steps_per_second", "updates_per_second", "mean_return", "share", "load"), float
    ),
}
PARTS = ("speed", "overhead", "share", "learner", "pipeline", "waiting")
OF_ALL = PARTS[:3]
"""Parts of every agent; the others are of DQN alone."""
SPINNING = {"GOMP_SPINCOUNT": "300000"}
"""What OpenMP's threads do where nobody says anything."""
SLEEPING = {"OMP_WAIT_POLICY": "passive"}
PIXELS = "ALE/Pong-v5"
"""Where the learner's shapes come from, whatever the environment of the other parts."""


def bench_training(
    env: str | None = None,
    *,
    agent: str = "dqn",
    steps: int | None = None,
    seeds: int = 5,
    peers: Sequence[str] = ("sb3", "sb3-vec", "torchrl"),
    out: Path | None = None,
    parts: Sequence[str] | None = None,
    progress: Callable[[str], None] = say,
    episodes: int = 30,
    cores: int = 1,
    compile: bool = False,
    isolate: bool = True,
) -> list[Row]:
    """Measures training loops side by side; a benchmark that was interrupted goes on.

    Args:
        env: a Gymnasium id with vector observations, or `ALE/*`; by default CartPole-v1 for dqn and ppo,
            Pendulum-v1 for sac and td3.
        agent: of `WORK`.
        steps: agent steps of each run; by default 100,000 for dqn and ppo, 10,000 for sac and td3, 5,000 on
            Atari.
        seeds: runs of each side, and pairs of the overhead (at least five).
        peers: of `PEERS`; those that are not installed, or cannot run the
            environment, are left out with a line that says so.
        out: a CSV file, or a folder for `training-ENV.csv` (`training-AGENT-ENV.csv` for other agents than
            dqn); rows are appended as they come, and what is there already, from the last day and the same
            versions, is not measured again. None: nothing is written.
        parts: of `PARTS`, for other agents than dqn of `OF_ALL`; by default `OF_ALL`, and dqn's `learner`.
        progress: gets one line for every measurement.
        episodes: greedy episodes after each run of `speed`; 0: none.
        cores: that each side of `speed` and `share` may use, as threads of torch or of the environment.
        compile: the learner's measurement with torch.compile as well.
        isolate: every run in a fresh process, on cores of its own; False is for tests.

    Returns:
        The rows of all that was asked for, old and new; see `COLUMNS`.

    Raises:
        RecipeError: an unknown agent, part, peer or environment, a part that the agent does not have, more
            cores than there are, or rows of another format in `out`.
    """
    _check([agent], tuple(WORK), "agent")
    parts = _parts(agent, parts)
    _check(peers, PEERS, "peer")
    if cores > machine.cores():
        raise RecipeError(f"cores={cores}: this process has {machine.cores()}")
    env = env or WORK[agent].env
    steps = steps or (5_000 if env.startswith("ALE/") else WORK[agent].steps)
    able = _able(peers, agent, env, progress) if "speed" in parts else []
    jobs = [
        dataclasses.replace(job, agent=agent)
        for job in _jobs(agent, env, steps, seeds, able, parts, episodes, compile, cores)
    ]
    file = _csv_file(out, agent, env)
    done = _read(file)
    counts = {"--steps": steps, "--seeds": seeds, "--cores": cores, "--episodes": episodes}
    counted = [str(word) for pair in counts.items() for word in pair]
    command = pasteable(
        *("catzoo", "bench", "training", "--agent", agent, "--env", env, *counted),
        *("--parts", *parts, "--peers", *peers),
    )
    rows: list[Row] = []
    for number, job in enumerate(jobs, 1):
        about = _stamp(command)
        known = [
            row for row in done if tuple(str(row[name]) for name in KEY) == job.key and _is_fresh(row, about)
        ]
        fresh = [] if known else _measure(job, about, isolate)
        if file is not None and fresh:
            append_results(file, COLUMNS, fresh)
        rows += known or fresh
        progress(f"[{number}/{len(jobs)}] {_line(job, known or fresh)}{' (was there)' if known else ''}")
    return rows


def _parts(agent: str, parts: Sequence[str] | None) -> Sequence[str]:
    """The parts asked for, or those that are measured where nobody asks."""
    if parts is None:
        return (*OF_ALL, "learner") if agent == "dqn" else OF_ALL
    _check(parts, PARTS, "part")
    others = [part for part in parts if part not in OF_ALL]
    if others and agent != "dqn":
        raise RecipeError(f"the part {others[0]} is of dqn alone; {agent} has {', '.join(OF_ALL)}")
    return parts


def _able(peers: Sequence[str], agent: str, env: str, progress: Callable[[str], None]) -> list[str]:
    """The peers that can do the work; the others are left out with a line."""
    problems = {peer: problem_of_peer(peer, agent, env) for peer in peers}
    for peer, problem in problems.items():
        if problem is not None:
            progress(f"{peer}: left out: {problem}")
    return [peer for peer, problem in problems.items() if problem is None]


def _jobs(
    agent: str,
    env: str,
    steps: int,
    seeds: int,
    peers: Sequence[str],
    parts: Sequence[str],
    episodes: int,
    compile: bool,
    cores: int,
) -> Iterator[Job]:
    """Everything to measure, in the order to measure it: sides take turns, so that drift hits all alike."""
    theirs = WORK[agent].loss
    ours = [("catzoo", theirs), ("catzoo", "hl_gauss")]
    pqn = [("catzoo pqn", "hl_gauss")] if agent == "dqn" else []
    if "speed" in parts:
        bf16 = [("catzoo bf16", theirs)] if env.startswith("ALE/") else []
        sides = [*ours, *bf16, *pqn, *((peer, theirs) for peer in peers)]
        for seed in range(seeds):
            for library, loss in sides:
                yield Job("speed", env, library, loss, seed, steps, cores, episodes)
    if "overhead" in parts:
        for seed in range(max(seeds, 5)):
            # Who goes first alternates as well.
            for library in ("catzoo", "bare loop") if seed % 2 else ("bare loop", "catzoo"):
                yield Job("overhead", env, library, "hl_gauss", seed, steps)
    if "learner" in parts:
        for threads in (1, 2):
            for library in ("catzoo", "catzoo compiled") if compile else ("catzoo",):
                yield Job("learner", PIXELS, library, "hl_gauss", 0, 0, threads)
    if "pipeline" in parts:
        for seed in range(seeds):
            yield Job("pipeline", env, "catzoo", "hl_gauss", seed, steps, cores)
    if "waiting" in parts:
        for seed in range(max(seeds, 5)):
            for library in ("catzoo", "catzoo spinning") if seed % 2 else ("catzoo spinning", "catzoo"):
                yield Job("waiting", PIXELS, library, "hl_gauss", seed, 0, cores)
    if "share" in parts:
        for library, loss in (*ours, *pqn):
            yield Job("share", env, library, loss, 0, min(steps, 20_000), cores)


def _is_fresh(row: Row, about: Row) -> bool:
    """Whether a row can stand beside one of today: the same versions and processor, within a day."""
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(row["date"])
    same = all(row[name] == about[name] for name in ("versions", "cpu"))
    return same and age < datetime.timedelta(days=1)


def _measure(job: Job, about: Row, isolate: bool) -> list[Row]:
    """A job's rows, with what they were measured on."""
    if isolate:
        measured = _in_fresh_process(job)
    else:
        from catzoo.zoo.bench.loops.loop_worker import run

        measured = run(job)
    return [whole(COLUMNS, row, about) for row in measured]


def _stamp(command: str) -> Row:
    """To the second: what was measured within a day stands together."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return stamp(command, also=("stable-baselines3", "sbx-rl", "jax", "mujoco")) | {"date": now}


def _in_fresh_process(job: Job) -> list[Row]:
    threads = str(job.threads)
    waits = SPINNING if job.library == "catzoo spinning" else SLEEPING
    others = {name: value for name, value in os.environ.items() if name not in SPINNING | SLEEPING}
    quiet = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory() as folder:
        job_file, rows_file = Path(folder, "job.json"), Path(folder, "rows.json")
        job_file.write_text(json.dumps(dataclasses.asdict(job)), encoding="utf-8")
        process = subprocess.run(
            [sys.executable, "-m", "catzoo.zoo.bench.loops.loop_worker", str(job_file), str(rows_file)],
            env={**others, **quiet, **waits},
            capture_output=True,
            text=True,
        )
        reason, status = last_words(process.stderr) or "no message", process.returncode
        if status == 2:  # what it was asked for cannot be
            raise RecipeError(reason)
        if status != 0:
            raise RecipeError(f"{job.library} on {job.env}: exit status {status}: {reason}")
        rows: list[Row] = json.loads(rows_file.read_text(encoding="utf-8"))
        return rows


def _csv_file(out: Path | None, agent: str, env: str) -> Path | None:
    if out is None:
        return None
    out = path_of(out)
    name = in_file_names(env if agent == "dqn" else f"{agent}-{env}")
    return out if out.suffix == ".csv" else out / f"training-{name}.csv"


def _read(file: Path | None) -> list[Row]:
    """The rows that are there, with numbers as numbers; empty cells stay empty."""
    if file is None or not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise RecipeError(f"{file}: not rows of this benchmark; choose another file")
        return [
            {name: NUMBERS.get(name, str)(cell) if cell else "" for name, cell in row.items()}
            for row in reader
        ]


def _line(job: Job, rows: Sequence[Row]) -> str:
    what = f"{job.part}: {job.library}, {job.loss}, seed {job.seed}"
    if job.part == "learner":
        rates = ", ".join(f"{row['variant']} {row['updates_per_second']:.1f}" for row in rows)
        return f"learner: {job.library}, {job.threads} threads, updates/s: {rates}"
    if job.part == "waiting":
        return f"{what}, updates/s: {rows[0]['updates_per_second']:.1f}"
    if job.part == "pipeline":
        rates = ", ".join(f"{row['variant']} {row['steps_per_second']:,.0f}" for row in rows)
        return f"{what}, steps/s: {rates}"
    if job.part == "share":
        return f"{what}: " + ", ".join(f"{row['variant']} {row['share']:.0%}" for row in rows)
    mean = rows[0]["mean_return"]
    rate = f"{rows[0]['steps_per_second']:,.0f} steps/s"
    return f"{what}: {rate}" + (f", return {score(mean)}" if mean != "" else "")


def _check(names: Sequence[str], known: Sequence[str], what: str) -> None:
    for name in names:
        check_name(what, name, known)
