"""Chunks made by processes: each once, and a mistake or a kill ends it with what was wrong."""

import multiprocessing
import os
import signal
import time
from functools import partial

import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.datasets.chunk_pool import each_chunk


def make(folder, chunk):
    with (folder / str(chunk)).open("x") as file:
        file.write(str(os.getpid()))


def fail_or_die(chunk):
    if chunk == 7:
        raise RecipeError("no room")
    if chunk == 8:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_chunk_is_made_once(tmp_path, workers):
    assert list(each_chunk(partial(make, tmp_path), [3, 5, 6, 9], workers)) == [1, 2, 3, 4]
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(made) == {"3", "5", "6", "9"}
    assert (str(os.getpid()) in made.values()) == (workers == 1)


def test_an_error_ends_no_process_of_others():
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    try:
        with pytest.raises(RecipeError, match="no room"):
            list(each_chunk(fail_or_die, [0, 7], 2))
        assert other.is_alive()
    finally:
        other.kill()
        other.join()


@pytest.mark.parametrize(("chunks", "words"), [([0, 7], "no room"), ([0, 8], "was killed")])
def test_what_goes_wrong_is_said(chunks, words):
    with pytest.raises(RecipeError, match=words):
        list(each_chunk(fail_or_die, chunks, 2))
