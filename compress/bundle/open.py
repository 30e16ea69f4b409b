"""The one door to a bundle: manifest, schema, paths and hashes.

What it hands out are the very bytes that the manifest's hash was held against, so that nothing can change between the
check and the use. What reads files by itself gets copies of them: ``Bundle.copy_artifact``.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from compress.artifacts.artifact import artifact_of, not_run
from compress.artifacts.inspect.external_data import external_data, weights_names
from compress.artifacts.runtime.contents import Contents
from compress.bundle.manifest import MANIFEST, is_hub_blob, is_inside, parse_manifest, read_bytes
from compress.bundle.schema import Manifest, ManifestArtifact, ManifestFile
from compress.elir.latent import SIZE_MULTIPLE
from compress.errors import VerificationError
from compress.files import TooLong, read_plain, real_path, sha256_file
from compress.folders import is_beside
from compress.recipe.image_size import Shape
from compress.recipe.schema import Format
from compress.results.document import Results
from compress.results.file import MOST_BYTES, RESULTS, parse_results
from compress.results.sample import Sample
from compress.text import printable

SIGNATURE = f"{MANIFEST}.sig"
SIGNATURE_BYTES = 64


@dataclass(frozen=True)
class OpenArtifact:
    """An artifact whose every file is as the manifest says. ``contents``: what its runtime loads, read and checked
    once; ``path``, of its entry, names it.
    """

    facts: ManifestArtifact
    path: Path
    contents: Contents


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest has the right schema and stays inside its folder; its files are checked as they are read.

    ``text``: manifest.json as it was read.
    """

    folder: Path
    text: bytes
    manifest: Manifest

    @cached_property
    def listed(self) -> dict[str, ManifestFile]:
        """The manifest's files by their paths."""
        return {file.path: file for file in self.manifest.files}

    def read(self, name: str) -> bytes:
        """A file's bytes. Raises VerificationError for one that the manifest does not list, or that differs from it."""
        file = self.file(name)
        try:
            data = read_plain(self.folder / name, file.bytes)
        except FileNotFoundError:
            raise self._refused(f"{name}: missing") from None
        except TooLong:
            raise self._refused(f"{name}: differs from its hash in the manifest") from None
        except (OSError, ValueError) as error:
            raise self._refused(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
        if len(data) != file.bytes or hashlib.sha256(data).hexdigest() != file.sha256:
            raise self._refused(f"{name}: differs from its hash in the manifest")
        return data

    def signature(self) -> bytes | None:
        """The signature beside the manifest, 64 bytes or fewer; None where there is none.

        Raises VerificationError for a longer file, and for a link that leads out of the bundle: what it leads to would
        be read, and sent on by ``push``.
        """
        path, root = self.folder / SIGNATURE, real_path(self.folder)
        if not path.is_file():
            return None
        if not is_inside(root, SIGNATURE) and not is_hub_blob(root, SIGNATURE):
            raise self._refused(f"{SIGNATURE}: points outside the bundle")
        try:
            return read_plain(path, SIGNATURE_BYTES)
        except (OSError, ValueError):
            raise self._refused(f"{SIGNATURE}: is no signature") from None

    def results(self) -> Results:
        """``results.json``. Raises VerificationError where it is damaged, or not as the manifest says."""
        if self.file(RESULTS).bytes > MOST_BYTES:
            raise self._refused(f"{RESULTS}: has more than {MOST_BYTES} bytes")
        return parse_results(self.read(RESULTS), self.folder / RESULTS)

    def samples(self) -> list[Sample]:
        """The samples, at least one, all their files listed. Raises VerificationError otherwise."""
        samples = self.results().samples
        if not samples:
            raise VerificationError(f"{self.folder / RESULTS}: damaged (samples: none): write the bundle again")
        for sample in samples:
            for name in sample.files:
                self.file(name)
        return samples

    def samples_of(self, artifact: ManifestArtifact) -> list[Sample]:
        """The samples of an artifact's shape; none, where it is one of several shapes and no picture was as large, or
        where it does not run here.

        Raises VerificationError as ``samples``, and where not every one of them has the artifact's output.
        """
        if not_run(artifact.id):
            return []
        shapes = {a.id: artifact_of(a.id, a.format, a.precision).shape for a in self.manifest.artifacts}
        shape = shapes[artifact.id]
        own = [s for s in self.samples() if shape in {shapes.get(id) for id in s.outputs}]
        if any(artifact.id not in sample.outputs for sample in own) or not (own or shape):
            raise self._no_sample(artifact.id)
        return own

    def _no_sample(self, id: str) -> VerificationError:
        return VerificationError(f"{self.folder / RESULTS}: damaged (samples: none of {id}): write the bundle again")

    def noise_seed(self) -> int:
        """Seed of the run's noise. Raises VerificationError for a manifest without it."""
        if self.manifest.seeds is None:
            raise self._damaged("seeds: missing")
        return self.manifest.seeds.noise

    def artifact(self, id: str) -> ManifestArtifact:
        """The manifest's entry of an artifact. Raises VerificationError where it has none."""
        for artifact in self.manifest.artifacts:
            if artifact.id == id:
                return artifact
        raise self._damaged(f"artifacts: none is {id}")

    def shape(self, artifact: ManifestArtifact) -> Shape:
        """Height and width in px of what an artifact gives, on the grid of tiles. Raises VerificationError where its
        ports do not say.
        """
        axes = {"lq": slice(2, 4), "restored": slice(1, 3)}
        for port in (*artifact.inputs, *artifact.outputs):
            if port.name in axes and len(port.shape) == 4:
                height, width = port.shape[axes[port.name]]
                if min(height, width) < SIZE_MULTIPLE:
                    raise self._damaged(f"artifacts: {artifact.id}: {height} x {width} px, less than {SIZE_MULTIPLE}")
                return height, width
        raise self._damaged(f"artifacts: {artifact.id} has no input lq (1, 3, H, W), no output restored (1, H, W, 3)")

    def open_artifact(self, artifact: ManifestArtifact) -> OpenArtifact:
        """An artifact, ready to be loaded. Raises VerificationError where a file that it reads is not listed or differs
        from its hash.
        """
        if artifact.stages:
            stages = {stage: self._contents(artifact.format, name) for stage, name in artifact.stages.items()}
            contents = Contents(b"", stages=stages)
        else:
            contents = self._contents(artifact.format, artifact.entry)
        return OpenArtifact(artifact, self.folder / artifact.entry, contents)

    def _contents(self, format: Format, name: str) -> Contents:
        entry = self.read(name)
        if format == "openvino":
            return self._openvino(name, entry)
        if format == "onnx":
            return Contents(entry, external={at: self.read(file) for at, file in self._external(name, entry).items()})
        about = _about_of(name)
        return Contents(entry, about=self.read(about) if about in self.listed else b"")

    def copy_artifact(self, artifact: ManifestArtifact, folder: Path) -> Path:
        """Write an artifact's files below ``folder``, as the manifest says they are; its entry there. For what opens
        files by itself: in a folder of our own nobody changes them. Raises VerificationError as ``open_artifact``.
        """
        for graph in artifact.graphs:
            for name in self._files_of(artifact.format, graph):
                weights = artifact.format == "openvino" and name != graph
                # Weights that several shapes share: under the name where OpenVINO looks for them.
                copied = folder / (weights_names(graph)[0] if weights else name)
                copied.parent.mkdir(parents=True, exist_ok=True)
                copied.write_bytes(self.read(name))
        return folder / artifact.entry

    def files_of(self, artifact: ManifestArtifact) -> list[str]:
        """Every file that an artifact is read from, its entry first. Raises VerificationError as ``open_artifact``."""
        return [name for graph in artifact.graphs for name in self._files_of(artifact.format, graph)]

    def _files_of(self, format: Format, graph: str) -> list[str]:
        if format == "openvino":
            weights = self._weights_of(graph)
            return [graph, weights] if weights in self.listed else [graph]
        if format == "onnx":
            beside = self._external(graph, self.read(graph))
            for name in beside:
                # What runs a copy, here or on a device, puts the files into one folder.
                if name != PurePosixPath(name).name or name == PurePosixPath(graph).name:
                    raise self._refused(
                        f"{graph}: keeps weights in {printable(name)}, which is no other file beside it"
                    )
            return [graph, *beside.values()]
        return [graph, about] if (about := _about_of(graph)) in self.listed else [graph]

    def _openvino(self, name: str, entry: bytes) -> Contents:
        weights = self._weights_of(name)
        # Only an IR keeps to these two files; OpenVINO tells by the content what it was given.
        if not entry.lstrip().startswith(b"<"):
            raise self._refused(f"{name}: no OpenVINO IR")
        if weights not in self.listed and os.path.lexists(self.folder / weights):
            self.file(weights)
        return Contents(entry, self.read(weights) if weights in self.listed else b"")

    def _weights_of(self, entry: str) -> str:
        """The file that OpenVINO reads with an IR: its own, or the one that it shares."""
        own, shared = weights_names(entry)
        return shared if shared in self.listed and own not in self.listed else own

    def _external(self, name: str, entry: bytes) -> dict[str, str]:
        """Files beside an ONNX model, their paths below the bundle by what the model calls them, each listed."""
        try:
            locations = sorted(external_data(entry))
        except ValueError as error:
            raise self._refused(f"{name}: no ONNX model ({error})") from None
        paths = {location: (PurePosixPath(name).parent / location).as_posix() for location in locations}
        for path in paths.values():
            self.file(path)
        return paths

    def file(self, name: str) -> ManifestFile:
        """A file's entry. Raises VerificationError for one that the manifest does not list."""
        if name not in self.listed:
            raise VerificationError(f"{self.folder / MANIFEST}: {name} is not among its files: do not use it")
        return self.listed[name]

    def changed_files(self) -> list[str]:
        """What is missing or differs from its hash, one line each."""
        return [problem for file in self.manifest.files if (problem := _changed(self.folder, file))]

    def unlisted_files(self) -> list[str]:
        """What lies in the bundle and is not of it, one line each: a file that nobody listed, a link to a folder."""
        return sorted(_unlisted(self.folder, set(self.listed)))

    def _refused(self, problem: str) -> VerificationError:
        return VerificationError(f"{self.folder}/{problem}: do not use it, get another copy of the bundle")

    def _damaged(self, what: str) -> VerificationError:
        return VerificationError(f"{self.folder / MANIFEST}: damaged manifest ({what}): write the bundle again")


def open_bundle(folder: Path) -> Bundle:
    """A bundle, its manifest checked: schema, and paths that stay inside.

    Raises InputError when there is none, VerificationError when it is damaged, of another version or points outside.
    """
    text = read_bytes(folder)
    return Bundle(folder, text, parse_manifest(folder, text))


def check_files(bundle: Bundle) -> None:
    """Raise VerificationError, one line a problem, unless the folder holds what the manifest lists and nothing else."""
    if problems := [*bundle.changed_files(), *bundle.unlisted_files()]:
        raise VerificationError(*(f"{bundle.folder}/{problem}" for problem in problems))


def holds(bundle: Path, name: str) -> bool:
    """Whether the file ``name`` stays inside of a folder that is not a bundle yet."""
    return is_inside(real_path(bundle), name)


def _about_of(entry: str) -> str:
    """What a .pte says of itself lies here."""
    return PurePosixPath(entry).with_suffix(".json").as_posix()


def _changed(folder: Path, file: ManifestFile) -> str | None:
    path = folder / file.path
    if not path.is_file():
        return f"{file.path}: missing"
    if path.stat().st_size != file.bytes or sha256_file(path) != file.sha256:
        return f"{file.path}: differs from its hash in the manifest"
    return None


def _unlisted(folder: Path, listed: set[str]) -> Iterator[str]:
    own = {*listed, MANIFEST, SIGNATURE}
    for root, folders, names in os.walk(folder):
        at = Path(root)
        if at == folder:
            folders[:] = [name for name in folders if not is_beside(name)]
            names = [name for name in names if not is_beside(name)]
        for name in folders:
            if (at / name).is_symlink():
                yield f"{(at / name).relative_to(folder).as_posix()}: is a link to a folder"
        for name in names:
            if (path := (at / name).relative_to(folder).as_posix()) not in own:
                yield f"{path}: not in the manifest"
