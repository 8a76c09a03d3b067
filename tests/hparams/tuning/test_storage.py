"""Storages: what cannot be used is refused in one line, and what is no journal stays what it was."""

from __future__ import annotations

import optuna
import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from catzoo.hparams import RecipeError
from catzoo.hparams.tuning.storage import open_storage, shown_url


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("nosuchdb://host/x", "cannot be used"),
        ("postgresql://me:secret@127.0.0.1:1/x", "driver is missing|cannot be used"),
        ("grpc://localhost", "must be grpc://host:port"),
        ("sqlite:////nowhere/at/all/x.db", "unable to open"),
        ("/nowhere/at/all/journal", "cannot be used"),
    ],
)
def test_a_storage_that_cannot_be_used(where, words):
    with pytest.raises(RecipeError, match=words) as error:
        open_storage(where)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_machines_that_make_the_tables_at_once_try_again(tmp_path, monkeypatch):
    made = optuna.storages.RDBStorage
    problems = [
        IntegrityError("CREATE TABLE", None, Exception("duplicate key value")),
        OperationalError("CREATE TABLE", None, Exception("table studies already exists")),
    ]

    def make(*arguments, **keywords):
        if problems:
            raise problems.pop()
        return made(*arguments, **keywords)

    monkeypatch.setattr(optuna.storages, "RDBStorage", make)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert open_storage(f"sqlite:///{tmp_path / 'study.db'}").get_all_studies() == []
    assert problems == []


def test_no_password_is_shown():
    assert shown_url("postgresql+psycopg://me:a:b@host/db") == "postgresql+psycopg://me@host/db"
    assert shown_url("postgresql://host/db?user=me&password=secret") == "postgresql://host/db"
    assert shown_url("sqlite:///x.db") == "sqlite:///x.db"


@pytest.mark.parametrize("content", [b"notes without an end of line", b"\x00\x01", b"{}\n", b'{"op_cake":0}'])
def test_a_file_that_is_no_journal_is_left_alone(content, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    (tmp_path / "notes.txt.lock").touch()
    with pytest.raises(RecipeError, match=r"notes.txt: exists and is no journal"):
        open_storage(file)
    assert file.read_bytes() == content
    assert (tmp_path / "notes.txt.lock").exists()


@pytest.mark.parametrize("torn", [b"", b"{", b'{"op_code":0,"worker_'])
def test_a_journal_whose_first_line_was_being_written_begins_again(torn, tmp_path):
    (tmp_path / "journal").write_bytes(torn)
    assert open_storage(tmp_path / "journal").get_all_studies() == []
    assert (tmp_path / "journal").read_bytes() == b""
