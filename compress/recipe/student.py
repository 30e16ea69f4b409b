"""Settings of the passes that make a smaller model, prune and distill; free of torch."""

from typing import Literal

from pydantic import Field, model_validator

from compress.recipe.strict import Strict
from compress.recipe.train import DistillStage, TrainSource

Network = Literal["enc", "mmse", "fmir", "dec"]


class Widths(Strict):
    """Channels that stay; what is left out stays as it is."""

    enc: list[int] | None = Field(None, description="Channels of the encoder at each resolution, the finest first.")
    mmse: int | None = Field(None, gt=0, description="Growth of the MMSE network.")
    fmir: int | None = Field(
        None,
        gt=0,
        multiple_of=8,
        description="Channels of the flow network, a multiple of 8 because of its GroupNorms.",
    )
    dec: list[int] | None = Field(None, description="Channels of the decoder at each resolution, the coarsest first.")


class PruneSettings(Strict):
    """Channels leave the networks (``pattern: channels``), or weights become 0 where they stand.

    How many channels: one of ``widths``, ``ratios`` and ``macs``. Zeros bring no speed in a dense kernel, which is what
    OpenVINO, ONNX Runtime and XNNPACK run; ``2:4`` is quicker on NVIDIA GPUs since Ampere, through TensorRT, alone.
    """

    pattern: Literal["channels", "unstructured", "2:4"] = Field(
        "channels",
        description="What is removed: channels make the model smaller and faster everywhere, the other "
        "patterns leave zeros for kernels that skip them.",
    )
    importance: Literal["magnitude", "taylor", "activation"] = Field(
        "magnitude",
        description="How channels are ranked: by their weights, by their effect on the output, or by the "
        "activations that other layers get from them.",
    )
    widths: Widths | None = Field(None, description="Channels that stay, by network.")
    ratios: dict[Network, float] | None = Field(None, description="Share of the channels that is removed, by network.")
    macs: float | None = Field(
        None, gt=0, lt=1, description="Most multiplications that may remain, as a share of the model's."
    )
    share: float | None = Field(
        None, gt=0, lt=1, description="Share of the weights that become 0. For unstructured only."
    )
    pictures: int = Field(8, gt=0, description="Number of calibration pictures. For taylor and activation only.")

    @model_validator(mode="after")
    def _one_amount(self) -> "PruneSettings":
        given = [name for name in ("widths", "ratios", "macs", "share") if getattr(self, name) is not None]
        wanted = {"channels": ["widths", "ratios", "macs"], "unstructured": ["share"], "2:4": []}[self.pattern]
        if len(given) != bool(wanted) or set(given) - set(wanted):
            rule = f"give one of {', '.join(wanted)}" if wanted else "give none of widths, ratios, macs, share"
            raise ValueError(f"with pattern {self.pattern}, {rule}; given: {', '.join(given) or 'none'}")
        for network, ratio in (self.ratios or {}).items():
            if not 0 <= ratio < 1:
                raise ValueError(f"ratios.{network} must be at least 0 and below 1, got {ratio}")
        if self.pattern != "channels" and "importance" in self.model_fields_set:
            raise ValueError(f"importance has no effect with pattern {self.pattern}: remove it")
        return self


class DistillSettings(Strict):
    """A student, the model so far (pruned, or not), learns to do what the model as it was loaded does.

    Its steps, and its encoder's entry, may change first; ``stages`` run in order.
    """

    student: str | None = Field(
        None,
        min_length=1,
        description="Finished student that is taken when asked for (--reuse): a built-in name or a path.",
    )
    k_steps: int | None = Field(
        None, gt=0, le=64, description="Number of the student's Euler steps; by default the teacher's."
    )
    encoder_scale: Literal[1, 2, 4, 8] = Field(
        1,
        description="Factor by which the encoder reads a smaller grid, which for super-resolution is the "
        "input before it was enlarged.",
    )
    encoder_blocks: list[int] | None = Field(
        None, description="Number of the encoder's blocks that stay at each resolution; by default all."
    )
    residual: bool = Field(
        False, description="Let the decoder draw what the input lacks, instead of the whole picture."
    )
    data: list[TrainSource] = Field(
        ["data/train"], min_length=1, description="Training pictures, as in a training recipe."
    )
    stages: list[DistillStage] = Field(min_length=1, description="Stages of the training, in order.")
    ema: float = Field(0.998, ge=0, lt=1, description="Decay of the averaged weights, which are the result.")
    checkpoint_minutes: float = Field(3.0, gt=0, description="Time between two checkpoints.")
    seed: int = Field(0, ge=0)
    pictures: int = Field(24, gt=0, description="Number of calibration pictures that a new first layer is fitted on.")
