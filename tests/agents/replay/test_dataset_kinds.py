"""Sequences and positions on disk: written whole, checked when read, sampled with what belongs together."""

import json

import pytest
import torch

from catzoo.agents.replay import (
    Dataset,
    DatasetError,
    OfflineReplay,
    PositionReplay,
    SequenceReplay,
    read_dataset,
    write_dataset,
)

MOVES = [3, 1, 4, 2, 5]


def positions(folder, moves=MOVES, **changes):
    """Position i has `moves[i]` moves; move j of it is [i, j], and worth i + j / 10."""
    place = torch.tensor([[i, j] for i, number in enumerate(moves) for j in range(number)], dtype=torch.uint8)
    columns = {
        "board": torch.arange(len(moves), dtype=torch.uint8)[:, None].repeat(1, 4),
        "offset": torch.tensor(moves).cumsum(0),
        "move": place,
        "value": place[:, 0] + place[:, 1] / 10,
    } | changes
    return write_dataset(folder, "positions", columns, {"env": "chess"}, ragged=("move", "value"))


def sequences(folder, number=50):
    tokens = torch.arange(number * 7).view(number, 7).to(torch.uint8)
    columns = {"tokens": tokens, "action": tokens[:, :3].to(torch.int8), "reward": tokens[:, :3].float()}
    return write_dataset(folder, "sequences", columns, {})


def test_what_is_written_is_read(tmp_path):
    positions(tmp_path)
    data = read_dataset(tmp_path)
    assert (data.kind, len(data), data.manifest["env"]) == ("positions", 5, "chess")
    assert len(data.columns["move"]) == sum(MOVES)
    assert data.columns["offset"].tolist() == [3, 4, 8, 10, 15]


@pytest.mark.parametrize("place", ["memory", "disk", "device"])
def test_positions_come_with_all_their_moves(tmp_path, place):
    batches, index = PositionReplay(positions(tmp_path), place=place).sample(8, 3)
    assert batches.board.shape == (3, 8, 4)
    assert torch.equal(batches.board[..., 0].long(), index)
    assert torch.equal(batches.live.sum(-1), torch.tensor(MOVES)[index])
    assert batches.live.shape[-1] == torch.tensor(MOVES)[index].max()
    slot = torch.arange(batches.live.shape[-1]).expand_as(batches.live)
    wanted = torch.where(batches.live, index[..., None] + slot / 10, 0.0)
    assert torch.allclose(batches.value, wanted)
    assert torch.equal(batches.action[..., 1].long(), torch.where(batches.live, slot, 0))
    assert torch.equal(batches.at(1).value, batches.value[1])


def test_sequences_are_whole(tmp_path):
    data = sequences(tmp_path)
    batches, index = SequenceReplay(data, seed=3).sample(16, 2)
    for name in ("tokens", "action", "reward"):
        assert torch.equal(getattr(batches, name), data.columns[name][index])


def test_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="it holds sequences, and positions are needed"):
        PositionReplay(sequences(tmp_path))


def test_the_stream_goes_on(tmp_path):
    data = positions(tmp_path)
    one, other = PositionReplay(data, seed=1), PositionReplay(data, seed=2)
    one.sample(8)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.sample(8)[1], other.sample(8)[1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value": torch.zeros(15, dtype=torch.float64)}, "value is of another kind"),
        ({"board": torch.zeros(5, 2, 2, dtype=torch.uint8)}, "board is of another kind"),
        ({"board": torch.zeros(4, 2, dtype=torch.uint8)}, "different lengths"),
        ({"../x": torch.zeros(5)}, "is of another kind"),
    ],
)
def test_wrong_columns_are_not_written(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        positions(tmp_path / "data", **changes)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "ends", [[3, 4, 8, 10, 14], [3, 2, 8, 10, 15], [-1, 4, 8, 10, 15], [0, 4, 8, 10, 15], [3, 3, 8, 10, 15]]
)
def test_ends_must_fit_the_moves(tmp_path, ends):
    positions(tmp_path, offset=torch.tensor(ends))
    with pytest.raises(DatasetError, match=r"offset\.memmap does not fit the moves"):
        read_dataset(tmp_path)


def test_half_a_dataset_is_none(tmp_path):
    positions(tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(DatasetError, match="no dataset there"):
        Dataset(tmp_path)


@pytest.mark.parametrize("rows", [16, -1, "15", None])
def test_rows_that_are_not_there_are_refused(tmp_path, rows):
    positions(tmp_path)
    file = tmp_path / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["columns"]["move"]["rows"] = rows
    file.write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match=r"missing or torn|of another kind"):
        read_dataset(tmp_path)


def test_format_1_is_still_read(corridor, tmp_path):
    from datasets_for_tests import recorded

    recorded(tmp_path, corridor)
    file = tmp_path / "manifest.json"
    manifest = json.loads(file.read_text())
    assert (manifest["format"], manifest["kind"]) == (2, "transitions")
    before = read_dataset(tmp_path).columns
    del manifest["kind"]
    file.write_text(json.dumps(manifest | {"format": 1}))
    data = read_dataset(tmp_path)
    assert data.kind == "transitions"
    assert all(torch.equal(column, data.columns[name]) for name, column in before.items())
    assert len(OfflineReplay(data).sample(4)[1]) == 1


def test_sequences_have_no_number_of_actions_to_check(tmp_path):
    columns = {
        "tokens": torch.zeros(2, 7, dtype=torch.uint8),
        "action": torch.zeros(2, 3, dtype=torch.int8),
        "reward": torch.zeros(2, 3),
    }
    write_dataset(tmp_path, "sequences", columns, {"num_actions": 26})
    assert len(read_dataset(tmp_path)) == 2
