"""Two learners in two processes: `python ranks_for_tests.py RANK FOLDER` writes what each found."""

import copy
import hashlib
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from catzoo.agents import Compute, make_learner
from catzoo.agents.learning.batches import mapped
from catzoo.agents.learning.data_parallel import ALONE, Together
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.train import recipe_of

COUNT = 2
SMALL = [
    "batch_size=8", "log_every=32", "steps=600", "optimizer.max_grad_norm=0.1", f"compute.devices={COUNT}",
]  # fmt: skip
PLAYING = ["num_envs=4", "rollout_length=4", "network.hidden=[16]"]
REPLAY = ["learning_starts=32", "updates_per_step=0.25", "replay.capacity=300"]
KINDS = {
    "dqn": ("dqn", "CartPole-v1", "hl_gauss", [*REPLAY, "normalize.reward=true", "value_loss.v_max=20"]),
    "rainbow": ("rainbow", "CartPole-v1", "c51", [*REPLAY, "reset_every=7", "noisy=false"]),
    "adaptive": ("dqn", "CartPole-v1", "two_hot", [*REPLAY, "support=adaptive", "updates_per_step=2"]),
    "ppo": ("ppo", "Pendulum-v1", "hl_gauss", ["normalize.observation=true"]),
    "impala": ("impala", "CartPole-v1", "mse", []),
    "wordle": ("wordle", "wordle/40", "hl_gauss", ["network.size=16"]),
    "sac": ("sac", "Pendulum-v1", "c51", [*REPLAY, "policy_delay=1"]),
}
DRAWING = ("sac",)
"""Kinds whose losses draw noise, row by row."""


def work_of(kind, ranks, data):
    agent, env, loss, more = KINDS[kind]
    own = [f"dataset={data}"] if kind == "wordle" else PLAYING
    recipe = recipe_of(agent, env, loss=loss, seed=3, overrides=[*SMALL, *own, *more])
    return build_trainer(recipe, compute=Compute(ranks=ranks))


def gradients_of(learner, batch):
    """What the optimizers of a learner would have moved by."""
    found = []
    for optimizer in learner.optimizers:
        optimizer.step = lambda gradients: found.append(torch.cat([own.flatten() for own in gradients]))
    learner.learn(batch, 0)
    for optimizer in learner.optimizers:
        del optimizer.step
    return torch.cat(found)


def by_halves(agent, loss, streams, kept):
    """A loss of a joined batch, whose parts draw what each rank draws, and keep what it keeps."""

    def of_both(batch):
        found = []
        for rank, stream in enumerate(streams):
            torch.set_rng_state(stream)
            agent.log_prob_B = kept[rank]
            size = len(batch.action) // COUNT
            found.append(loss(batch.at(slice(rank * size, (rank + 1) * size))))
            streams[rank], kept[rank] = torch.get_rng_state(), agent.log_prob_B
        losses, errors = zip(*found, strict=True)
        return torch.cat(losses), None if errors[0] is None else torch.cat(errors)

    return of_both


def apart(kind, work, ranks):
    """The largest difference of the averaged gradient from that of one process with the joined batch."""
    batch = mapped(next(work.feed.batches(work)), lambda column: column[:1])
    joined = mapped(batch, lambda column: ranks.rows(column[0].double()).to(column.dtype).unsqueeze(0))
    twin = copy.deepcopy(work.agent)
    twin.ranks = ALONE
    alone = make_learner(twin, Compute())
    if kind in DRAWING:
        streams = [torch.Generator().manual_seed(100 + rank).get_state() for rank in range(COUNT)]
        kept = [twin.log_prob_B] * COUNT
        alone.losses = [by_halves(twin, loss, streams, kept) for loss in alone.losses]
    expected = gradients_of(alone, joined)
    torch.manual_seed(100 + ranks.rank)
    found = gradients_of(work.learner, work.agent.joined(batch))
    return float((found - expected).abs().max()), float(expected.abs().max())


def digest(work):
    """What must be the same on all ranks."""
    tensors = [*work.agent.weights().values()]
    tensors += [moment for adam in work.learner.optimizers for moment in (*adam.first, *adam.second)]
    numbers = torch.cat([tensor.flatten().double() for tensor in tensors])
    counts = (work.steps, work.updates, work.num_episodes, [tuple(episode) for episode in work.recent])
    metrics = {name: value for name, value in work.metrics.items() if not name.startswith("time/")}
    return hashlib.sha256(numbers.numpy().tobytes()).hexdigest(), counts, metrics


def small_things(ranks):
    row = torch.arange(float(ranks.rank + 1))
    own = [torch.full((2,), float(ranks.rank)), torch.tensor(ranks.rank)]
    ranks.equalize(own)
    gradients = [torch.full((2, 2), 1.0 + ranks.rank), torch.full((3,), 3.0 - ranks.rank)]
    return {
        "rows": ranks.rows(row).tolist(),
        "none": ranks.rows(row[:0]).tolist(),
        "total": ranks.total(ranks.rank + 5),
        "largest": ranks.largest(torch.tensor([ranks.rank, -ranks.rank])).tolist(),
        "equal": [tensor.tolist() for tensor in own],
        "averaged": [own.flatten().tolist() for own in ranks.averaged(gradients)],
        "weighed": ranks.averaged(gradients, torch.tensor(1.0 + 2 * ranks.rank))[0].flatten().tolist(),
        "seeds": ranks.gathered(ranks.seed(7)),
    }


def main(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", store=dist.FileStore(str(folder / "store"), COUNT), rank=rank, world_size=COUNT
    )
    ranks = Together()
    found = {"small": small_things(ranks)}
    for kind in KINDS:
        work = work_of(kind, ranks, folder / "games")
        for _ in range(8):
            work.iterate()
        same = ranks.gathered(digest(work))
        difference, size = apart(kind, work, ranks)
        found[kind] = {"updates": work.updates, "digests": same, "apart": difference, "size": size}
        work.close()
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
