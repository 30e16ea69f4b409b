"""The training recipe's schema: TrainRecipe, the YAML of `compress train`.

Unknown keys are refused; each field says what it is, in which unit and range.
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from compress.recipe.calibration_set import HubSource
from compress.recipe.names import Name
from compress.recipe.strict import Strict
from compress.recipe.task import Task

Module = Literal["enc", "mmse", "fmir", "dec"]


class LossWeights(Strict):
    """Weights of the terms; 0 leaves a term out."""

    mmse: float = Field(1.0, ge=0, description="latent MMSE term")
    consistency: float = Field(1.0, ge=0, description="consistency flow matching term")
    flow_matching: float = Field(0.0, ge=0, description="plain flow matching term")
    pixel: float = Field(0.0, ge=0, description="published pixel term through the frozen teacher decoder")
    l1: float = Field(0.0, ge=0, description="mean absolute pixel error of the K-step sampler's output")
    lpips: float = Field(0.0, ge=0, description="LPIPS of the K-step sampler's output")
    color: float = Field(0.0, ge=0, description="mean absolute error of 16 px means of the output")


class Stage(Strict):
    """What stages of training and of distillation have in common."""

    steps: int = Field(gt=0, description="optimiser steps")
    batch: int = Field(16, gt=0, description="crops a step, of all processes together")
    crop: int = Field(128, gt=0, multiple_of=32, description="side of a crop, in px")
    lr: float = Field(2e-4, gt=0, lt=1, description="AdamW's peak learning rate")
    warmup: int = Field(100, ge=0, description="steps of linear warm-up")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="after it: cosine to 1 % of lr, or lr")
    bf16: bool = Field(False, description="autocast to bfloat16")
    modules: list[Module] = Field(["enc", "mmse", "fmir", "dec"], description="what learns")


class TrainStage(Stage):
    """One stage of training."""

    space: Literal["latents", "pixels"] = Field(description="latents: cached latent crops; pixels: the whole model")
    cached_crops: int = Field(900, gt=0, description="latents only: crops encoded once")
    modules: list[Module] = Field(["mmse", "fmir"], description="what learns")
    weights: LossWeights = LossWeights()


class TrainModel(Strict):
    """The model to train."""

    task: Task = "sr_x4"
    weights: str | None = Field(None, description="checkpoint to start from; none: fresh networks")
    autoencoder: str = Field("tae16", description="checkpoint of the autoencoder: start, and frozen teacher")
    hid_channels: int = Field(64, gt=0, multiple_of=32, description="width of the flow net")
    n_mid_blocks: int = Field(1, gt=0, description="middle blocks of the flow net")
    c_hid: int = Field(48, gt=0, description="growth of the MMSE net")
    n_rrdb: int = Field(2, gt=0, description="RRDBs of the MMSE net")
    over_param: bool = Field(False, description="train the over-parametrised form")
    k_steps: int = Field(3, gt=0, description="Euler steps, and segments of the consistency loss")
    sigma_s: float = Field(0.1, ge=0, description="standard deviation of the source noise")
    dt: float = Field(0.05, gt=0, lt=1, description="r - t of the consistency loss")
    seed: int = Field(0, ge=0)


class StreamSource(HubSource):
    """A data set of the Hugging Face hub to train on: ``pool`` rows at a time in memory."""

    count: int | None = Field(None, gt=0, description="rows used, from the split's start; none: all")
    pool: int = Field(256, gt=0, description="rows in memory that a step draws its crops from")
    renew: int = Field(1, gt=0, description="of them, rows that the next step has new")


TrainSource = Annotated[
    Annotated[str, Tag("folder")] | Annotated[StreamSource, Tag("stream")],
    Discriminator(lambda value: "folder" if isinstance(value, str) else "stream"),
]


class TrainData(Strict):
    """Pictures."""

    train: list[TrainSource] = Field(
        min_length=1, description="folders of clean pictures, searched recursively, and hub data sets, streamed"
    )
    validation: str = Field("photos_validation", description="a calibration set, for validation")


class TrainRecipe(Strict):
    """`compress train`: stages run in order."""

    version: Literal[1]
    name: Name
    description: str = ""
    model: TrainModel = TrainModel()
    data: TrainData
    stages: list[TrainStage] = Field(min_length=1)
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights: what is validated and saved")
    checkpoint_minutes: float = Field(3.0, gt=0, description="time between checkpoints")
    validate_every: int = Field(500, gt=0, description="steps between validations")


# --- distillation ---------------------------------------------------------------------------------------------


class DistillWeights(Strict):
    """Weights of the terms; 0 leaves a term out. Latents differ by mean squares, pictures by mean absolutes."""

    latent: float = Field(0.0, ge=0, description="encoder's latent against the teacher's")
    mmse: float = Field(0.0, ge=0, description="MMSE latent against the teacher's")
    trajectory: float = Field(0.0, ge=0, description="latents after the student's steps, against the teacher's then")
    output: float = Field(0.0, ge=0, description="picture against the teacher's")
    l1: float = Field(0.0, ge=0, description="picture against the clean one")
    lpips: float = Field(0.0, ge=0, description="picture against the clean one, LPIPS")
    color: float = Field(0.0, ge=0, description="16 px means of the picture against the clean one's")


class DistillStage(Stage):
    """One stage of a distillation."""

    inputs: Literal["teacher", "student"] = Field(
        "student", description="teacher: each network reads what the teacher's gave, and learns apart; student: its own"
    )
    cached_crops: int = Field(0, ge=0, description="crops that the teacher sees once, then drawn anew; 0: always new")
    weights: DistillWeights = DistillWeights()


class DistillSeed(Strict):
    """What a training reads of a model's settings."""

    seed: int = Field(0, ge=0)


class DistillRun(Strict):
    """A distillation as `Training` takes it. ``start``: hash of what the student and its teacher start from."""

    model: DistillSeed = DistillSeed()
    stages: list[DistillStage] = Field(min_length=1)
    ema: float = Field(0.999, ge=0, lt=1)
    checkpoint_minutes: float = Field(3.0, gt=0)
    validate_every: int = Field(500, gt=0)
    start: str = ""
