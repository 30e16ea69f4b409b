"""The Hugging Face Hub: ``hf://OWNER/NAME[@REVISION][/PATH]`` wherever a checkpoint, a recipe or a bundle is taken.

Files lie in the Hub client's own cache (``HF_HOME``). A revision that is a commit is pinned: what is there already is
used where the Hub cannot be reached.
"""

import glob
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from compress.errors import CompressError, InputError, Unavailable
from compress.progress import Progress
from compress.quiet import quiet
from compress.text import one_line

if TYPE_CHECKING:
    from httpx2 import Client, Request, Response
    from huggingface_hub import HfUri

SCHEME = "hf://"
TIMEOUT_S = 10
SILENT_S = 30
"""How long the Hub may say nothing while it writes a commit, or takes a file."""
SILENT_TRIES = 2
MOST_ANSWER = 64 << 20
"""Bytes of an answer: the files of a large repository, listed, take 1 MB."""
LARGEST = 2**53
"""Bytes: no file is larger, and no Hub says so."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_on_hub(source: str) -> bool:
    """Whether ``source`` names something on the Hub."""
    return source.startswith(SCHEME)


@dataclass(frozen=True)
class Repository:
    """A model repository at one commit. ``sizes``: bytes of each of its files by path."""

    source: str
    id: str
    commit: str
    sizes: dict[str, int]

    @property
    def pinned(self) -> str:
        """The repository as ``hf://`` names it at this very commit."""
        return f"{SCHEME}{self.id}@{self.commit}"

    def download(self, names: Sequence[str]) -> Path:
        """The local folder that holds the files ``names``, which are downloaded where they are not there yet.

        Raises InputError for a file that the repository does not have, Unavailable where the Hub cannot be reached.
        """
        for name in names:
            if name not in self.sizes:
                raise InputError(f"{self.source}: the repository has no file {name}: check the path in it")
        folder = _snapshot(self.id, self.commit)
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            size = sum(self.sizes[name] for name in missing) / 1e6
            progress = Progress()
            most = max(self.sizes[name] for name in missing)
            with progress.stage(f"download {len(missing)} files of {self.pinned}") as stage, asking(self.source, most):
                stage.note(f"{size:.1f} MB")
                from huggingface_hub import snapshot_download

                patterns = [glob.escape(name) for name in missing]
                snapshot_download(self.id, revision=self.commit, allow_patterns=patterns, etag_timeout=TIMEOUT_S)
        return folder


def open_repository(source: str) -> tuple[Repository, str]:
    """The repository that ``source`` names, and the path in it, "" where it names none.

    Raises InputError for a name of another form, or of nothing that is there, and Unavailable where the Hub cannot be
    reached and the files are not here.
    """
    uri = parse(source)
    pinned = uri.revision if uri.revision and _COMMIT.fullmatch(uri.revision) else None
    try:
        with asking(source):
            from huggingface_hub import HfApi

            info = HfApi().model_info(uri.id, revision=uri.revision, files_metadata=True, timeout=TIMEOUT_S)
            sizes = {file.rfilename: _size(file.size) for file in info.siblings or [] if _is_below(file.rfilename)}
            return Repository(source, uri.id, commit_of(info.sha, pinned), sizes), uri.path_in_repo
    except Unavailable:
        here = _files(_snapshot(uri.id, pinned)) if pinned else {}
        if not pinned or not here:
            raise
        return Repository(source, uri.id, pinned, here), uri.path_in_repo


def parse(source: str) -> "HfUri":
    """The parts of a name on the Hub. Raises InputError, with the form that is asked for."""
    from huggingface_hub import parse_hf_uri
    from huggingface_hub.errors import HfUriError

    try:
        uri = parse_hf_uri(source)
    except HfUriError as error:
        why = one_line(error.msg).rstrip(".")
        raise InputError(f"{source}: no name on the Hub ({why}): write {SCHEME}OWNER/NAME[@REVISION][/PATH]") from None
    if uri.type != "model":
        raise InputError(f"{source}: names a {uri.type}, and models are taken: write {SCHEME}OWNER/NAME")
    if uri.path_in_repo and not _is_below(uri.path_in_repo):
        raise InputError(f"{source}: its path leads out of the repository: write a path in it")
    return uri


def hub_file(source: str, suffixes: Sequence[str]) -> Path:
    """The local copy of the file that ``source`` names: with one of ``suffixes``, or, where it names a repository or a
    folder in it, the only such file there.

    Raises InputError for another kind of file (pickles may run code, so checkpoints are safetensors only), and what
    ``open_repository`` does.
    """
    kinds = " or ".join(suffixes)
    repository, path = open_repository(source)
    if path in repository.sizes:
        if PurePosixPath(path).suffix not in suffixes:
            raise InputError(f"{source}: from the Hub only {kinds} is taken here: name such a file")
        return repository.download([path]) / path
    below = f"{path}/" if path else ""
    names = [n for n in repository.sizes if n.startswith(below) and PurePosixPath(n).suffix in suffixes]
    if len(names) != 1:
        what = f"several ({', '.join(sorted(names)[:5])})" if names else "none"
        raise InputError(f"{source}: must hold one {kinds} file, and has {what}: give the file's path in it")
    return repository.download(names) / names[0]


