"""Bills of materials: CycloneDX JSON of a bundle and of the package."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compress.bundle.manifest import write_manifest
from compress.bundle.sbom import sbom
from compress.cli.commands import app


def of_bundle(folder: Path) -> dict[str, Any]:
    (folder / "results.json").write_text("{}")
    facts = {"name": "tiny", "artifacts": [], "versions": {"python": "3.11.7", "torch": "2.13.0"}}
    write_manifest(folder, {**facts, "weights": {"name": "elir_sr_x4", "sha256": "ab" * 32}}, ["results.json"])
    return json.loads(sbom(folder))


def test_a_bundle_s_files_and_makers(tmp_path: Path) -> None:
    result = of_bundle(tmp_path)
    assert (result["bomFormat"], result["specVersion"]) == ("CycloneDX", "1.6")
    assert result["metadata"]["component"]["name"] == "tiny"
    parts = {part["name"]: part for part in result["components"]}
    assert set(parts) == {"results.json", "weights elir_sr_x4", "python", "torch"}
    assert parts["torch"]["purl"] == "pkg:pypi/torch@2.13.0"
    assert parts["weights elir_sr_x4"]["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]


@pytest.mark.parametrize("name", ["", "/", "//", " ", "\x1b[31m", "a/b@1?c#d", "%", "é", "Torch", "x" * 4096])
def test_a_package_that_cannot_exist_is_listed_all_the_same(tmp_path: Path, name: str) -> None:
    write_manifest(tmp_path, {"name": "", "artifacts": [], "versions": {name: "1\n", "torch": "2.13.0"}}, [])
    result = json.loads(sbom(tmp_path))
    assert sorted(part["name"] for part in result["components"]) == sorted([name, "torch"])


def installed(folder: Path, name: str, *needs: str) -> None:
    """A package's metadata, as pip writes it."""
    place = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    place.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.2", *(f"Requires-Dist: {need}" for need in needs)]
    (place / "METADATA").write_text("\n".join(lines) + "\n")


def test_the_package_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ("torch<2.15,>=2.12", 'pyiqa; extra == "iqa"', 'other-system; sys_platform == "aix"', "not-here>=1")
    installed(tmp_path, "elir-compress", *needs)
    installed(tmp_path, "torch", "tiny_need (>=1)")
    installed(tmp_path, "tiny-need", "Torch")
    installed(tmp_path, "pyiqa")
    installed(tmp_path, "other-system")
    monkeypatch.syspath_prepend(tmp_path)
    done = CliRunner().invoke(app, ["sbom", "-o", str(tmp_path / "sbom.json")])
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/sbom.json\n")
    result = json.loads((tmp_path / "sbom.json").read_text())
    assert result["metadata"]["component"]["purl"] == "pkg:pypi/elir-compress@1.2"
    assert {part["purl"] for part in result["components"]} == {"pkg:pypi/torch@1.2", "pkg:pypi/tiny-need@1.2"}
