"""Signing a bundle: Ed25519 over the bytes of ``manifest.json``, which holds the hash of every file of the bundle.

Keys are PEM files as OpenSSL writes them (``openssl genpkey -algorithm ed25519``); the signature, 64 bytes, lies beside
the manifest, and ``openssl pkeyutl -verify -rawin`` checks it too. Nothing is asked of a network.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.bundle.manifest import MANIFEST
from compress.bundle.open import SIGNATURE, Bundle, check_files, open_bundle
from compress.errors import InputError, Unavailable, VerificationError
from compress.files import read_plain, whole_file
from compress.text import install_extra

KEY_BYTES = 10_000  # and more than any key in PEM has

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def sign(bundle: Path, key: Path) -> Path:
    """Write the signature of a bundle's manifest by the private key in ``key``; its file.

    Raises InputError for all but an unencrypted Ed25519 key, Unavailable without ``cryptography``, VerificationError
    for a bundle that is not what its manifest says, and what opening it raises.
    """
    opened, private = open_bundle(bundle), private_key(key)
    check_files(opened)
    signature = private.sign(opened.text)
    with whole_file(bundle / SIGNATURE) as part:
        part.write_bytes(signature)
    return bundle / SIGNATURE


def check_signature(bundle: Bundle, key: Path) -> None:
    """Raise VerificationError unless the manifest that was read is signed by the private half of the key in ``key``."""
    public = _public(key)
    from cryptography.exceptions import InvalidSignature

    signature = bundle.signature()
    if signature is None:
        raise VerificationError(
            f"{bundle.folder}: not signed, it has no {SIGNATURE}: ask its maker to run `compress sign`"
        )
    try:
        public.verify(signature, bundle.text)
    except (InvalidSignature, ValueError):
        path = bundle.folder / SIGNATURE
        raise VerificationError(f"{path}: not a signature of {MANIFEST} by {key.name}: do not use the bundle") from None


def private_key(path: Path) -> "Ed25519PrivateKey":
    """An unencrypted private key of a PEM file. Raises InputError for any other, Unavailable without the library."""
    serialization, kinds = ed25519()
    return _key(path, lambda data: serialization.load_pem_private_key(data, None), kinds.Ed25519PrivateKey, "private")


def _public(path: Path) -> "Ed25519PublicKey":
    serialization, kinds = ed25519()
    return _key(path, serialization.load_pem_public_key, kinds.Ed25519PublicKey, "public")


def _key(path: Path, load: Any, kind: type, what: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        key = load(read_plain(path, KEY_BYTES))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): name a {what} key in PEM") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, kind):
        raise InputError(f"{path}: not a {what} Ed25519 key in PEM, without a password: see docs/reliability.md")
    return key


def ed25519() -> tuple[Any, Any]:
    """The modules ``serialization`` and ``ed25519`` of ``cryptography``. Raises Unavailable without it."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise Unavailable(f"signatures need cryptography: {install_extra('supply')}") from None
    return serialization, ed25519
