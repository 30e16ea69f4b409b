"""Verifying a bundle: hashes, paths that stay inside, and artifacts that still give their pictures."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.bundle.manifest import read_manifest, write_manifest
from compress.bundle.open import open_bundle
from compress.bundle.verify import verify
from compress.errors import InputError, VerificationError
from compress.files import sha256_file
from compress.ledger import Filter
from compress.ledger.report import report
from compress.progress import Progress
from compress.restore.open import Settings, open_restorer
from compress.text import printable


@pytest.fixture()
def small(tmp_path: Path) -> Path:
    """A bundle of two files, one of them an artifact's."""
    folder = tmp_path / "small"
    (folder / "fp32").mkdir(parents=True)
    (folder / "fp32/model.onnx").write_text("model")
    (folder / "results.json").write_text("{}")
    artifact = {"id": "onnx-fp32", "format": "onnx", "precision": "fp32", "entry": "fp32/model.onnx"}
    write_manifest(folder, {"artifacts": [artifact]}, ["results.json", "fp32/model.onnx"])
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refused(folder: Path, text: str) -> None:
    with pytest.raises(VerificationError, match=re.escape(text)) as caught:
        verify(folder, Progress("silent"))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 5


def test_a_whole_bundle_is_verified_by_running_it(finished: Any) -> None:
    actual = verify(finished.folder, Progress("silent"))
    assert (actual.exit_code, actual.to_json()["verified"]) == (0, True)
    assert [p.artifact for p in actual.parity] == [a["id"] for a in finished.result.results["artifacts"]]
    assert all(p.psnr_db > 60 for p in actual.parity), "on the same machine an artifact gives its picture again"


def test_artifacts_that_take_a_seed_give_their_pictures_again(seed_bundle: Path) -> None:
    assert all(p.psnr_db > 60 for p in verify(seed_bundle, Progress("silent")).parity)


def test_an_artifact_that_gives_another_picture_is_refused(bundle: Path) -> None:
    # Hashes alone do not see it: the sample and its hash are replaced together.
    sample = json.loads((bundle / "results.json").read_text())["samples"][0]
    name = sample["outputs"]["onnx-fp32"]
    (bundle / name).write_bytes((bundle / sample["clean"]).read_bytes())
    manifest = json.loads((bundle / "manifest.json").read_text())
    facts = {k: v for k, v in manifest.items() if k not in ("schema_version", "files")}
    write_manifest(bundle, facts, [entry["path"] for entry in manifest["files"]])
    refused(bundle, f"against its own sample {sample['name']}, 50 are asked: do not ship it")


def test_the_manifest_is_in_order_and_whole(small: Path) -> None:
    files = [(file.path, file.bytes) for file in read_manifest(small).files]
    assert files == [("fp32/model.onnx", 5), ("results.json", 2)]
    assert open_bundle(small).changed_files() == []


def test_every_changed_or_missing_file_is_told(small: Path) -> None:
    (small / "fp32/model.onnx").write_text("Model")
    (small / "results.json").unlink()
    with pytest.raises(VerificationError) as caught:
        verify(small, Progress("silent"))
    assert str(caught.value).splitlines() == [
        f"{small}/fp32/model.onnx: differs from its hash in the manifest",
        f"{small}/results.json: missing",
    ]


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "fp32/../../secret", "fp32/link", "a\0b"])
@pytest.mark.parametrize("where", ["files", "artifacts"])
def test_paths_that_leave_the_bundle_are_refused(small: Path, name: Any, where: str) -> None:
    (small.parent / "secret").write_text("x")
    (small / "fp32/link").symlink_to(small.parent / "secret")
    key = {"files": "path", "artifacts": "entry"}[where]
    edit(small, lambda m: m[where][0].update({key: name}))
    refused(small, f"{small}/manifest.json: {printable(name)} points outside the bundle: do not use it")


def as_in_a_hub_cache(bundle: Path, cache: Path) -> Path:
    """As huggingface_hub keeps a folder: every file is a link to a blob that is named by its hash."""
    snapshot = cache / "models--somebody--bundle/snapshots/0123abcd"
    blobs = snapshot.parent.parent / "blobs"
    blobs.mkdir(parents=True)
    for path in bundle.rglob("*"):
        name = path.relative_to(bundle)
        if path.is_file() and not name.parts[0].startswith("."):
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, blobs / sha256_file(path))
            up = "../" * (len(name.parts) + 1)
            (snapshot / name).symlink_to(f"{up}blobs/{sha256_file(path)}")
    return snapshot


