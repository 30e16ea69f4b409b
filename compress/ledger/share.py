"""A device's results for others: rows without what tells whose they are, and a signature over all of them.

The key is made with the first file and stays in the user's data folder, so that files of one contributor are known to
be of one hand, and nobody knows whose. The signature says that no figure was changed since, not that one is true.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.bundle.open import open_bundle
from compress.bundle.sign import ed25519, private_key
from compress.errors import InputError, VerificationError
from compress.files import PART, whole_file
from compress.ledger.from_bundle import benched
from compress.ledger.record import now
from compress.recipe.library import names
from compress.results.measurement import Measurement
from compress.results.performance import Performance
from compress.surroundings import NO_HOME, has_home

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VERSION = 1
KEY = "share_key.pem"
OWN = "own"
"""What stands for the name of a recipe, target or data set that is not built in."""
DAY = len("2026-11-30")
PUBLIC_HEX, SIGNATURE_HEX, SHOWN = 64, 128, 16
MACHINE = ("cpu", "model", "cores", "logical_cores", "features", "memory_gb", "load_average", "governor")
"""Facts about a machine that are the same for all of its kind, or say how busy it was."""


class Sharing:
    """A file of shared results to be written, and the key to sign it with, made where there is none yet.

    Raises InputError unless the file is a new one, and where the key cannot be written or is none; Unavailable without
    ``cryptography``.
    """

    def __init__(self, path: Path) -> None:
        _check_new(path)
        self.path, key = path, _key_path()
        try:
            if not key.exists():
                _make_key(key)
        except OSError as error:
            raise InputError(f"{key}: cannot be written ({error.strerror}): mend that, or set XDG_DATA_HOME") from None
        self._key: Ed25519PrivateKey = private_key(key)

    @property
    def public(self) -> str:
        """The public key in hex."""
        return self._key.public_key().public_bytes_raw().hex()

    def write(self, bundle: Path, performance: Sequence[Performance]) -> str:
        """Write what was timed of a bundle, anonymous and signed; one line about it. Raises InputError where nothing
        was timed, or the file cannot be written.
        """
        rows = benched(open_bundle(bundle), performance, _run(self.public), now())
        shared = [_anonymous(row).row().to_json() for row in rows if row.latency_p50_ms is not None]
        if not shared:
            raise InputError(f"{self.path}: not written, nothing was timed: give a target that times (--target)")
        signature = self._key.sign(_signed(shared)).hex()
        document = {"schema_version": VERSION, "rows": shared, "key": self.public, "signature": signature}
        with whole_file(self.path) as part:
            part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return f"{self.path}: {len(shared)} rows, signed by key {self.public[:SHOWN]}"


def _check_new(path: Path) -> None:
    """Another's file stays as it is."""
    if path.suffix.lower() != ".json":
        raise InputError(f"{path}: results are shared as JSON: end its name in .json")
    if os.path.lexists(path):
        raise InputError(f"{path}: exists already: name a new file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: its folder does not exist: make it first")


def check_shared(document: dict[str, Any], path: Path) -> None:
    """Raise VerificationError unless ``document``, read from ``path``, is signed by the key that it names."""
    _, kinds = ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        key, signature = (_bytes(document[name], size) for name, size in SIZES.items())
        kinds.Ed25519PublicKey.from_public_bytes(key).verify(signature, _signed(document["rows"]))
        runs = {row["run"] for row in document["rows"]}
    except (InvalidSignature, ValueError, KeyError, TypeError):
        runs = set()
    if runs != {_run(str(document.get("key")))}:
        raise VerificationError(f"{path}: differs from its signature, it was changed: ask its sender for another copy")


SIZES = {"key": PUBLIC_HEX, "signature": SIGNATURE_HEX}


def _bytes(text: Any, size: int) -> bytes:
    if not isinstance(text, str) or len(text) != size:
        raise ValueError(f"must be {size} hex digits")
    return bytes.fromhex(text)


def _signed(rows: Sequence[dict[str, Any]]) -> bytes:
    """What the signature is over: the rows as JSON without blanks, keys sorted, in UTF-8."""
    return json.dumps(rows, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _run(key: str) -> str:
    """The run of every row of a contributor's."""
    return f"shared-{key[:SHOWN]}"


def _anonymous(row: Measurement) -> Measurement:
    """The row with built-in names only, the day for the time, and what is the same on all machines of its kind."""
    machine = {name: row.machine[name] for name in MACHINE if row.machine.get(name) not in (None, [])}
    if busy := row.machine.get("busy"):
        machine["busy"] = [{"name": "other processes", "cores": round(sum(process["cores"] for process in busy), 2)}]
    changes = {
        "created": row.created[:DAY] + "T00:00:00+00:00",
        "recipe": _built_in("recipes", row.recipe),
        "target": _built_in("targets", row.target),
        "dataset": _built_in("calibration", row.dataset),
        "machine": machine,
        "bundle": None,
        "pictures": None,
    }
    return Measurement.model_validate(row.model_dump() | changes)


def _built_in(kind: Any, name: str | None) -> str | None:
    return name if name is None or name in names(kind) else OWN


def _key_path() -> Path:
    from platformdirs import user_data_path

    if not (os.environ.get("XDG_DATA_HOME") or has_home()):
        raise InputError(f"no place for the key that signs shared results, since {NO_HOME}: set XDG_DATA_HOME")
    return user_data_path("elir-compress") / KEY


def _make_key(path: Path) -> None:
    pem, kinds = ed25519()
    text = kinds.Ed25519PrivateKey.generate().private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=PART, dir=path.parent)  # readable by its owner alone
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        os.link(part, path)
    except FileExistsError:
        pass  # of two first ones at once, both sign by the key that is there
    except OSError:  # a file system without links
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
