"""An artifact as results.json lists it: its files, their size, what they were made by."""

from pydantic import Field

from compress.recipe.schema import Format, Precision
from compress.results.section import Count, Figure, Id, Section, Sha256, Text


class ArtifactEntry(Section):
    """One artifact: an entry file and the files that it reads."""

    id: Id
    format: Format
    precision: Precision
    entry: Text
    files: list[Text] = Field(default=[], description="Every file of the artifact, as paths relative to the bundle.")
    bytes: Count | None = Field(None, description="Size of all its files together.")
    size_ratio: Figure | None = Field(None, description="Ratio of its size to that of the fp32 artifact of its format.")
    sha256: Sha256 | None = Field(None, description="Hash of the entry file.")
    macs: Count | None = Field(None, description="Multiply-accumulates for one picture.")
    weights: dict[str, Count] | None = Field(
        None,
        description="Number of convolution weights, by the bits that each of them takes in the file; null if the file "
        "does not record it.",
    )
    engine: Text | None = Field(None, description="Quantizer that made the artifact; null for a float artifact.")
    backend: Text | None = Field(None, description="ExecuTorch's backend, if it is not XNNPACK.")
    not_run: Text | None = Field(None, description="Why it was not run, and so has no quality; left out if it was run.")
    shape: list[Count] | None = Field(
        None, description="Height and width in px, if they are not the recipe's first size."
    )
    shared_bytes: Count | None = Field(
        None, description="Part of `bytes` that artifacts of other sizes share: files that they also read."
    )


class WeightShare(Section):
    """Bytes and milliseconds of an ONNX artifact that one stage of the network takes."""

    artifact: Id
    stage: Text
    bytes: Count | None = None
    ms: Figure | None = Field(
        None, description="Mean time over profiled inferences; null if the artifact does not run on this machine."
    )
