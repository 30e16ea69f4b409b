"""Whether an artifact gives the pictures that torch gives, and where quantization errs."""

from pydantic import Field

from compress.results.section import Count, Figure, Id, Section, Text


class Parity(Section):
    """Comparison of the same pictures by torch and by the artifact in its runtime."""

    artifact: Id
    against: Text = Field(
        "", description="What the artifact is compared with: torch-fp32, rounded-fp32 or simulated-int8."
    )
    psnr_db: Figure | None = None
    n: Count | None = Field(None, description="Number of pictures.")
    goal: Figure | None = Field(
        None,
        description="Bound in dB: the lowest accepted psnr_db; for int8, how far fidelity_artifact_db may lie below "
        "fidelity_simulated_db.",
    )
    met: bool | None = None
    fidelity_artifact_db: Figure | None = None
    fidelity_simulated_db: Figure | None = None


class StageError(Section):
    """Signal-to-quantization-noise ratio of one stage or Euler step."""

    precision: Text = "int8"
    mode: Text = Field(
        "free_running",
        description="How the stage was run: free_running, or teacher_forced on the float model's input to it.",
    )
    stage: Text
    sqnr_db: Figure | None = None


class LayerError(Section):
    """Signal-to-quantization-noise ratio of one convolution's output."""

    layer: Text
    stage: Text = ""
    sqnr_db: Figure | None = None
