"""One decoder for several models: a checkpoint may leave its decoder to another checkpoint in the same folder.

ELIR trains encoder, MMSE estimator and flow for a task and keeps the autoencoder's decoder, so that models of several
tasks can share it: it is stored once.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from compress.elir.state import State, flatten, read_state
from compress.errors import InputError, VerificationError
from compress.files import real_path

OWNER, HASH = SHARED_KEYS = ("decoder_of", "decoder_sha256")


def with_shared_decoder(state: State, metadata: Mapping[str, str], path: Path) -> State:
    """``state`` with the decoder of the file that ``metadata`` names, which lies beside ``path``.

    Raises VerificationError when that file is missing, lies elsewhere or holds another decoder.
    """
    if OWNER not in metadata:
        return state
    name = metadata[OWNER]
    if Path(name).name != name:
        raise VerificationError(f"{path}: its decoder cannot be in {name!r}, that is not a file beside it: get another")
    owner = path.parent / name
    if not owner.is_file():
        raise VerificationError(f"{path}: its decoder is in {name}, which is not beside it: put both into one folder")
    decoder = decoder_of(owner)
    if _digest(decoder) != metadata.get(HASH):
        raise VerificationError(f"{owner}: not the decoder that {path.name} was saved with: get both files again")
    return {**state, **decoder}


def without_decoder(state: State, path: Path, owner: Path) -> tuple[State, dict[str, str]]:
    """``state`` less its decoder, and the metadata that tells where it is: in ``owner``, beside ``path``.

    Raises InputError when ``owner`` lies in another folder or its decoder is not the state's.
    """
    if real_path(owner).parent != real_path(path).parent:
        raise InputError(f"{owner}: a shared decoder must lie beside {path}: write into its folder")
    decoder = decoder_of(owner)
    own = {name: value for name, value in state.items() if name.startswith("dec.")}
    digest = _digest(decoder)
    if _digest(own) != digest:
        raise InputError(f"{owner}: has another decoder than the model: leave the decoder in the model's own file")
    rest = {name: value for name, value in state.items() if name not in own}
    return rest, {OWNER: owner.name, HASH: digest}


def decoder_of(path: Path) -> State:
    """The tensors ``dec.*`` of a checkpoint, as stored there."""
    return {name: value for name, value in flatten(read_state(path)[0], path).items() if name.startswith("dec.")}


def _digest(state: State) -> str:
    """A hash of names and values; float16 and float32 of the same values are the same."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {tuple(value.shape)} ".encode() + value.detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
