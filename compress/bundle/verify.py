"""`compress verify`: every file hashed again, every artifact run again on its sample."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import not_run
from compress.bundle.open import Bundle, check_files, open_bundle
from compress.bundle.schema import ManifestArtifact
from compress.errors import VerificationError
from compress.results.sample import Sample
from compress.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from compress.progress import Progress

# An artifact run again gives its sample picture back: exactly on the same machine; within this on other kernels.
SAMPLE_PSNR_DB = {"fp32": 50.0, "fp16": 40.0, "int8": 30.0, "weights": 50.0}


@dataclass(frozen=True)
class SampleParity:
    """An artifact's output, computed again, against the recorded one; ``bound``: the least PSNR, in dB."""

    artifact: str
    sample: str
    psnr_db: float
    bound: float


@dataclass
class Verification:
    """What ``verify`` found: files re-hashed, and each artifact's PSNR against its recorded sample."""

    folder: Path
    files: int
    parity: list[SampleParity] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    """Why an artifact was not run again, by its id; its files were hashed."""
    exit_code: int = 0

    def to_json(self) -> dict[str, Any]:
        parity = [asdict(item) for item in self.parity]
        told = {"not_run": self.not_run} if self.not_run else {}
        return {"bundle": str(self.folder), "files": self.files, "parity": parity, **told, "verified": True}

    def table(self) -> "Table":
        """Rich table of the parity checks."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(printable(f"{self.folder}: {self.files} files verified")), title_justify="left")
        for name in ("artifact", "sample", "PSNR dB", "at least"):
            table.add_column(name, justify="left" if name in ("artifact", "sample") else "right")
        for p in self.parity:
            table.add_row(Text(p.artifact), Text(p.sample), f"{p.psnr_db:.2f}", f"{p.bound:.0f}")
        for name, why in self.not_run.items():
            table.add_row(Text(name), Text(f"not run: {why}"), "", "")
        return table


def verify(folder: Path, progress: "Progress", key: Path | None = None) -> Verification:
    """Check the signature, where ``key`` (a public key's file) is given; re-hash every file, and run every artifact
    again on its sample picture.

    Raises VerificationError, one line a problem, when the manifest is not signed by ``key``, a hash differs, a file is
    not listed, or an artifact no longer gives its picture; Unavailable when a runtime is missing.
    """
    bundle = open_bundle(folder)
    if key is not None:
        from compress.bundle.sign import check_signature

        check_signature(bundle, key)
    with progress.stage("hash files"):
        check_files(bundle)
    artifacts = bundle.manifest.artifacts
    result = Verification(folder, len(bundle.manifest.files))
    with progress.stage("run artifacts", len(artifacts), even=False) as stage:
        for artifact in artifacts:
            if own := bundle.samples_of(artifact):
                result.parity.append(_rerun(bundle, artifact, own[0]))
            elif why := not_run(artifact.id):
                result.not_run[artifact.id] = why
            stage.advance()
    if wrong := [p for p in result.parity if p.psnr_db < p.bound]:
        raise VerificationError(
            *(
                f"{folder}: {p.artifact} gives {p.psnr_db:.1f} dB against its own sample {p.sample}, "
                f"{p.bound:.0f} are asked: do not ship it"
                for p in wrong
            )
        )
    return result


def _rerun(bundle: Bundle, artifact: ManifestArtifact, sample: Sample) -> SampleParity:
    """A sample, by the artifact in its runtime."""
    import numpy as np

    from compress.artifacts.runtime.open import open_runner
    from compress.artifacts.runtime.trial import probe
    from compress.bundle.picture import read_picture
    from compress.data.pictures import to_float, to_uint8
    from compress.measure.machine import physical_cores
    from compress.measure.quality import psnr_db

    folder = bundle.folder
    opened = bundle.open_artifact(artifact)
    if artifact.format == "executorch":
        probe(opened.path, opened.contents)
    runner = open_runner(opened.path, artifact.format, physical_cores(), contents=opened.contents)
    picture = read_picture(bundle, sample.image if runner.takes_pictures and sample.image else sample.degraded)
    height, width = runner.tile
    if picture.shape != (height // runner.scale, width // runner.scale, 3):
        raise VerificationError(f"{folder}: sample {sample.name} is not of {artifact.id}'s size: do not use it")
    noise = runner.noise_of(bundle.noise_seed(), sample.index)
    if runner.takes_pictures:
        restored = runner.restore(picture[None], noise)[0]
    else:
        hq = runner.run(to_float([picture]), noise)[0]
        if not np.isfinite(hq).all():
            raise VerificationError(f"{folder}: {artifact.id} gives NaN or Inf for {sample.name}: do not use it")
        restored = to_uint8(hq)
    wanted = read_picture(bundle, sample.outputs[artifact.id])
    if wanted.shape != restored.shape:
        raise VerificationError(f"{folder}: sample {sample.name} of {artifact.id} has another size: do not use it")
    psnr = round(psnr_db(restored, wanted), 2)
    return SampleParity(artifact.id, sample.name, psnr, SAMPLE_PSNR_DB[artifact.precision])
