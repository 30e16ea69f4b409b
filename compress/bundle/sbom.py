"""Software bill of materials, CycloneDX 1.6 JSON: of this installation, or of a bundle."""

from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.bundle.manifest import read_manifest
from compress.bundle.schema import Manifest
from compress.errors import Unavailable
from compress.text import install_extra

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

NAME = "elir-compress"


def sbom(bundle: Path | None) -> str:
    """JSON text: of ``bundle``, its files by hash and the packages that made it; of None, the packages installed here.

    Raises Unavailable without cyclonedx-python-lib or for a package that is not installed, and what reading the
    manifest raises.
    """
    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output.json import JsonV1Dot6
    except ImportError:
        raise Unavailable(f"a bill of materials needs cyclonedx-python-lib: {install_extra('supply')}") from None
    if bundle is None:
        if (own := _distribution(NAME)) is None:
            raise Unavailable(f"{NAME} runs from its sources, not installed: its packages are not known: pip install .")
        components, subject = list(installed()), _package(NAME, own.version, ComponentType.APPLICATION)
    else:
        manifest = read_manifest(bundle)
        subject = Component(name=manifest.name or bundle.name, type=ComponentType.MACHINE_LEARNING_MODEL)
        packages = manifest.versions.items()
        components = [*_files(manifest), *(_package(name, v, ComponentType.LIBRARY) for name, v in packages)]
    bom = Bom(components=components)
    bom.metadata.component = subject
    bom.register_dependency(subject, components)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def installed() -> "Iterator[Component]":
    """Every package that this one needs, extras left out, as far as it is installed."""
    from cyclonedx.model.component import ComponentType

    seen, todo = {NAME}, _needs(NAME)
    while todo:
        name = todo.pop()
        if name in seen or (package := _distribution(name)) is None:
            continue
        seen.add(name)
        todo += _needs(name)
        yield _package(package.metadata["Name"], package.version, ComponentType.LIBRARY)


def _needs(name: str) -> list[str]:
    """Names, in their one spelling, of what a package needs on this machine, its extras left out."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    package = _distribution(name)
    wanted = [Requirement(text) for text in (package.requires or [] if package else [])]
    return [canonicalize_name(need.name) for need in wanted if not need.marker or need.marker.evaluate({"extra": ""})]


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _package(name: str, version: str, kind: Any) -> "Component":
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    try:
        url = PackageURL("generic" if name == "python" else "pypi", None, name.lower().replace("_", "-"), version)
        return Component(name=name, version=version, type=kind, purl=url, bom_ref=str(url))
    except (ValueError, TypeError):  # a bundle from a stranger: no name that a package could have
        return Component(name=name, version=version, type=kind)


def _files(manifest: Manifest) -> "Iterator[Component]":
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    data = {file.path: file.sha256 for file in manifest.files}
    if manifest.weights is not None:
        data[f"weights {manifest.weights.name}"] = manifest.weights.sha256
    for name, digest in data.items():
        digests = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
        yield Component(name=name, type=ComponentType.FILE, hashes=digests, bom_ref=f"file:{name}")
