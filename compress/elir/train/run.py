"""`compress train`: a training recipe -> networks, pictures, the run itself, and the checkpoint that it ends in."""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from compress.elir.train.log import TrainingLog
from compress.elir.train.validation import Validation
from compress.errors import InputError
from compress.files import remove_unfinished
from compress.folders import Owner, check_folder, claimed, remove_training, source_of
from compress.progress import Progress
from compress.recipe.library import find, is_path
from compress.recipe.train import TrainModel, TrainRecipe, TrainStage
from compress.tensors import compact_dtype

if TYPE_CHECKING:
    import torch

    from compress.data.crops import TrainingPictures
    from compress.elir.model import Elir
    from compress.elir.train.processes import Processes

WIDTHS = ("hid_channels", "n_mid_blocks", "c_hid", "n_rrdb", "over_param")
FITTED = 24  # crops that a residual decoder starts from


def run_training(
    recipe: TrainRecipe, out: Path | None, *, fresh: bool, progress: Progress, source: str | None = None
) -> Path | None:
    """Train as the recipe says; returns the averaged model's file, ``<out>/<name>.safetensors`` (fp16).

    ``out`` (default ``runs/<name>``) also holds ``checkpoint.pt``, from which a run that was stopped goes on unless
    ``fresh``, and the logs of ``TrainingLog``; another run there is waited for. Of several processes (`accelerate
    launch`, `torchrun`) the first alone writes and talks; the others return None. ``source``: the recipe's name or
    path, which distinguishes another run's folder. Raises InputError (no pictures that
    can be used, impossible settings, a checkpoint of another recipe or one that cannot be written, divergence) or
    VerificationError (a damaged checkpoint).
    """
    from compress.elir.train.objective import check_stage
    from compress.elir.train.processes import Processes

    for i, stage in enumerate(recipe.stages):
        check_stage(stage, f"stages[{i}]")
    processes = Processes()
    with processes.one_voice():
        folder = out or Path("runs") / recipe.name
        named = source_of(source, folder) if source is not None and is_path(source) else source
        return _run(
            recipe,
            folder,
            Owner("training run", recipe.name, named),
            fresh=fresh,
            progress=progress,
            processes=processes,
        )


@contextmanager
def _alone(out: Path, owner: Owner, *, fresh: bool, progress: Progress, processes: "Processes") -> Iterator[None]:
    """Hold ``out``, without what killed runs left in it; the first of several processes does it for all."""
    if not processes.first:
        yield
        return
    with claimed(out, owner, progress.say, fresh=fresh):
        remove_unfinished(out)
        if fresh:
            remove_training(out)
        yield


def _run(
    recipe: TrainRecipe, out: Path, owner: Owner, *, fresh: bool, progress: Progress, processes: "Processes"
) -> Path | None:
    from compress.elir.train.loop import Training
    from compress.elir.train.state import recipe_hash

    progress = progress if processes.first else Progress("silent")
    check_folder(out, owner, fresh=fresh)
    recipe = with_weights_settings(recipe)
    model, teacher = build_model(recipe.model), build_teacher(recipe.model)
    validation = Validation(recipe)
    with progress.stage("read training pictures"):
        pictures = read_pictures(recipe, validation.hashes)
    for line in pictures.report:
        progress.say(line)
    if recipe.model.residual and not model.config.residual:
        with progress.stage("fit decoder"):
            fit_decoder(model, pictures, recipe)
    validation.refuse_training_pictures(pictures)
    with (
        _alone(out, owner, fresh=fresh, progress=progress, processes=processes),
        TrainingLog(out, recipe, progress, fresh=fresh and processes.first, grid=lambda: validation.grid) as log,
    ):
        training = Training(recipe, model, teacher, pictures.batch, out, log, validation, processes)
        for text in slow_stages(recipe, processes.device):
            log.say(text)
        processes.wait()
        result = training.run()
        if not processes.first:
            return None
        log.end(lambda: validation(result))
    return save(result, recipe, pictures.description, recipe_hash(recipe), out)


def slow_stages(recipe: TrainRecipe, device: "torch.device") -> list[str]:
    """One line for each stage whose ``bf16`` saves no time on ``device``."""
    from compress.elir.train.objective import slow_bf16

    return [
        f"stages[{i}].bf16: this {device.type} has no bfloat16 instructions and emulates them: the stage runs, but "
        "faster with bf16: false"
        for i, stage in enumerate(recipe.stages)
        if slow_bf16(stage, device)
    ]


# --- networks -------------------------------------------------------------------------------------------------


def with_weights_settings(recipe: TrainRecipe) -> TrainRecipe:
    """The recipe with widths, K and sigma_s of ``model.weights``, where it starts from weights.

    Raises InputError for a width that the recipe asks for and the weights do not have.
    """
    given = recipe.model
    if given.weights is None:
        return recipe
    start = load_start(given)
    for name in WIDTHS:
        has, asked = getattr(start.config, name), getattr(given, name)
        if name in given.model_fields_set and asked != has:
            raise InputError(f"model.{name} is {asked}, but {given.weights} has {has}: remove one of the two")
    if start.config.residual and "residual" in given.model_fields_set and not given.residual:
        raise InputError(f"model.residual is false, but {given.weights} is residual: remove one of the two")
    settings = {name: getattr(start.config, name) for name in WIDTHS}
    settings |= {"k_steps": start.k_steps, "sigma_s": start.sigma_s}
    settings |= {"residual": start.config.residual or given.residual}
    return recipe.model_copy(update={"model": given.model_copy(update=settings)})