def test_a_bundle_of_links_is_what_its_hashes_say(bundle: Path, tmp_path: Path) -> None:
    cached = as_in_a_hub_cache(bundle, tmp_path / "hub")
    assert verify(cached, Progress("silent")).files == len(read_manifest(bundle).files)
    assert open_restorer(str(cached), Settings()).scale == 4
    assert open_restorer(str(cached / "int8/onnx/model.onnx"), Settings()).scale == 4
    assert report([cached], Filter(), 50, tmp_path / "page.html").bundles == 1
    blob = (cached / "int8/onnx/model.onnx").resolve()
    blob.write_bytes(blob.read_bytes() + b"x")
    refused(cached, "manifest.json: int8/onnx/model.onnx differs from its hash in the manifest: do not use it")


@pytest.mark.parametrize("what", ["/dev/zero", "a pipe", "itself"])
def test_a_link_to_what_is_no_plain_file(small: Path, what: str) -> None:
    """Hashing one would never end."""
    (small / "fp32/model.onnx").unlink()
    target = Path(what) if what == "/dev/zero" else small.parent / "there"
    if what == "a pipe":
        os.mkfifo(target)
    (small / "fp32/model.onnx").symlink_to("model.onnx" if what == "itself" else target)
    refused(small, "fp32/model.onnx points outside the bundle: do not use it")


def test_an_entry_without_a_hash_is_refused(small: Path) -> None:
    (small / "fp32/other.onnx").write_text("not listed, so not hashed")
    edit(small, lambda m: m["artifacts"][0].update(entry="fp32/other.onnx"))
    refused(small, "manifest.json: fp32/other.onnx is not among its files: do not use it")


def test_a_sample_outside_the_bundle_is_refused(bundle: Path) -> None:
    results = json.loads((bundle / "results.json").read_text())
    results["samples"][0]["degraded"] = "../picture.png"
    (bundle / "results.json").write_text(json.dumps(results))
    manifest = json.loads((bundle / "manifest.json").read_text())
    facts = {k: v for k, v in manifest.items() if k not in ("schema_version", "files")}
    write_manifest(bundle, facts, [entry["path"] for entry in manifest["files"]])
    refused(bundle, "manifest.json: ../picture.png is not among its files: do not use it")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [{}], "artifacts": []}', '{"files": 3}'])
def test_a_damaged_manifest(small: Path, text: str) -> None:
    (small / "manifest.json").write_text(text)
    refused(small, "damaged manifest")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"files": [{"path": 7, "bytes": 1, "sha256": "0" * 64}]}, "files.0.path: Input should be a valid string"),
        ({"files": [{"path": "a", "bytes": -1, "sha256": "0" * 64}]}, "files.0.bytes"),
        ({"files": [{"path": "a", "bytes": 1, "sha256": "x"}]}, "files.0.sha256"),
        ({"artifacts": [{"id": "a", "format": "pickle", "precision": "fp32", "entry": "a"}]}, "artifacts.0.format"),
        ({"seeds": {"noise": "x"}}, "seeds.noise"),
        ({"seeds": {}}, "seeds.noise"),
        ({"recipe": {"measure": []}}, "recipe.measure"),
    ],
)
def test_a_manifest_that_no_release_wrote(small: Path, change: dict[str, Any], text: str) -> None:
    edit(small, lambda m: m.update(change))
    refused(small, f"manifest.json: damaged manifest ({text}")


def test_a_manifest_nested_without_end(small: Path) -> None:
    (small / "manifest.json").write_text("[" * 100_000)
    refused(small, "manifest.json: damaged manifest (nested too deep)")


def test_a_manifest_without_a_seed(bundle: Path) -> None:
    edit(bundle, lambda m: m.pop("seeds"))
    refused(bundle, "damaged manifest (seeds: missing)")


@pytest.mark.parametrize("how", [{"samples": 3}, {"samples": [{}]}, {}])
def test_results_that_no_release_wrote(small: Path, how: dict[str, Any]) -> None:
    (small / "results.json").write_text(json.dumps({"schema_version": 1, **how}))
    artifact = {"id": "onnx-fp32", "format": "onnx", "precision": "fp32", "entry": "fp32/model.onnx"}
    write_manifest(small, {"artifacts": [artifact]}, ["results.json", "fp32/model.onnx"])
    refused(small, "results.json: damaged (samples")


@pytest.mark.parametrize("key", ["path", "bytes", "sha256"])
def test_a_file_entry_that_lacks_a_fact(small: Path, key: str) -> None:
    edit(small, lambda m: m["files"][0].pop(key))
    refused(small, "damaged manifest")


def test_another_version(small: Path) -> None:
    edit(small, lambda m: m.update(schema_version=2))
    refused(small, "schema_version 2, this release reads 1: upgrade elir-compress")


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"not a bundle, it has no manifest\.json: give the folder that `compress apply`"
    ):
        verify(tmp_path, Progress("silent"))
