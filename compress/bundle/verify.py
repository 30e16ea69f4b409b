"""`compress verify`: every file hashed again, every artifact run again on its sample."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.bundle.manifest import changed_files, noise_seed, read_manifest, read_samples
from compress.errors import VerificationError

if TYPE_CHECKING:
    import numpy as np

    from compress.progress import Progress

# An artifact run again gives its sample picture back: exactly on the same machine; within this on other kernels.
SAMPLE_PSNR_DB = {"fp32": 50.0, "fp16": 40.0, "int8": 30.0, "weights": 50.0}


@dataclass
class Verification:
    """What ``verify`` found: files re-hashed, and each artifact's PSNR against its recorded sample."""

    folder: Path
    files: int
    parity: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int = 0

    def to_json(self) -> dict[str, Any]:
        return {"bundle": str(self.folder), "files": self.files, "parity": self.parity, "verified": True}

    def table(self) -> Any:
        """Rich table of the parity checks."""
        from rich.table import Table

        table = Table(title=f"{self.folder}: {self.files} files verified", title_justify="left")
        for name in ("artifact", "sample", "PSNR dB", "at least"):
            table.add_column(name, justify="left" if name in ("artifact", "sample") else "right")
        for p in self.parity:
            table.add_row(p["artifact"], p["sample"], f"{p['psnr_db']:.2f}", f"{p['bound']:.0f}")
        return table


def verify(folder: Path, progress: "Progress") -> Verification:
    """Re-hash every file and run every artifact again on its sample picture.

    Raises VerificationError, one line a problem, when a hash differs or an artifact no longer gives its picture;
    Unavailable when a runtime is missing.
    """
    manifest = read_manifest(folder)
    with progress.stage("hash files"):
        problems = changed_files(folder, manifest)
    if problems:
        raise VerificationError("\n".join(f"{folder}/{problem}" for problem in problems))
    result = Verification(folder, len(manifest["files"]))
    with progress.stage("run artifacts", len(manifest["artifacts"])) as stage:
        for artifact in manifest["artifacts"]:
            result.parity.extend(_rerun(folder, manifest, artifact))
            stage.advance()
    wrong = [p for p in result.parity if p["psnr_db"] < p["bound"]]
    if wrong:
        raise VerificationError(
            "\n".join(
                f"{folder}: {p['artifact']} gives {p['psnr_db']:.1f} dB against its own sample {p['sample']}, "
                f"{p['bound']:.0f} are asked: do not ship it"
                for p in wrong
            )
        )
    return result


def _rerun(folder: Path, manifest: dict[str, Any], artifact: dict[str, Any]) -> list[dict[str, Any]]:
    import numpy as np

    from compress.artifacts.runtime.open import open_runner
    from compress.data.pictures import read_rgb, to_float, to_uint8
    from compress.measure.machine import physical_cores
    from compress.measure.quality import psnr_db

    samples = _samples(folder, manifest, artifact["id"])[:1]
    runner = open_runner(folder / artifact["entry"], artifact["format"], physical_cores())
    found = []
    for sample in samples:
        lq = to_float([read_rgb(folder / sample["degraded"])])
        if lq.shape != runner.shapes["lq"]:
            raise VerificationError(
                f"{folder}: sample {sample['name']} is not of {artifact['id']}'s size: do not use it"
            )
        noise = _noise(lq.shape[-1], noise_seed(folder, manifest), sample["index"])
        hq = runner.run(lq, noise)[0]
        if not np.isfinite(hq).all():
            raise VerificationError(f"{folder}: {artifact['id']} gives NaN or Inf for {sample['name']}: do not use it")
        psnr = psnr_db(to_uint8(hq), read_rgb(folder / sample["outputs"][artifact["id"]]))
        bound = SAMPLE_PSNR_DB[artifact["precision"]]
        found.append({"artifact": artifact["id"], "sample": sample["name"], "psnr_db": round(psnr, 2), "bound": bound})
    return found


def _noise(size: int, seed: int, index: int) -> "np.ndarray":
    """The sample's noise, torch's own where torch is installed: a runtime is all that `compress verify` needs."""
    try:
        from compress.elir.noise import picture_noise

        return picture_noise(size, seed, index).numpy()
    except ImportError:
        from compress.elir.numpy_noise import standard_normal

        return standard_normal((1, 16, size // 8, size // 8), (seed << 20) + index)


def _samples(folder: Path, manifest: dict[str, Any], artifact: str) -> list[dict[str, Any]]:
    """``read_samples``, each with an output of ``artifact``."""
    samples = read_samples(folder, manifest)
    if any(artifact not in sample["outputs"] for sample in samples):
        raise VerificationError(
            f"{folder / 'results.json'}: damaged (samples: none of {artifact}): write the bundle again"
        )
    return samples
