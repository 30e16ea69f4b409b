"""ELIR's published checkpoints: what their files do not hold, and what tells them apart."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compress.recipe.task import Task

RELEASE = "release v1.0 of github.com/eladc-git/ELIR"


@dataclass(frozen=True)
class ReleaseFile:
    """One file of the release. ``k_trained``: segments of the consistency loss; ``k_steps``: Euler steps it runs with.

    ``image_size``, in px, is what it was trained and measured at; the last four are its widths and depths.
    """

    file: str
    task: "Task"
    k_trained: int
    k_steps: int
    sigma_s: float
    image_size: int
    hid_channels: int
    n_mid_blocks: int
    c_hid: int
    n_rrdb: int

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """``hid_channels``, ``n_mid_blocks``, ``c_hid``, ``n_rrdb``."""
        return self.hid_channels, self.n_mid_blocks, self.c_hid, self.n_rrdb


PUBLISHED = (
    ReleaseFile("elir_sr.pth", "sr_x8_published", 5, 3, 0.1, 256, 128, 1, 96, 3),
    ReleaseFile("elir_denoising.pth", "denoise_published", 5, 3, 0.025, 256, 128, 1, 96, 3),
    ReleaseFile("elir_inpainting.pth", "inpaint_published", 5, 3, 0.1, 256, 128, 1, 96, 3),
    ReleaseFile("elir_bsr.pth", "blind_sr_x4_published", 3, 3, 0.04, 256, 96, 1, 96, 3),
    ReleaseFile("elir_bfr.pth", "blind_face_published", 5, 5, 0.1, 512, 128, 3, 96, 3),
)


def to_fill_in(weights: str | Path | None) -> str:
    """Where the published checkpoint ``weights`` comes from, when it is not there; empty for any other."""
    path = Path(weights or "")
    if path.name not in {model.file for model in PUBLISHED} or path.exists():
        return ""
    return (
        f"{path}: no such weights file: download {path.name} from {RELEASE}, and put it there or give its path "
        "(model.weights=PATH)"
    )


def by_task(task: str) -> ReleaseFile | None:
    """The published checkpoint for ``task``."""
    return next((model for model in PUBLISHED if model.task == task), None)


def by_widths(widths: tuple[int, int, int, int], task: str | None) -> list[ReleaseFile]:
    """The published checkpoints of these ``Published.widths``, for ``task`` where it is known."""
    return [model for model in PUBLISHED if model.widths == widths and task in (None, model.task)]
