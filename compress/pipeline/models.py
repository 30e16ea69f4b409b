"""The models of a run, made only when an unfinished stage asks for them."""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from compress.artifacts.artifact import Artifact
from compress.artifacts.writer import Writer
from compress.files import whole_file
from compress.folders import remove_training
from compress.pipeline.cache import FOLDER, Stages
from compress.pipeline.inputs import Inputs, prefix_key
from compress.progress import Progress
from compress.recipe.pass_item import PassItem
from compress.recipe.schema import QUANTIZED, Recipe

if TYPE_CHECKING:
    import torch

    from compress.elir.model import Elir
    from compress.passes.base import Subject
    from compress.passes.quantize.engines import QuantizedModel

DISTILL_FILES = ("run.json", "log.jsonl", "student.safetensors")  # beside those of any training


class PassStore(Protocol):
    """Where runs leave for each other what a pass took long to make. ``key`` names all that it depends on."""

    def fetch(self, key: str, path: Path) -> bool:
        """Put the file of ``key`` at ``path``; False where nobody left it."""
        ...

    def leave(self, key: str, path: Path) -> None:
        """Leave the file at ``path`` under ``key``."""
        ...


class Models:
    """``subject``: the float model after every pass but the quantizing ones; ``reference``: the model as it was loaded,
    where a pass changed it; ``quantized``: what ptq leaves. Each is made once.
    """

    def __init__(
        self,
        recipe: Recipe,
        inputs: Inputs,
        planned: list[Artifact],
        writer: Writer,
        stages: Stages,
        progress: Progress,
        shared: PassStore | None = None,
    ) -> None:
        self.stages, self.shared = stages, shared
        self.floats = Stages(stages.folder, inputs.float_key, stages.resume)
        self._begun: list[PassItem] = []
        self.recipe, self.inputs, self.planned = recipe, inputs, planned
        self.writer, self.progress = writer, progress

    @cached_property
    def subject(self) -> "Subject":
        """The float model after every pass that leaves it one."""
        from compress.elir.checkpoint import load_checkpoint
        from compress.passes.base import Subject

        m = self.recipe.model
        with self.progress.stage("load the model"):
            model = load_checkpoint(self.inputs.weights, m.k_steps, m.sigma_s)
            self.progress.remark(model.taken)
        subject = Subject(
            model,
            lambda: self.pairs(self.inputs.calibration),
            len(self.inputs.calibration),
            m.image_size,
            tuple(dict.fromkeys(a.format for a in self.planned if a.precision in QUANTIZED)),
            float_graph=lambda format: self.writer.float_graph(subject.model, format),
            keep=partial(self._keep, self.floats),
            task=m.task,
            folder=self._training_folder,
            held_back={h: s.origin for v in self.inputs.validation for s in v.seen for h in s.hashes},
        )
        for item in self.recipe.float_passes:
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
        for item in self.recipe.passes[len(self.recipe.float_passes) :]:
            self._run_item(item, subject)
        return subject.quantized

    def keep(self, name: str, make: "Callable[[], dict[str, torch.Tensor]]") -> "dict[str, torch.Tensor]":
        """Tensors of quantization that the run remembers."""
        return self._keep(self.stages, name, make)

    def _keep(
        self, stages: Stages, name: str, make: "Callable[[], dict[str, torch.Tensor]]"
    ) -> "dict[str, torch.Tensor]":
        """Remembered as safetensors, since a bundle's folder may come from a stranger."""
        from safetensors.torch import save as as_bytes

        from compress.tensors import read_tensors

        file = f"{FOLDER}/{name}.safetensors"
        path, key = stages.folder / file, f"{prefix_key(self.inputs.key, self._begun)}-{name}"

        def work() -> None:
            if self.shared is not None and self.shared.fetch(key, path):
                return
            made = make()
            with whole_file(path) as part:
                # Written by safetensors itself, a full disk would not be an OSError.
                part.write_bytes(as_bytes({key: value.contiguous() for key, value in made.items()}))
            if self.shared is not None:
                self.shared.leave(key, path)

        stages.run(name, work, files=(file,))
        return read_tensors(path)[0]

    def _underway(self, name: str) -> Path:
        """A file that no other recipe's run takes for its own, and that the next success removes."""
        path = self.stages.folder / FOLDER / f".part-{name}-{prefix_key(self.inputs.key, self._begun)[:16]}"
        if not self.stages.resume:
            path.unlink(missing_ok=True)
        return path

    def _run_item(self, item: PassItem, subject: "Subject") -> None:
        from compress.passes import load_pass

        self._begun.append(item)
        with self.progress.stage(item.name) as stage:
            if self.inputs.student is not None and (item.prune or item.distill):
                self._take_student(item, subject)
                return
            subject.advance = lambda what, done, total: stage.note(f"{what} {done} of {total}")
            load_pass(item.name, item.settings).run(subject)

    def _take_student(self, item: PassItem, subject: "Subject") -> None:
        """Put the finished student in place of prune and distill."""
        from compress.elir.checkpoint import load_checkpoint

        assert self.inputs.student is not None
        subject.keep_reference()
        if item.distill:
            subject.model = load_checkpoint(self.inputs.student)
            subject.notes.append(f"prune, distill: the finished student {self.inputs.student.name}")

    @property
    def _training_folder(self) -> Path:
        """Where a pass keeps what its training needs to go on; empty when the run begins afresh."""
        folder = self.stages.folder / "distill"
        if not self.stages.resume:
            remove_training(folder, DISTILL_FILES)
        return folder

    def pairs(self, pictures: Any, most: int | None = None) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
        """(lq, noise) of the first ``most`` pictures of a set: (1, 3, S, S) in [0, 1], (1, 16, S/8, S/8)."""
        import torch

        from compress.data.pictures import to_float
        from compress.elir.noise import picture_noise

        m = self.recipe.model
        for i, item in enumerate(pictures):
            if i == most:
                return
            yield torch.from_numpy(to_float([item.degraded])), picture_noise(m.image_size, m.seed, i)
