"""`push` and `pull`: a finished run as a model on the Hugging Face Hub, and back as a run's folder.

What goes there is data: recipe, result, weights as safetensors, a card, a picture, a film. What comes back is
the same files and no others; nothing in them is code, and nothing is unpickled.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from catzoo.hparams import RecipeError
from catzoo.hparams.paths import Typed, path_of
from catzoo.hparams.published_files import replace
from catzoo.hparams.schema import brief
from catzoo.zoo.catalogue.pretrained import find_run
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.system.disk_space import no_room_told, of_the_disk
from catzoo.zoo.training.model_card import CURVE, FILM, model_card
from catzoo.zoo.training.publish import copy_agent

if TYPE_CHECKING:
    from huggingface_hub import HfApi

NEEDED = ("recipe.yaml", "result.json", "weights.safetensors")
SHOWN = (FILM, CURVE)
"""What a model may have beside them, and its card."""
CARD = "README.md"
BESIDE = (".gitattributes", "LICENSE", "LICENSE.md", "LICENSE.txt")
"""What the Hub or the model's owner adds: nobody pulls it, and no push changes it."""
NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
LOGIN = "hf auth login, or set HF_TOKEN"


def push(
    run: Typed, repo: str, *, film: Typed | None = None, private: bool = False, revision: str | None = None
) -> str:
    """Puts a finished run on the Hugging Face Hub, as one commit; the model is made if it is not there.

    Args:
        run: the run's folder, or the name of one of the zoo's own trained agents.
        repo: `OWNER/NAME` of the model.
        film: an .mp4 to show, see `watch`; by default the run's own `replay.mp4`, if it has one.
        private: whether a model that is made is seen by its owner alone.
        revision: a branch that is there; the main one by default.

    Returns:
        The model's address.

    Raises:
        RecipeError: not a finished run, one with a path in it (see `copy_agent`), a name that is none, nobody
            is logged in, the model there is another's than an agent of the zoo, or the Hub refuses.
        NoRoomError: the disk with the temporary files is full.
    """
    source = Run(find_run(run))
    shown = _shown(source, film)
    _check_name(repo)
    api = _hub()
    told = no_room_told("the same command does it")
    with told, tempfile.TemporaryDirectory(prefix="catzoo-push-") as scratch:
        new = Run(Path(scratch, "agent"))
        result = copy_agent(source, new)
        for name, file in shown.items():
            shutil.copyfile(file, new.folder / name)
        card = model_card(new.recipe(), result, repo, curve=CURVE in shown)
        (new.folder / CARD).write_text(card, encoding="utf-8")
        with _spoken_to(repo):
            from huggingface_hub import get_token

            if get_token() is None:
                raise RecipeError(f"nobody is logged in to the Hugging Face Hub: {LOGIN}")
            url = api.create_repo(repo, private=private or None, exist_ok=True)
            if private and api.model_info(repo).private is False:
                raise RecipeError(
                    f"{repo}: not pushed: it is public, and --private is for a model that is made"
                )
            _commit(api, repo, new.folder, result["mean_return"], revision)
    return str(url)


def pull(repo: str, out: Typed | None = None, *, revision: str | None = None) -> Path:
    """Brings an agent from the Hugging Face Hub into a folder that all take as a run's.

    Args:
        repo: `OWNER/NAME` of the model.
        out: the folder, which must not be there; `runs/NAME` by default.
        revision: a branch, a tag or a commit; the main branch by default.

    Returns:
        The folder.

    Raises:
        RecipeError: no such model, one that has other files than an agent of the zoo has or lacks some, files
            that are corrupt, or a folder that is there already.
    """
    _check_name(repo)
    out = path_of(Path("runs", repo.partition("/")[2]) if out is None else out)
    _check_free(out)
    api = _hub()
    with _spoken_to(repo):
        info = api.model_info(repo, revision=revision)
    names = _wanted(repo, [file.rfilename for file in info.siblings or ()])
    place = Path(os.path.realpath(out))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".catzoo-pull-", dir=place.parent) as scratch:
            new = Path(scratch, "agent")
            new.mkdir()
            with _spoken_to(repo):
                for name in names:
                    api.hf_hub_download(repo, name, revision=info.sha, local_dir=new)
            shutil.rmtree(new / ".cache", ignore_errors=True)  # the library's own
            _check_agent(repo, new)
            replace(new, place)
    except OSError as error:
        raise RecipeError(f"{out}: cannot be written: {error.strerror or error}") from None
    return out


