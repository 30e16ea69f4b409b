"""`compress train`: a training recipe -> networks, pictures, the run itself, and the checkpoint that it ends in."""

import json
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from compress.errors import InputError
from compress.library import find
from compress.progress import Progress, Stage
from compress.schema import task_border, task_degradation
from compress.training_schema import TrainModel, TrainRecipe, TrainStage

if TYPE_CHECKING:
    import torch

    from compress.data.sets import PictureSet
    from compress.data.training import TrainingPictures
    from compress.elir.model import Elir
    from compress.elir.processes import Processes

LOG_EVERY = 50  # steps that one line of metrics.jsonl averages
NOISE_SEED = 1  # of the validation's noise: the same for every validation of every run
LICENCE = "autoencoder part fine-tuned from TAEF2, MIT, Copyright (c) 2023 Ollin Boer Bohan"
WIDTHS = ("hid_channels", "n_mid_blocks", "c_hid", "n_rrdb", "over_param")


def run_training(recipe: TrainRecipe, out: Path | None, fresh: bool, progress: Progress) -> Path | None:
    """Train as the recipe says; returns the averaged model's file, ``<out>/<name>.safetensors`` (fp16).

    ``out`` (default ``runs/<name>``) also holds ``checkpoint.pt``, from which a run that was stopped goes on unless
    ``fresh``, and ``metrics.jsonl``. Of several processes (`accelerate launch`, `torchrun`) the first alone writes and
    talks; the others return None. Raises InputError (missing or unreadable pictures, impossible settings, a checkpoint
    of another recipe or one that cannot be written, divergence) or VerificationError (a damaged checkpoint).
    """
    from compress.elir.objective import check_stage
    from compress.elir.processes import Processes

    for i, stage in enumerate(recipe.stages):
        check_stage(stage, f"stages[{i}]")
    processes = Processes()
    with processes.one_voice():
        return _run(recipe, out or Path("runs") / recipe.name, fresh, progress, processes)


def _run(recipe: TrainRecipe, out: Path, fresh: bool, progress: Progress, processes: "Processes") -> Path | None:
    from compress.elir.train import Training
    from compress.elir.training_state import recipe_hash

    progress = progress if processes.first else Progress("silent")
    recipe = with_weights_settings(recipe)
    model, teacher = build_model(recipe.model), build_teacher(recipe.model)
    with progress.stage("read training pictures"):
        pictures = read_pictures(recipe)
    validation = Validation(recipe)
    validation.refuse_training_pictures(pictures)
    with TrainingLog(out / "metrics.jsonl", recipe, progress, fresh and processes.first) as log:
        training = Training(recipe, model, teacher, pictures.batch, out, log, validation, processes)
        for text in slow_stages(recipe, processes.device):
            log.say(text)
        if fresh and processes.first:
            training.checkpoint.unlink(missing_ok=True)
        processes.wait()
        result = training.run()
    if not processes.first:
        return None
    log.say(f"end: {in_words(validation(result))}")
    return save(result, recipe, pictures.description, recipe_hash(recipe), out)


def slow_stages(recipe: TrainRecipe, device: "torch.device") -> list[str]:
    """One line for each stage whose ``bf16`` saves no time on ``device``."""
    from compress.elir.objective import slow_bf16

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
            raise InputError(f"model.{name} is {asked}, but {given.weights} has {has}: leave it out, or start fresh")
    settings = {name: getattr(start.config, name) for name in WIDTHS}
    settings |= {"k_steps": start.k_steps, "sigma_s": start.sigma_s}
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
    from compress.elir.fresh import fresh_model
    from compress.elir.model import ElirConfig

    if given.weights is not None:
        model = load_start(given)
    else:
        config = ElirConfig(**given.model_dump(include={*WIDTHS, "k_steps", "sigma_s"}))
        model = fresh_model(config, load_autoencoder(find("weights", given.autoencoder)), given.seed)
    return model.to(memory_format=torch.channels_last)


def build_teacher(given: TrainModel) -> "Elir":
    """The frozen autoencoder."""
    import torch

    from compress.elir.checkpoint import load_autoencoder
    from compress.elir.fresh import teacher_model

    return teacher_model(load_autoencoder(find("weights", given.autoencoder))).to(memory_format=torch.channels_last)


# --- pictures -------------------------------------------------------------------------------------------------


def read_pictures(recipe: TrainRecipe) -> "TrainingPictures":
    """Every clean picture that holds the largest crop of any stage."""
    from compress.data.training import TrainingPictures

    folders = [Path(name).expanduser() for name in recipe.data.train]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder of training pictures: fill it as docs/training.md says, "
                "or give another with --set data.train=[FOLDER]"
            )
    largest = max(stage.crop for stage in recipe.stages)
    return TrainingPictures(folders, task_degradation(recipe.model.task), recipe.model.seed, largest)


