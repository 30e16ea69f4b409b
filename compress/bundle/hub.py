"""Bundles on the Hugging Face Hub: a local copy of one, and `compress push`."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from compress.bundle.manifest import MANIFEST, MOST_BYTES, read_manifest
from compress.bundle.model_card import model_card
from compress.bundle.open import SIGNATURE, Bundle, check_files, open_bundle
from compress.errors import InputError, VerificationError
from compress.hub import SILENT_S, Repository, asking, commit_of, is_on_hub, open_repository, parse
from compress.progress import Progress
from compress.surroundings import expanded

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

FOLDER = "bundle"
"""Where a pushed bundle lies in its repository, beside the model card."""


def local(source: str) -> Path:
    """The path ``source``; for a bundle on the Hub, or an artifact in one, that of its local copy.

    Of a repository only what the manifest lists is downloaded, and every file must be as it says. What has another
    size than it lists is not downloaded at all.
    Raises InputError for a repository without a bundle, VerificationError for a damaged one, Unavailable without a
    network.
    """
    if not is_on_hub(source):
        return expanded(source)
    repository, path = open_repository(source)
    folder = _folder(repository, path)
    below = f"{folder}/" if folder else ""
    for name in (below + MANIFEST, below + SIGNATURE):
        if repository.sizes.get(name, 0) > MOST_BYTES:
            raise VerificationError(f"{repository.pinned}/{name}: longer than {MOST_BYTES} bytes: do not use it")
    manifest = read_manifest(repository.download([below + MANIFEST]) / folder)
    signature = [below + SIGNATURE] if below + SIGNATURE in repository.sizes else []
    names = [below + file.path for file in manifest.files]
    if problems := [
        f"{repository.pinned}/{below}{file.path}: differs in size from the manifest: do not use it"
        for file in manifest.files
        if repository.sizes.get(below + file.path) not in (None, file.bytes)
    ]:
        raise VerificationError(*problems)
    bundle = open_bundle(repository.download([*names, *signature]) / folder)
    if problems := bundle.changed_files():
        raise VerificationError(*(f"{repository.pinned}/{below}{problem}: do not use it" for problem in problems))
    return bundle.folder if path in ("", folder) else bundle.folder / PurePosixPath(path).relative_to(folder or ".")


def _folder(repository: Repository, path: str) -> str:
    """The folder in the repository that holds the bundle, "" for the repository itself."""
    above = [at.as_posix() for at in (PurePosixPath(path), *PurePosixPath(path).parents)] if path else [FOLDER, "."]
    for folder in above:
        if (MANIFEST if folder == "." else f"{folder}/{MANIFEST}") in repository.sizes:
            return "" if folder == "." else folder
    raise InputError(
        f"{repository.source}: holds no bundle (no {MANIFEST}): `compress push` writes one; a checkpoint is named with "
        "its path, as hf://OWNER/NAME/FILE.safetensors"
    )


def push(bundle: Path, repository: str, *, private: bool, branch: str | None) -> str:
    """Put ``bundle`` and a model card on the Hub as one commit, and return its name, pinned to that commit.

    The repository is made where there is none. Files of a bundle that was there before, and that this one does not
    have, are removed from the branch; its history keeps them.
    Raises VerificationError for a bundle that is not as its manifest says, InputError or Unavailable for what the Hub
    refuses.
    """
    id, opened = _repository_id(repository), open_bundle(bundle)
    check_files(opened)
    progress = Progress()
    with progress.stage(f"push {len(opened.manifest.files)} files to hf://{id}"), asking(f"hf://{id}"):
        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(id, private=private, exist_ok=True)
        if branch is not None:
            api.create_branch(id, branch=branch, exist_ok=True)
        there = [file.rfilename for file in api.model_info(id, revision=branch, timeout=SILENT_S).siblings or []]
        commit = api.create_commit(
            id, _operations(opened, id, there), commit_message=f"compress push {opened.manifest.name}", revision=branch
        )
        return f"hf://{id}@{commit_of(commit.oid)}"


def card_of(bundle: Path, repository: str) -> str:
    """The model card that `compress push` would write. Raises as ``push`` does for a bundle or a name."""
    opened = open_bundle(bundle)
    check_files(opened)
    return model_card(opened.manifest, opened.results(), _repository_id(repository))


def _operations(opened: Bundle, id: str, there: list[str]) -> "list[CommitOperationAdd | CommitOperationDelete]":
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    files: dict[str, Path | bytes] = {f"{FOLDER}/{name}": opened.folder / name for name in opened.listed}
    files[f"{FOLDER}/{MANIFEST}"] = opened.text
    if (signature := opened.signature()) is not None:
        files[f"{FOLDER}/{SIGNATURE}"] = signature
    gone = [name for name in there if name.startswith(f"{FOLDER}/") and name not in files]
    card = model_card(opened.manifest, opened.results(), id).encode()
    return [
        CommitOperationAdd("README.md", card),
        *(CommitOperationAdd(name, content) for name, content in files.items()),
        *(CommitOperationDelete(name) for name in gone),
    ]


def _repository_id(repository: str) -> str:
    uri = parse(repository if is_on_hub(repository) else f"hf://{repository}")
    if uri.revision or uri.path_in_repo:
        raise InputError(
            f"{repository}: a whole repository is written to: write OWNER/NAME, and a branch apart (--branch)"
        )
    return uri.id
