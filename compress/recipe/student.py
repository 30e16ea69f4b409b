"""Settings of the passes that make a smaller model, prune and distill; free of torch."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from compress.recipe.numbers import Channels, Count, Positive, Seed
from compress.recipe.strict import Strict
from compress.recipe.train import DistillStage, TrainSource

Network = Literal["enc", "mmse", "fmir", "dec"]
Share = Annotated[float, Field(ge=0, lt=1)]


class Widths(Strict):
    """Channels that stay; a network that is left out keeps all of its channels."""

    enc: list[Channels] | None = Field(
        None, description="Channels of the encoder at each resolution, the finest first."
    )
    mmse: Channels | None = Field(None, description="Growth rate of the MMSE network.")
    fmir: Channels | None = Field(
        None,
        multiple_of=8,
        description="Channels of the flow network, a multiple of 8 because of its GroupNorms.",
    )
    dec: list[Channels] | None = Field(
        None, description="Channels of the decoder at each resolution, the coarsest first."
    )


class PruneSettings(Strict):
    """Remove channels from the networks (``pattern: channels``), or set weights to 0.

    One of ``widths``, ``ratios`` and ``macs`` says how many channels. Zeros do not make dense kernels faster, and
    OpenVINO, ONNX Runtime and XNNPACK run dense kernels; ``2:4`` is faster only on NVIDIA GPUs since Ampere, through
    TensorRT.
    """

    pattern: Literal["channels", "unstructured", "2:4"] = Field(
        "channels",
        description="What is removed: removing channels makes the model smaller and faster everywhere; the other "
        "patterns leave zeros for kernels that skip them.",
    )
    importance: Literal["magnitude", "taylor", "activation"] = Field(
        "magnitude",
        description="How channels are ranked: by their weights (magnitude), by their effect on the output (taylor), or "
        "by the activations that they pass to other layers (activation).",
    )
    widths: Widths | None = Field(None, description="Channels that each network keeps.")
    ratios: dict[Network, Share] | None = Field(None, description="Share of the channels that each network loses.")
    macs: float | None = Field(
        None, gt=0, lt=1, description="Largest number of multiplications that may remain, as a share of the model's."
    )
    share: float | None = Field(
        None, gt=0, lt=1, description="Share of the weights that become 0. For unstructured only."
    )
    pictures: Count = Field(8, description="Number of calibration pictures. For taylor and activation only.")

    @model_validator(mode="after")
    def _one_amount(self) -> "PruneSettings":
        given = [name for name in ("widths", "ratios", "macs", "share") if getattr(self, name) is not None]
        wanted = {"channels": ["widths", "ratios", "macs"], "unstructured": ["share"], "2:4": []}[self.pattern]
        if len(given) != bool(wanted) or set(given) - set(wanted):
            rule = f"give one of {', '.join(wanted)}" if wanted else "give none of widths, ratios, macs, share"
            raise ValueError(f"with pattern {self.pattern}, {rule}; given: {', '.join(given) or 'none'}")
        for name in ("importance", "pictures"):
            if self.pattern != "channels" and name in self.model_fields_set:
                raise ValueError(f"{name} has no effect with pattern {self.pattern}: remove it")
        if self.ratios == {} or self.widths == Widths():
            raise ValueError(f"{given[0]} names no network, so that nothing would be removed: add one")
        return self


class DistillSettings(Strict):
    """Train the model so far (pruned or not) as a student, to do what the model did when it was loaded.

    The student's number of steps and the entry of its encoder may change first; then the ``stages`` run in order.
    """

    student: str | None = Field(
        None,
        min_length=1,
        description="Finished student, used instead of training when you ask for it (--reuse): a built-in name or a "
        "path.",
    )
    k_steps: int | None = Field(
        None, gt=0, le=64, description="Number of the student's Euler steps; by default the teacher's."
    )
    encoder_scale: Literal[1, 2, 4, 8] = Field(
        1,
        description="Factor by which the encoder reads its input on a coarser grid; for super-resolution, at most the "
        "factor by which the input was enlarged.",
    )
    encoder_blocks: list[Count] | None = Field(
        None, description="Number of encoder blocks that stay at each resolution; by default all."
    )
    residual: bool = Field(
        False, description="Let the decoder predict the difference from the input, instead of the whole picture."
    )
    data: list[TrainSource] = Field(
        ["data/train"], min_length=1, description="Training pictures, as in a training recipe."
    )
    stages: list[DistillStage] = Field(min_length=1, description="Stages of the training, in order.")
    ema: float = Field(0.998, ge=0, lt=1, description="Decay of the averaged weights; these become the result.")
    checkpoint_minutes: Positive = Field(3.0, description="Time between two checkpoints.")
    seed: Seed = 0
    pictures: Count = Field(24, description="Number of calibration pictures that a new first layer is fitted to.")
