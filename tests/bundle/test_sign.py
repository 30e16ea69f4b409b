"""Signatures of bundles: right, missing, of another key, of another manifest; OpenSSL agrees."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from compress.bundle import manifest
from compress.bundle.hub import _operations
from compress.bundle.manifest import write_manifest
from compress.bundle.open import open_bundle
from compress.bundle.sign import check_signature, sign
from compress.cli.commands import app
from compress.errors import InputError, VerificationError
from compress.files import sha256_file


@pytest.fixture()
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key's file."""
    key = Ed25519PrivateKey.generate()
    private, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    private.write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture()
def small(tmp_path: Path) -> Path:
    """A bundle without artifacts."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "results.json").write_text("{}")
    write_manifest(folder, {"artifacts": []}, ["results.json"])
    return folder


def test_a_signed_bundle_is_accepted(small: Path, keys: tuple[Path, Path]) -> None:
    done = CliRunner().invoke(app, ["sign", str(small), "--key", str(keys[0])])
    assert (done.exit_code, done.stdout) == (0, f"{small}/manifest.json.sig\n")
    check_signature(open_bundle(small), keys[1])
    assert (small / "manifest.json.sig").stat().st_size == 64


@pytest.mark.needs("openssl")
def test_openssl_agrees(small: Path, keys: tuple[Path, Path]) -> None:
    sign(small, keys[0])
    options = ["-pubin", "-inkey", str(keys[1]), "-sigfile", str(small / "manifest.json.sig"), "-rawin"]
    command = ["openssl", "pkeyutl", "-verify", *options, "-in", str(small / "manifest.json")]
    assert subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("size", [10, 64, 65, 10_000])
def test_a_signature_that_leads_out_of_the_bundle_is_neither_read_nor_sent(
    small: Path, keys: tuple[Path, Path], tmp_path: Path, size: int
) -> None:
    (tmp_path / "secret").write_bytes(b"s" * size)
    (small / "manifest.json.sig").symlink_to(tmp_path / "secret")
    bundle = open_bundle(small)
    for use in (bundle.signature, lambda: _operations(bundle, "a/b", []), lambda: check_signature(bundle, keys[1])):
        with pytest.raises(VerificationError, match=r"manifest\.json\.sig: points outside the bundle: do not use it"):
            use()


def test_one_file_that_many_links_lead_to_is_read_once(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blob").write_text("x")
    names = [f"{i}.bin" for i in range(50)]
    for name in names:
        (small / name).symlink_to(tmp_path / "blob")
    write_manifest(small, {"artifacts": []}, ["results.json", *names])
    read: list[Path] = []
    monkeypatch.setattr(manifest, "sha256_file", lambda path: read.append(path) or sha256_file(path))
    assert set(names) < open_bundle(small).listed.keys() and len(read) == 1


def test_results_longer_than_any_are_not_read(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compress.bundle.open.MOST_BYTES", 1)
    with pytest.raises(VerificationError, match=r"results\.json: has more than 1 bytes: do not use it"):
        open_bundle(small).results()


def test_a_long_signature_is_none(small: Path) -> None:
    (small / "manifest.json.sig").write_bytes(b"s" * 65)
    with pytest.raises(VerificationError, match=r"manifest\.json\.sig: is no signature: do not use it"):
        open_bundle(small).signature()


def test_an_altered_manifest_is_refused(small: Path, keys: tuple[Path, Path]) -> None:
    sign(small, keys[0])
    path = small / "manifest.json"
    path.write_text(path.read_text() + "\n")
    done = CliRunner().invoke(app, ["verify", str(small), "--key", str(keys[1])])
    assert (done.exit_code, done.stdout) == (5, "")
    assert done.stderr == f"{path}.sig: not a signature of manifest.json by key.pub.pem: do not use the bundle\n"


def relist(folder: Path) -> None:
    """What an attacker can do who has no key: hashes that fit."""
    write_manifest(folder, {"artifacts": []}, ["results.json", "report.html"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: (b / "samples").mkdir() or (b / "samples/new.png").write_text("x"), "samples/new.png: not in the"),
        (lambda b: (b / "report.html").write_text("<p>"), "report.html: differs from its hash in the manifest"),
        (lambda b: (b / "results.json").write_text("[]"), "results.json: differs from its hash in the manifest"),
        (lambda b: (b / "report.html").unlink(), "report.html: missing"),
        (lambda b: (b / "manifest.json.sig").unlink(), "not signed, it has no manifest.json.sig: ask its maker"),
        (lambda b: (b / "manifest.json.sig").write_bytes(b""), "manifest.json.sig: not a signature of manifest.json"),
        (lambda b: (b / "results.json").write_text("[]") and relist(b), "manifest.json.sig: not a signature of"),
        (lambda b: (b / "more").symlink_to(b.parent), "more: is a link to a folder"),
    ],
    ids=["added", "report", "results", "removed", "unsigned", "emptied", "relisted", "link"],
)
def test_what_changes_after_the_signature_fails(
    tmp_path: Path, keys: tuple[Path, Path], change: Callable[[Path], object], message: str
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for name in ("results.json", "report.html"):
        (bundle / name).write_text("{}")
    relist(bundle)
    sign(bundle, keys[0])
    command = ["verify", str(bundle), "--key", str(keys[1])]
    assert CliRunner().invoke(app, command).exit_code == 0
    change(bundle)
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, done.stdout) == (5, "")
    assert message in done.stderr.splitlines()[-1]


def test_what_does_not_hold_is_not_signed(small: Path, keys: tuple[Path, Path]) -> None:
    (small / "added").write_text("x")
    with pytest.raises(VerificationError, match="added: not in the manifest"):
        sign(small, keys[0])
    assert not (small / "manifest.json.sig").exists()


def test_another_key_is_refused(small: Path, keys: tuple[Path, Path]) -> None:
    other = small.parent / "other.pem"
    key = Ed25519PrivateKey.generate()
    other.write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
    sign(small, other)
    with pytest.raises(VerificationError, match=r"not a signature of manifest\.json by key\.pub\.pem"):
        check_signature(open_bundle(small), keys[1])


def test_an_unsigned_bundle_is_refused(small: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(VerificationError, match=r"small: not signed, it has no manifest\.json\.sig: ask its maker"):
        check_signature(open_bundle(small), keys[1])


@pytest.mark.parametrize("text", ["", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", None])
def test_what_is_no_key(small: Path, tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "no.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"no\.pem: (not a private Ed25519 key in PEM|cannot be read)"):
        sign(small, path)


@pytest.mark.parametrize("what", ["/dev/zero", "pipe", "long", "link"])
def test_a_key_that_has_no_end_is_no_key(what: str, small: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    path = Path(what) if what.startswith("/") else tmp_path / what
    if what == "pipe":
        os.mkfifo(path)
    elif what == "long":
        path.write_bytes(keys[0].read_bytes() + b"\n" * 20_000)
    elif what == "link":
        path.symlink_to("/dev/zero")
    for command in (["sign", str(small)], ["verify", str(small)]):
        done = CliRunner().invoke(app, [*command, "--key", str(path)])
        assert done.exit_code == 2 and "Ed25519 key in PEM" in done.stderr
    os.mkfifo(small / "manifest.json.sig")
    done = CliRunner().invoke(app, ["verify", str(small), "--key", str(keys[1])])
    assert done.exit_code == 5 and "not signed" in done.stderr
