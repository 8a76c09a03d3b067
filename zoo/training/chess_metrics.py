"""How well an agent values the moves of chess positions that it has not learned from.

Everything is measured on datasets of `catzoo data chess`, beside the one that was learned from: `test`, and
`mate-in-one`. Each measure is a mean over positions:

| metric | what |
|---|---|
| action_accuracy | share in which the chosen move is one of the engine's best |
| kendall_tau | Kendall's tau-b between the moves' values and the engine's, of those with two values or more |
| kendall_tau_anchor | as the code of arXiv 2402.04494 has it, which correlates the indices of two argsorts |
| regret | what the chosen move gives away, in chances to win |
| value_mse | squared error of the values, a position's moves alike |
| one_winning_move | action accuracy where the best move wins (0.7 or more) and no other does (0.5 or less) |
| mate_in_one | share in which the chosen move mates, where one does |

Legend: N positions, M moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from catzoo.agents import Dataset, DatasetError, read_dataset
from catzoo.agents.networks.board_transformer import flat
from catzoo.agents.replay import PositionReplay
from catzoo.agents.replay.dataset import MANIFEST
from catzoo.hparams import Recipe
from catzoo.hparams.paths import path_of
from catzoo.zoo.system.console import say

BATCH = 256
"""Positions at a time."""
TEST, MATES = "test", "mate-in-one"
WINS, OTHERS = 0.7, 0.5
"""The least value of one winning move, and the largest of all others."""


def metrics(agent: Any, recipe: Recipe) -> dict[str, float]:
    """The means of all measures; none where the datasets are not there any more, or are damaged."""
    found: dict[str, float] = {}
    if not getattr(recipe, "dataset", None):  # of one that only plays
        return found
    folder = path_of(recipe.dataset).parent
    if (test := _opened(folder / TEST)) is not None:
        measures = measure(agent, test)
        del measures["game"]
        found |= {name: mean(each) for name, each in measures.items() if np.isfinite(each).any()}
    if (mates := _opened(folder / MATES)) is not None:
        found["mate_in_one"] = mean(measure(agent, mates)["action_accuracy"])
    return found


def _opened(folder: Path) -> Dataset | None:
    """A dataset of positions with their games; None, and why is said, where there is none."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        dataset = read_dataset(folder)
    except DatasetError as error:
        say(f"not measured: {error}")
        return None
    if dataset.kind != PositionReplay.kind or "game" not in dataset.columns:
        say(f"not measured: {folder} is no dataset of `catzoo data chess`")
        return None
    return dataset


def mean(each: np.ndarray) -> float:
    """Of the positions that count: NaN does not."""
    return float(np.nanmean(each))


@torch.no_grad()
def measure(agent: Any, dataset: Dataset) -> dict[str, np.ndarray]:
    """Every measure of each position [N], NaN where it does not apply, and the `game` that it is of."""
    rows = [
        _measured(guess_BM[index, :number].numpy(), value_BM[index, :number].numpy(), chosen_B[index])
        for guess_BM, chosen_B, value_BM, number_B in _judged(agent, dataset)
        for index, number in enumerate(number_B)
    ]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {**columns, "game": dataset.columns["game"].numpy()}


def _judged(agent: Any, dataset: Dataset) -> Iterator[tuple[Tensor, list[int], Tensor, list[int]]]:
    """The agent's values [B, M], the moves that it plays, the dataset's values [B, M], and how many moves."""
    columns, device = dataset.columns, next(agent.parameters()).device
    ends = columns["offset"]
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    for first in range(0, len(dataset), BATCH):
        some = slice(first, first + BATCH)
        number_B = ends[some] - starts[some]
        slot_M = torch.arange(int(number_B.max()))
        live_BM = slot_M < number_B[:, None]
        row_BM = torch.where(live_BM, starts[some, None] + slot_M, 0)
        move_BM3 = columns["move"][row_BM] * live_BM[..., None]
        guess_BM, order_BM = agent.ranking(flat(columns["board"][some], move_BM3).to(device))
        yield guess_BM.cpu(), order_BM[:, 0].tolist(), columns["value"][row_BM], number_B.tolist()


def _measured(guess_M: np.ndarray, value_M: np.ndarray, move: int) -> dict[str, float]:
    """The measures of one position in which a move is played."""
    chosen, best = value_M[move], value_M.max()
    hit = float(chosen == best)
    is_one = best >= WINS and (value_M > OTHERS).sum() == 1
    return {
        "action_accuracy": hit,
        "kendall_tau": kendall_tau(guess_M, value_M),
        "kendall_tau_anchor": kendall_tau(guess_M.argsort(), value_M.argsort()),
        "regret": float(best - chosen),
        "value_mse": float(np.square(guess_M - value_M).mean()),
        "one_winning_move": hit if is_one else np.nan,
    }


def kendall_tau(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b of two rankings [M] with ties; NaN where one of them ties all."""
    signs = [np.sign(each[:, None] - each[None, :]) for each in (x.astype(np.float64), y.astype(np.float64))]
    untied = [np.abs(sign).sum() for sign in signs]
    return float((signs[0] * signs[1]).sum() / np.sqrt(untied[0] * untied[1])) if all(untied) else np.nan
