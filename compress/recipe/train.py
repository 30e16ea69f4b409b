"""The training recipe's schema: TrainRecipe, the YAML of `compress train`.

Unknown keys are refused; each field says what it is, in which unit and range.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from compress.recipe.calibration_set import HubSource
from compress.recipe.names import Name
from compress.recipe.numbers import MOST_CACHED, MOST_DISTILLED, MOST_PIXELS, Count, Crop, Positive, Seed, Steps, Weight
from compress.recipe.strict import Strict
from compress.recipe.task import Task

Module = Literal["enc", "mmse", "fmir", "dec"]


class LossWeights(Strict):
    """Weights of the loss terms; 0 leaves a term out."""

    mmse: Weight = Field(1.0, description="Weight of the latent MMSE term.")
    consistency: Weight = Field(1.0, description="Weight of the consistency flow matching term.")
    flow_matching: Weight = Field(0.0, description="Weight of the plain flow matching term.")
    pixel: Weight = Field(0.0, description="Weight of the published pixel term, through the frozen teacher decoder.")
    l1: Weight = Field(0.0, description="Weight of the mean absolute pixel error of the K-step sampler's output.")
    lpips: Weight = Field(0.0, description="Weight of the LPIPS of the K-step sampler's output.")
    color: Weight = Field(0.0, description="Weight of the mean absolute error of the output's means over 16 px.")
    adversarial: Weight = Field(
        0.0, description="Weight of the adversarial term, from a discriminator that is trained beside the model."
    )


class Stage(Strict):
    """What stages of training and of distillation have in common."""

    steps: Steps = Field(description="Number of optimiser steps.")
    batch: Count = Field(16, description="Number of crops per step, over all processes together.")
    crop: Crop = Field(128, description="Side of a crop in px.")
    lr: float = Field(2e-4, gt=0, lt=1, description="Peak learning rate of AdamW.")
    warmup: int = Field(100, ge=0, le=10_000_000, description="Number of steps of linear warm-up.")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine",
        description="Learning rate after the warm-up: with cosine it falls to 1 % of lr, with constant it stays at lr.",
    )
    bf16: bool = Field(False, description="Compute in bfloat16 where autocast allows it.")
    modules: list[Module] = Field(["enc", "mmse", "fmir", "dec"], description="Networks that learn in this stage.")

    _most_cached: ClassVar[int] = MOST_CACHED  # pixels

    @model_validator(mode="after")
    def _fits_into_memory(self) -> "Stage":
        cached = "cached_crops", self._cached, self._most_cached
        for key, count, most in (("batch", self.batch, MOST_PIXELS), cached):
            if count * self.crop**2 > most:
                raise ValueError(
                    f"{key} (={count}) with crop (={self.crop}) is {count * self.crop**2 >> 20} megapixels in memory, "
                    f"at most {most >> 20}: lower one of the two"
                )
        return self

    @property
    def _cached(self) -> int:
        """Crops that are kept."""
        return 0


class TrainStage(Stage):
    """One stage of training."""

    space: Literal["latents", "pixels"] = Field(
        description="What the stage trains on: cached latent crops (latents), or pictures that run through the whole "
        "model (pixels)."
    )
    cached_crops: Count = Field(
        900, description="Number of crops that are encoded once and then reused. For latents only."
    )
    modules: list[Module] = Field(["mmse", "fmir"], description="Networks that learn in this stage.")
    weights: LossWeights = LossWeights()

    @property
    def _cached(self) -> int:
        return self.cached_crops if self.space == "latents" else 0


class TrainModel(Strict):
    """The model to train."""

    task: Task = "sr_x4"
    weights: str | None = Field(None, description="Checkpoint to start from; by default fresh networks.")
    autoencoder: str = Field(
        "tae16", description="Checkpoint of the autoencoder, which is both the starting point and the frozen teacher."
    )
    hid_channels: int = Field(64, gt=0, le=1024, multiple_of=32, description="Width of the flow network.")
    n_mid_blocks: int = Field(1, gt=0, le=64, description="Number of middle blocks of the flow network.")
    c_hid: int = Field(48, gt=0, le=256, description="Growth rate of the MMSE network.")
    n_rrdb: int = Field(2, gt=0, le=64, description="Number of RRDBs of the MMSE network.")
    over_param: bool = Field(False, description="Train the over-parametrised form of the networks.")
    residual: bool = Field(
        False,
        description="Let the decoder draw only what the input lacks. Its last convolution is first fitted to that. "
        "Needs `weights`, and a published format cannot hold the result.",
    )
    k_steps: int = Field(
        3, gt=0, le=64, description="Number of Euler steps, and also of segments of the consistency loss."
    )
    sigma_s: float = Field(0.1, ge=0, le=10, description="Standard deviation of the source noise.")
    dt: float = Field(0.05, gt=0, lt=1, description="Distance r - t of the consistency loss.")
    seed: Seed = 0

    @model_validator(mode="after")
    def _fits_what_weights_make(self) -> "TrainModel":
        if self.residual and self.weights is None:
            raise ValueError(
                "residual (=true) needs weights, on whose latents the decoder is fitted: give a checkpoint"
            )
        return self


class StreamSource(HubSource):
    """A data set of the Hugging Face hub to train on, with ``pool`` rows in memory at a time."""

    count: int | None = Field(
        None, gt=0, le=2**31, description="Number of rows to use from the start of the split; by default all."
    )
    pool: Count = Field(256, description="Number of rows in memory; each step draws its crops from these.")
    renew: Count = Field(1, description="Number of rows in the pool that each step replaces by new ones.")


TrainSource = Annotated[
    Annotated[str, Tag("folder")] | Annotated[StreamSource, Tag("stream")],
    Discriminator(lambda value: "folder" if isinstance(value, str) else "stream"),
]


class TrainData(Strict):
    """Pictures to train on and to validate on."""

    train: list[TrainSource] = Field(
        min_length=1,
        description="Folders of clean pictures, which are searched recursively, and data sets of the hub, which are "
        "streamed.",
    )
    validation: str = Field("photos_validation", description="Data set on which the training is validated.")


class TrainRecipe(Strict):
    """A training recipe, which `compress train` runs; the stages run in order."""

    version: Literal[1]
    name: Name
    description: str = ""
    model: TrainModel = TrainModel()
    data: TrainData
    stages: list[TrainStage] = Field(min_length=1)
    ema: float = Field(0.999, ge=0, lt=1, description="Decay of the averaged weights, which are validated and saved.")
    checkpoint_minutes: Positive = Field(3.0, description="Time between two checkpoints.")
    validate_every: Count = Field(500, description="Number of steps between two validations.")


# --- distillation ---------------------------------------------------------------------------------------------


class DistillWeights(Strict):
    """Weights of the loss terms; 0 leaves a term out. Latents are compared by mean squared error, pictures by mean
    absolute error.
    """

    latent: Weight = Field(0.0, description="Weight of the error of the encoder's latent against the teacher's.")
    mmse: Weight = Field(0.0, description="Weight of the error of the MMSE latent against the teacher's.")
    trajectory: Weight = Field(
        0.0,
        description="Weight of the error of the latents after each of the student's steps against the teacher's at the "
        "same times.",
    )
    output: Weight = Field(0.0, description="Weight of the error of the picture against the teacher's.")
    l1: Weight = Field(0.0, description="Weight of the error of the picture against the clean picture.")
    lpips: Weight = Field(0.0, description="Weight of the LPIPS of the picture against the clean picture.")
    color: Weight = Field(
        0.0,
        description="Weight of the error of the picture's means over 16 px against those of the clean picture.",
    )


class DistillStage(Stage):
    """One stage of a distillation."""

    inputs: Literal["teacher", "student"] = Field(
        "student",
        description="What each network reads: the teacher's latents, so that each network learns on its own, or the "
        "student's latents.",
    )
    cached_crops: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Number of crops that the teacher processes once and that are then reused; 0 takes new crops in "
        "every step.",
    )
    weights: DistillWeights = DistillWeights()
    _most_cached: ClassVar[int] = MOST_DISTILLED

    @property
    def _cached(self) -> int:
        return self.cached_crops


class DistillSeed(Strict):
    """What a training reads of a model's settings."""

    seed: Seed = 0


class DistillRun(Strict):
    """A distillation as `Training` takes it. ``start``: hash of what the student and its teacher start from."""

    model: DistillSeed = DistillSeed()
    data: list[TrainSource] = Field(default=[])
    stages: list[DistillStage] = Field(min_length=1)
    ema: float = Field(0.999, ge=0, lt=1)
    checkpoint_minutes: Positive = 3.0
    validate_every: Count = 500
    start: str = ""
