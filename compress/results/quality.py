"""Quality of an artifact's pictures: against the clean pictures, and against the fp32 artifact of its runtime."""

from pydantic import Field

from compress.results.section import Count, Figure, Id, Section, Text

MOST_PICTURES = 100_000


class PictureScores(Section):
    """Scores of one picture."""

    name: Text
    psnr_db: Figure | None = None
    psnr_y_db: Figure | None = None
    ssim: Figure | None = None
    lpips: Figure | None = None
    color_shift: Figure | None = None
    fidelity_db: Figure | None = None
    color_shift_vs_fp32: Figure | None = None
    histogram_vs_fp32: Figure | None = None
    niqe: Figure | None = None


class Scores(Section):
    """Mean scores over a data set, against the clean pictures."""

    dataset: Text
    n: Count | None = Field(None, description="Number of pictures.")
    psnr_db: Figure | None = Field(None, description="PSNR of 8-bit RGB without cropping a border, in dB.")
    psnr_y_db: Figure | None = Field(
        None, description="PSNR of BT.601 luma with a border of the scale's width cropped, in dB."
    )
    ssim: Figure | None = None
    lpips: Figure | None = None
    color_shift: Figure | None = Field(None, description="Mean difference of the channels' means, in 1/255.")
    niqe: Figure | None = Field(
        None, description="NIQE, which needs no true pictures; only for sets without true pictures."
    )
    note: Text | None = Field(None, description="Why figures are missing.")


class Baseline(Scores):
    """Mean scores of the input itself, as the model gets it: for super-resolution, the bicubic enlargement."""

    name: Text


class Quality(Scores):
    """Mean scores of one artifact on one data set. Drops and fidelity are null if no fp32 artifact was written."""

    artifact: Id
    psnr_drop_db: Figure | None = Field(None, description="PSNR of the fp32 artifact minus that of this one, in dB.")
    ssim_drop: Figure | None = None
    lpips_rise: Figure | None = None
    fidelity_db: Figure | None = Field(
        None, description="PSNR against the fp32 artifact's output with the same noise, in dB."
    )
    color_shift_vs_fp32: Figure | None = Field(
        None, description="Shift of mean colour against the fp32 artifact, in 1/255."
    )
    histogram_vs_fp32: Figure | None = Field(
        None, description="Earth mover's distance between the histograms, in 1/255."
    )
    pictures: list[PictureScores] = Field(
        default=[], max_length=MOST_PICTURES, description="Scores of each picture, in the set's order."
    )
