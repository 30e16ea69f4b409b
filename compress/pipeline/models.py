"""The models of a run, made only when an unfinished stage asks for them."""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import Artifact
from compress.errors import InputError
from compress.files import whole_file
from compress.folders import remove_training
from compress.pipeline.cache import FOLDER, Stages
from compress.pipeline.context import RunContext
from compress.pipeline.inputs import prefix_key, student_facts
from compress.recipe.image_size import Shape
from compress.recipe.pass_item import PassItem
from compress.recipe.schema import QUANTIZED
from compress.surroundings import fresh_start

if TYPE_CHECKING:
    import numpy as np
    import torch

    from compress.elir.model import Elir
    from compress.passes.base import Subject
    from compress.passes.quantize.engines import QuantizedModel

DISTILL_FILES = ("run.json", "log.jsonl", "student.safetensors")  # beside those of any training


class Models:
    """``subject``: the float model after every pass but the quantizing ones; ``reference``: the model as it was loaded,
    where a pass changed it; ``quantized``: what ptq leaves. Each is made once.
    """

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self._begun: list[PassItem] = []

    @cached_property
    def subject(self) -> "Subject":
        """The float model after every pass that leaves it one."""
        from compress.elir.checkpoint import load_checkpoint
        from compress.passes.base import Subject

        context, m = self.context, self.context.recipe.model
        with context.progress.stage("load the model"):
            model = load_checkpoint(context.inputs.weights, m.k_steps, m.sigma_s)
            context.progress.remark(model.taken)
        subject = Subject(
            model,
            lambda: self.pairs(context.inputs.calibration),
            len(context.inputs.calibration),
            m.shape,
            tuple(dict.fromkeys(a.format for a in context.planned if a.precision in QUANTIZED)),
            float_graph=lambda format: context.writer.float_graph(subject.model, format),
            keep=partial(self._keep, context.floats),
            accelerator=executorch.accelerator or "" if (executorch := context.recipe.export.executorch) else "",
            htp=context.recipe.export.onnx is not None and context.recipe.export.onnx.htp,
            task=m.task,
            folder=self._training_folder,
            held_back={h: s.origin for v in context.inputs.validation for s in v.seen for h in s.hashes},
            made_by=student_facts(context.recipe, context.inputs.weights),
        )
        for item in context.recipe.float_passes:
            self._run_item(item, subject)
        return subject

    @cached_property
    def reference(self) -> "Elir":
        """The model as it was loaded, ready for export; ``subject.model`` itself where no pass changed it."""
        from compress.elir.flow import FoldedFlow

        model = self.subject.reference
        if model is None:
            return self.subject.model
        if not isinstance(model.fmir, FoldedFlow):
            model.fmir = FoldedFlow(model.fmir, model.k_steps)
        return model.requires_grad_(False)

    def float_model(self, artifact: Artifact) -> "Elir":
        """What an fp32 or fp16 artifact holds: fp32 is the reference that goals are against."""
        return self.reference if artifact.precision == "fp32" else self.subject.model

    @cached_property
    def quantized(self) -> "QuantizedModel":
        """What the quantizing pass leaves."""
        subject = self.subject
        subject.keep, subject.underway = self.keep, self._underway
        recipe = self.context.recipe
        for item in recipe.passes[len(recipe.float_passes) :]:
            self._run_item(item, subject)
        return subject.quantized

    def keep(self, name: str, make: "Callable[[], dict[str, torch.Tensor]]") -> "dict[str, torch.Tensor]":
        """Tensors of quantization that the run remembers."""
        return self._keep(self.context.stages, name, make)

    def _keep(
        self, stages: Stages, name: str, make: "Callable[[], dict[str, torch.Tensor]]"
    ) -> "dict[str, torch.Tensor]":
        """Remembered as safetensors, since a bundle's folder may come from a stranger."""
        from safetensors import SafetensorError
        from safetensors.torch import save as as_bytes

        from compress.tensors import read_tensors

        file = f"{FOLDER}/{name}.safetensors"
        path, key = stages.folder / file, f"{prefix_key(self.context.inputs.key, self._begun)}-{name}"
        shared = self.context.shared

        def work() -> None:
            if shared is not None and shared.fetch(key, path):
                return
            made = make()
            with whole_file(path) as part:
                # Written by safetensors itself, a full disk would not be an OSError.
                part.write_bytes(as_bytes({key: value.contiguous() for key, value in made.items()}))
            if shared is not None:
                shared.leave(key, path)

        stages.run(name, work, files=(file,))
        try:
            return read_tensors(path)[0]
        except SafetensorError as error:  # a stranger's, who knew the key
            raise InputError(f"{path}: damaged ({error}): start again ({fresh_start()})") from None

    def _underway(self, name: str) -> Path:
        """A file that no other recipe's run takes for its own, and that the next success removes."""
        key = prefix_key(self.context.inputs.key, self._begun)
        path = self.context.folder / FOLDER / f".part-{name}-{key[:16]}"
        if not self.context.resume:
            path.unlink(missing_ok=True)
        return path

    def _run_item(self, item: PassItem, subject: "Subject") -> None:
        from compress.passes import load_pass

        self._begun.append(item)
        with self.context.progress.stage(item.name) as stage:
            if self.context.inputs.student is not None and (item.prune or item.distill):
                self._take_student(item, subject)
                return
            subject.advance = lambda what, done, total: stage.note(f"{what} {done} of {total}")
            load_pass(item).run(subject)

    def _take_student(self, item: PassItem, subject: "Subject") -> None:
        """Put the finished student in place of prune and distill."""
        from compress.elir.checkpoint import load_checkpoint

        student = self.context.inputs.student
        assert student is not None
        subject.keep_reference()
        if item.distill:
            subject.model = load_checkpoint(student)
            subject.notes.append(f"prune, distill: the finished student {student.name}")

    @property
    def _training_folder(self) -> Path:
        """Where a pass keeps what its training needs to go on; empty when the run begins afresh."""
        folder = self.context.folder / "distill"
        if not self.context.resume:
            remove_training(folder, DISTILL_FILES)
        return folder

    def pairs(self, pictures: Any, most: int | None = None) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
        """(lq, noise) of the first ``most`` pictures of a set: (1, 3, H, W) in [0, 1], (1, 16, H/8, W/8)."""
        import torch

        from compress.data.pictures import to_float

        for i, item in enumerate(pictures):
            if i == most:
                return
            noise = self._noise(item.degraded.shape[:2], i)
            yield torch.from_numpy(to_float([item.degraded])), torch.from_numpy(noise)

    def _noise(self, size: Shape, index: int) -> "np.ndarray":
        """What the artifacts restore picture number ``index`` with: (1, 16, H/8, W/8)."""
        from compress.elir.noise import picture_noise, picture_seed, seeded_noise
        from compress.elir.noise_torus import noise_torus, noise_window

        recipe = self.context.recipe
        seed = recipe.model.seed
        match recipe.export.noise:
            case "input":
                return picture_noise(size, seed, index)
            case "baked":
                return seeded_noise(*size, seed).numpy()
            case "seed":
                return noise_window(noise_torus(seed), int(picture_seed(seed, index)[0]), size)