class Validation:
    """Quality of a model on the recipe's validation set, beside its input's."""

    def __init__(self, recipe: TrainRecipe) -> None:
        from compress.data.sets import load_set

        self.task = recipe.model.task
        self.pictures: PictureSet = load_set(recipe.data.validation, recipe.model.task)
        self._input: dict[str, float] | None = None

    def refuse_training_pictures(self, training: "TrainingPictures") -> None:
        """Raise InputError when a training picture, or its crop, is one of the validation's."""
        from compress.data.sets import pixels_sha256

        known = {value: seen.origin for seen in self.pictures.seen for value in (seen.sha256, seen.crop_sha256)}
        for path, picture in zip(training.paths, training.pictures, strict=True):
            if twin := known.get(pixels_sha256(picture)):
                raise InputError(
                    f"training and validation share a picture: {path} and {twin} hold the same pixels: "
                    "take it out of one of them"
                )

    def __call__(self, model: "Elir") -> dict[str, float]:
        """``psnr_db``, ``lpips``, ``color_shift`` and the same as ``input_*``."""
        items = list(self.pictures)
        outputs = [self._restore(model, item.degraded) for item in items]
        clean = [item.clean for item in items]
        if self._input is None:
            degraded = self._score([item.degraded for item in items], clean)
            self._input = {f"input_{name}": value for name, value in degraded.items()}
        return self._score(outputs, clean) | self._input

    def _restore(self, model: "Elir", degraded: Any) -> Any:
        import torch

        from compress.data.pictures import to_float, to_uint8
        from compress.elir.model import noise_shape

        device = next(model.parameters()).device
        noise = torch.randn(noise_shape(*degraded.shape[:2]), generator=torch.Generator().manual_seed(NOISE_SEED))
        with torch.inference_mode():
            output = model(torch.from_numpy(to_float([degraded])).to(device), noise.to(device))
        return to_uint8(output[0].cpu().numpy())

    def _score(self, outputs: list[Any], clean: list[Any]) -> dict[str, float]:
        from compress.measure.quality import score

        result = score(outputs, clean, task_border(self.task))
        return {name: round(getattr(result, name), 4) for name in ("psnr_db", "lpips", "color_shift")}


def in_words(scores: dict[str, float]) -> str:
    """One line of a validation's figures, the input's in brackets."""
    shown = {"psnr_db": "PSNR {:.2f} dB", "lpips": "LPIPS {:.4f}", "color_shift": "colour shift {:.2f}/255"}
    return ", ".join(
        f"{text.format(scores[name])} (input {scores[f'input_{name}']:.{4 if name == 'lpips' else 2}f})"
        for name, text in shown.items()
    )


# --- log ------------------------------------------------------------------------------------------------------


class TrainingLog:
    """What ``Training`` tells -> progress, and a line of ``metrics.jsonl`` every LOG_EVERY steps or validation."""

    def __init__(self, path: Path, recipe: TrainRecipe, progress: Progress, fresh: bool) -> None:
        self.path, self.recipe, self.progress = path, recipe, progress
        self._open = ExitStack()
        self._stages: dict[str, Stage] = {}
        self._terms: dict[str, list[float]] = defaultdict(list)
        self._since = time.monotonic()
        if fresh:
            path.unlink(missing_ok=True)

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *problem: Any) -> None:
        self._open.__exit__(*problem)

    def __call__(self, record: dict[str, Any]) -> None:
        if "validation" in record:
            self.say(f"step {record['step']}: {in_words(record['validation'])}")
            self._write(record)
        elif "resumed" in record:
            self.say(f"resumed at stage {record['stage'] + 1}, step {record['step']}")
            self._write(record)
        elif "encoded" in record:
            self._move(f"encode crops for stage {record['stage'] + 1}", record["of"], record["encoded"])
        else:
            self._step(record)

    def say(self, text: str) -> None:
        """One line for people."""
        self.progress.say(text)

    def _step(self, record: dict[str, Any]) -> None:
        terms = {name: value for name, value in record.items() if name not in ("stage", "step", "of")}
        for name, value in terms.items():
            self._terms[name].append(value)
        stage = self._move(self._name(record["stage"]), record["of"], record["step"])
        if record["step"] % LOG_EVERY and record["step"] != record["of"]:
            return
        means = {name: round(fmean(values), 6) for name, values in self._terms.items()}
        steps = len(next(iter(self._terms.values())))
        seconds = round((time.monotonic() - self._since) / steps, 3)
        self._terms.clear()
        self._since = time.monotonic()
        stage.note(", ".join(f"{name} {value:.4g}" for name, value in means.items()))
        self._write({"stage": record["stage"], "step": record["step"], **means, "seconds_a_step": seconds})

    def _name(self, index: int) -> str:
        return f"train stage {index + 1} of {len(self.recipe.stages)} ({self.recipe.stages[index].space})"

    def _move(self, name: str, total: int, done: int) -> Stage:
        if name not in self._stages:
            self._open.close()
            self._stages = {name: self._open.enter_context(self.progress.stage(name, total))}
            self._since = time.monotonic()
        stage = self._stages[name]
        if done > stage.done:
            stage.advance(done - stage.done)
        return stage

    def _write(self, record: dict[str, Any]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}): choose another folder") from None


# --- the result -----------------------------------------------------------------------------------------------


def save(model: "Elir", recipe: TrainRecipe, pictures: str, recipe_hash: str, out: Path) -> Path:
    """Write the averaged model, collapsed, in fp16, with what the model card tells."""
    from compress.elir.checkpoint import save_checkpoint
    from compress.elir.overparam import collapse

    collapse(model)
    path = out / f"{recipe.name}.safetensors"
    stages = "; ".join(describe_stage(stage) for stage in recipe.stages)
    before = load_start(recipe.model).metadata.get("training", recipe.model.weights) if recipe.model.weights else None
    metadata = {
        "task": recipe.model.task,
        "recipe": recipe.name,
        "recipe_hash": recipe_hash,
        "data": pictures,
        "steps": str(sum(stage.steps for stage in recipe.stages)),
        "training": f"{before}; then {stages}" if before else stages,
        "ema": str(recipe.ema),
        "seed": str(recipe.model.seed),
        "licence": LICENCE,
    }
    save_checkpoint(model, path, metadata)
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