def load_start(given: TrainModel) -> "Elir":
    """The checkpoint that training starts from; the recipe's K and sigma_s, where set, stand over the file's."""
    from compress.elir.checkpoint import load_checkpoint

    assert given.weights is not None
    k_steps = given.k_steps if "k_steps" in given.model_fields_set else None
    sigma_s = given.sigma_s if "sigma_s" in given.model_fields_set else None
    return load_checkpoint(find("weights", given.weights), k_steps, sigma_s)


def build_model(given: TrainModel) -> "Elir":
    """The model to train: the start's weights, or fresh networks, seeded, around the autoencoder."""
    import torch

    from compress.elir.checkpoint import load_autoencoder
    from compress.elir.model import ElirConfig
    from compress.elir.train.fresh import fresh_model

    if given.weights is not None:
        model = load_start(given)
    else:
        config = ElirConfig(**given.model_dump(include={*WIDTHS, "k_steps", "sigma_s"}))
        model = fresh_model(config, load_autoencoder(find("weights", given.autoencoder)), given.seed)
    return model.to(memory_format=torch.channels_last)


def fit_decoder(model: "Elir", pictures: "TrainingPictures", recipe: TrainRecipe) -> None:
    """Make ``model`` residual: its decoder starts from what training crops lack, on its own latents of these."""
    import torch

    from compress.elir.latent import noise_shape
    from compress.elir.residual import make_residual

    generator = torch.Generator().manual_seed(recipe.model.seed)

    def examples() -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
        for degraded, clean in zip(*pictures.batch(0, FITTED, recipe.stages[0].crop), strict=True):
            lq = degraded[None].contiguous(memory_format=torch.channels_last)
            noise = torch.randn(noise_shape(*lq.shape[2:]), generator=generator)
            yield model.flow(model.enc(lq), noise), clean[None] - lq

    with torch.no_grad():
        make_residual(model, examples())


def build_teacher(given: TrainModel) -> "Elir":
    """The frozen autoencoder."""
    import torch

    from compress.elir.checkpoint import load_autoencoder
    from compress.elir.train.fresh import teacher_model

    return teacher_model(load_autoencoder(find("weights", given.autoencoder))).to(memory_format=torch.channels_last)


# --- pictures -------------------------------------------------------------------------------------------------


def read_pictures(recipe: TrainRecipe, held_back: Container[str]) -> "TrainingPictures":
    """Every clean picture that holds the largest crop of any stage, as `open_pictures` takes them."""
    from compress.data.crops import open_pictures
    from compress.elir.train.loop import STAGE_STRIDE

    largest = max(stage.crop for stage in recipe.stages)
    instead = "give another with --set data.train=[FOLDER]"
    task, seed = recipe.model.task, recipe.model.seed
    return open_pictures(recipe.data.train, task, seed, largest, STAGE_STRIDE, held_back, instead)


# --- the result -----------------------------------------------------------------------------------------------


def save(model: "Elir", recipe: TrainRecipe, pictures: str, recipe_hash: str, out: Path) -> Path:
    """Write the averaged model, collapsed, in fp16, with what the model card tells."""
    from compress.elir.checkpoint import save_checkpoint
    from compress.elir.overparam import collapse
    from compress.elir.state import read_state

    collapse(model)
    path = out / f"{recipe.name}.safetensors"
    stages = "; ".join(describe_stage(stage) for stage in recipe.stages)
    start = load_start(recipe.model).metadata if recipe.model.weights else {}
    before = start.get("training", recipe.model.weights)
    autoencoder = find("weights", recipe.model.autoencoder)
    licence = start.get("licence") or read_state(autoencoder)[1].get("licence")
    metadata = {
        "task": recipe.model.task,
        "recipe": recipe.name,
        "recipe_hash": recipe_hash,
        "data": pictures,
        "steps": str(sum(stage.steps for stage in recipe.stages)),
        "training": f"{before}; then {stages}" if before else stages,
        "ema": str(recipe.ema),
        "seed": str(recipe.model.seed),
        "autoencoder": autoencoder.stem,
        **({"licence": licence} if licence else {}),
    }
    save_checkpoint(model, path, metadata, compact_dtype(model.state_dict()))
    return path


def describe_stage(stage: TrainStage) -> str:
    """One stage in words: what learnt, for how long, on what, by which losses."""
    losses = " + ".join(f"{value:g} {name}" for name, value in stage.weights.model_dump().items() if value)
    on = f"{stage.cached_crops} cached latent crops of" if stage.space == "latents" else "pixel crops of"
    precision = ", bf16" if stage.bf16 else ""
    return (
        f"{stage.steps} steps of {stage.batch} on {on} {stage.crop} px, {', '.join(stage.modules)} learning, "
        f"{losses}, lr {stage.lr:g}{precision}"
    )