def _shown(run: Run, film: Typed | None) -> dict[str, Path]:
    """The picture and the film that a run is shown with, by their names on the Hub."""
    own = {CURVE: run.curve, FILM: run.folder / FILM if film is None else path_of(film)}
    if film is not None and own[FILM].suffix != ".mp4":
        raise RecipeError(f"{film}: the Hub shows films of the kind .mp4: catzoo watch makes one")
    if film is not None and not own[FILM].is_file():
        raise RecipeError(f"{film}: no such file: catzoo watch makes one")
    return {name: file for name, file in own.items() if file.is_file()}


def _check_free(out: Path) -> None:
    """RecipeError if there is something; an empty folder is nothing, but for the one in which somebody is."""
    try:
        free = not out.exists() or (out.is_dir() and not any(out.iterdir()) and not out.samefile(Path.cwd()))
    except OSError as error:
        raise RecipeError(f"{out}: cannot be used: {error.strerror or error}") from None
    if not free:
        raise RecipeError(f"{out}: is there already: choose another --out")


def _check_name(repo: str) -> None:
    if not NAME.fullmatch(repo) or ".." in repo or "--" in repo or len(repo) > 96 or repo[-1] in ".-":
        raise RecipeError(f"{brief(repo)}: a model of the Hub is named OWNER/NAME")


def _hub() -> HfApi:
    if find_spec("huggingface_hub") is None:
        raise RecipeError("huggingface_hub is not installed: pip install 'catzoo[hub]'")
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(library_name="catzoo")


def _commit(api: HfApi, repo: str, folder: Path, score: float, revision: str | None) -> None:
    """One commit of a folder's files; a picture and a film of an earlier run go.

    Raises:
        RecipeError: there is a file that no push has made: the model is somebody's, and no agent of the zoo.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    added = sorted(path.name for path in folder.iterdir())
    there = [file.rfilename for file in api.model_info(repo, revision=revision).siblings or ()]
    if others := _others(there):
        words = f"it has {brief(others[0])}, which no agent of the zoo has: choose another name"
        raise RecipeError(f"{repo}: not pushed: {words}")
    gone = [name for name in SHOWN if name in there and name not in added]
    operations = [
        *(CommitOperationAdd(name, str(folder / name)) for name in added),
        *(CommitOperationDelete(name) for name in gone),
    ]
    api.create_commit(repo, operations, commit_message=f"Mean return {score:.2f}", revision=revision)


def _wanted(repo: str, names: list[str]) -> list[str]:
    """The files of a model that are pulled: all that it has, if it is an agent of the zoo."""
    if lacks := [name for name in NEEDED if name not in names]:
        raise RecipeError(f"{repo}: no agent of the zoo: it has no {lacks[0]}")
    if others := _others(names):
        raise RecipeError(f"{repo}: not pulled: it has {brief(others[0])}, which no agent of the zoo has")
    return [name for name in names if name not in BESIDE]


def _others(names: Iterable[str]) -> list[str]:
    """What no agent of the zoo has."""
    return [name for name in names if name not in (*NEEDED, *SHOWN, CARD, *BESIDE)]


def _check_agent(repo: str, folder: Path) -> None:
    """RecipeError unless the files are what their names say."""
    from safetensors import SafetensorError, safe_open

    run = Run(folder)
    try:
        run.recipe()
        run.result()
        with safe_open(run.weights, framework="np"):
            pass
    except SafetensorError:
        raise RecipeError(f"{repo}: weights.safetensors: corrupt") from None
    except RecipeError as error:
        raise RecipeError(f"{repo}: {str(error).replace(f'{folder}/', '')}") from None


@contextmanager
def _spoken_to(repo: str) -> Iterator[None]:
    """Says in one line, as a RecipeError, why the Hub did not do what it was asked for.

    Raises:
        RecipeError: that.
        OSError: it is the disk here that did not.
    """
    from huggingface_hub import errors

    try:
        yield
    except RecipeError:
        raise
    except errors.RepositoryNotFoundError:
        raise RecipeError(f"{repo}: no such model on the Hub, or one that is not yours: {LOGIN}") from None
    except (errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as error:
        raise RecipeError(f"{repo}: no such revision or file: {_first_line(error)}") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        hint = {401: f"; {LOGIN}", 403: "; the token has no leave to write there"}.get(status, "")
        raise RecipeError(f"{repo}: the Hub refuses: {_first_line(error)}{hint}") from None
    except Exception as error:  # what its libraries raise, where nobody answers
        if isinstance(error, OSError) and of_the_disk(error):
            raise
        raise RecipeError(f"{repo}: the Hub cannot be reached: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return brief(lines[0] if lines else type(error).__name__, 200)