@contextmanager
def asking(source: str, most: int = 0) -> Iterator[None]:
    """Around calls of the Hub's client: its errors become one line about ``source``.

    An answer of more than ``most`` bytes, where files are fetched, and of more than ``MOST_ANSWER`` is an error too, as
    is one that stops for ``SILENT_S``.
    """
    from huggingface_hub import errors
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with quiet(), _bounded_answers(source, max(most, MOST_ANSWER)):
            yield
    except CompressError:
        raise
    except (errors.GatedRepoError, errors.LocalTokenNotFoundError):
        raise Unavailable(f"{source}: the Hub asks who you are, or for consent: hf auth login, then its page") from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"{source}: no such model on the Hub, or a private one: check the name, or log in (hf auth login)"
        ) from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{source}: the repository has no such revision: name a branch, a tag or a commit") from None
    except Exception as error:  # of several libraries, and of no common class
        response = getattr(error, "response", None)
        if (code := getattr(response, "status_code", None)) in (401, 403):
            raise Unavailable(
                f"{source}: the Hub refuses it ({code}): log in with a token that may (hf auth login, or HF_TOKEN)"
            ) from None
        if is_offline():
            raise Unavailable(
                f"{source}: HF_HUB_OFFLINE is set, so the Hub is not asked: {_ways_out(source)}"
            ) from None
        why = one_line(str(error), 160) or type(error).__name__
        raise Unavailable(
            f"{source}: the Hugging Face Hub cannot be reached, or fails ({why}): check the network, or give a "
            "local path"
        ) from None
    finally:
        if shown:
            enable_progress_bars()


def is_offline() -> bool:
    """Whether the environment forbids the Hub's client to ask it: HF_HUB_OFFLINE, or TRANSFORMERS_OFFLINE."""
    from huggingface_hub.constants import is_offline_mode

    return is_offline_mode()


def _ways_out(source: str) -> str:
    """What to do offline: commits of which some files are in the cache are named."""
    id = parse(source).id
    kept = _snapshot(id, "").glob("*/")
    commits = [path.name for path in sorted(kept, key=lambda path: path.stat().st_mtime) if _files(path)]
    if not commits or f"@{commits[-1]}" in source:
        return "unset HF_HUB_OFFLINE, since the files asked for are not in the cache, or give a local path"
    return f"unset HF_HUB_OFFLINE, or name the commit that is in the cache ({SCHEME}{id}@{commits[-1]})"


@contextmanager
def _bounded_answers(source: str, most: int) -> Iterator[None]:
    """Bound what the Hub's client does. Left alone, it waits for ever, reads without end, asks a silent Hub six times,
    sleeps as long as a busy Hub tells it to, and after one failed connection closes those of all other transfers.
    """
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    silent_since: dict[tuple[str, str], float] = {}

    def ask(request: "Request") -> None:
        since = silent_since.setdefault((request.method, str(request.url)), time.monotonic())
        if time.monotonic() - since > SILENT_TRIES * SILENT_S:
            raise ValueError(f"no answer, asked {SILENT_TRIES} times for {SILENT_S} s")

    def bound(response: "Response") -> None:
        if response.is_error and (wait_s := _wait_s(response)) > SILENT_S:
            raise Unavailable(f"{source}: the Hub is busy, and asks for {wait_s} s of patience: run it again then")
        parts = response.iter_bytes

        def bounded(chunk_size: int | None = None) -> Iterator[bytes]:
            size = 0
            for part in parts(chunk_size):
                if (size := size + len(part)) > most:
                    raise ValueError(f"its answer has more than {most} bytes")
                yield part
            silent_since.pop((response.request.method, str(response.request.url)), None)

        response.iter_bytes = bounded  # type: ignore[method-assign]

    def bounded_client() -> "Client":
        client = factory()
        closed_later.callback(client.close)
        client.close = lambda: None  # type: ignore[method-assign]
        hooks = client.event_hooks
        client.event_hooks = {"request": [*hooks["request"], ask], "response": [*hooks["response"], bound]}
        client.timeout = SILENT_S
        return client

    factory = _http._GLOBAL_CLIENT_FACTORY  # a caller's own, where he has set one
    # Not of one client: after a connection that failed, another one is made.
    set_client_factory(bounded_client)
    with ExitStack() as closed_later:
        closed_later.callback(set_client_factory, factory)
        yield


def _wait_s(response: "Response") -> int:
    """How long an answer asks the client to wait before it asks again."""
    from huggingface_hub.utils import parse_ratelimit_headers

    after, limit = response.headers.get("retry-after", ""), parse_ratelimit_headers(response.headers)
    return max(int(after) if after.isdecimal() else 0, limit.reset_in_seconds if limit else 0)


def _is_below(name: str) -> bool:
    """Whether a path in a repository, which may be a stranger's, stays in it."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def commit_of(said: object, pinned: str | None = None) -> str:
    """A commit as a Hub names it, which becomes part of a path here. Raises ValueError for anything else, and for
    another commit than the one that was asked for.
    """
    if not (isinstance(said, str) and _COMMIT.fullmatch(said)):
        raise ValueError("its answer names no commit")
    if pinned not in (None, said):
        raise ValueError("its answer is of another commit")
    return said


def _size(said: object) -> int:
    """Bytes of a file as a Hub states them, 0 where it does not. Raises ValueError for what can be no size."""
    if said is None:
        return 0
    if not isinstance(said, int) or not 0 <= said <= LARGEST:
        raise ValueError("its answer gives a file a size that cannot be")
    return said


def _snapshot(id: str, commit: str) -> Path:
    """Where the Hub's client keeps a commit's files."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=id, repo_type="model") / "snapshots" / commit


def _files(folder: Path) -> dict[str, int]:
    """Bytes of the files below ``folder``, by path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
