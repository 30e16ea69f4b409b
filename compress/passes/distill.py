"""distill: a student of fewer steps, fewer channels and a coarser entry learns from the model as it was loaded."""

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor

from compress.elir.checkpoint import save_checkpoint
from compress.elir.model import Elir, ElirConfig
from compress.elir.train.distillation import DistillTraining, check_distill_stage
from compress.elir.train.loop import STAGE_STRIDE
from compress.elir.train.objective import slow_bf16
from compress.elir.train.record import Record
from compress.errors import InputError
from compress.files import append_line, write_text
from compress.passes.base import Pass, Subject
from compress.passes.prune import refuse_folded
from compress.passes.shrink.sparsity import hold_zeros
from compress.passes.shrink.student import coarse_encoder, residual_decoder
from compress.recipe.student import DistillSettings
from compress.recipe.task import Task, task_scale
from compress.recipe.train import DistillRun, DistillSeed, DistillStage
from compress.tensors import compact_dtype

STUDENT = "student.safetensors"  # the finished student, below the subject's folder
INSTEAD = "give another (--set passes.N.distill.data=[FOLDER]), or take the recipe's finished student (--reuse)"
TRAINED = ("recipe", "recipe_hash", "steps", "ema", "seed", "student_key")  # of a checkpoint's metadata


class Distill(Pass):
    """Train the student, which is the model after the passes before, to do what the reference does."""

    name = "distill"
    settings: DistillSettings

    def requires(self, subject: Subject) -> None:
        super().requires(subject)
        refuse_folded(self.name, subject)
        if subject.model.config.over_param:
            raise InputError("passes: distill needs the collapsed form: put collapse before it")
        self.check(subject.model, subject.task)

    def check(self, model: Elir, task: Task) -> None:
        s = self.settings
        for i, stage in enumerate(s.stages):
            check_distill_stage(stage, f"passes.distill.stages[{i}]")
        if s.encoder_scale > 1:
            _check_entry(s, model.config, task)
        elif s.encoder_blocks is not None:
            raise InputError(
                "passes.distill.encoder_blocks: has no effect without encoder_scale: set it, or remove both"
            )

    def call(self, subject: Subject) -> None:
        subject.keep_reference()
        assert subject.reference is not None
        student = self._start(subject)
        self._refuse_twins(subject)
        # A copy: training changes the layout of its weights in memory, and a run that takes the kept ones would not.
        kept = subject.keep("student", lambda: self._train(copy.deepcopy(student), subject))
        student.load_state_dict(kept)
        subject.model = student.eval().requires_grad_(False)
        steps = sum(stage.steps for stage in self.settings.stages)
        entry = f", encoder on a grid {student.config.enc_scale} times coarser" if student.config.enc_scale > 1 else ""
        subject.notes.append(
            f"distill: K {subject.reference.k_steps} to {student.k_steps}{entry}, {steps} training steps"
        )

    def _refuse_twins(self, subject: Subject) -> None:
        """Raise InputError where a training picture is validated on; of a student that was trained before, too, as far
        as its folders are still there.
        """
        from compress.data.crops import open_pictures, refuse_twins

        folders = [source for source in self.settings.data if isinstance(source, str)]
        try:
            pictures = open_pictures(folders, subject.task, 0, 1, STAGE_STRIDE, subject.held_back, INSTEAD)
        except InputError:
            return  # training, if there is any, says it
        refuse_twins(pictures, subject.held_back)

    def _start(self, subject: Subject) -> Elir:
        def pairs() -> Iterator[tuple[Tensor, Tensor]]:
            return islice(subject.calibration(), self.settings.pictures)

        student = copy.deepcopy(subject.model)
        student.k_steps = self.settings.k_steps or student.k_steps
        student.config = replace(student.config, k_steps=student.k_steps)
        if self.settings.encoder_scale > 1:
            blocks = tuple(self.settings.encoder_blocks or student.config.enc_blocks[-_resolutions(self.settings) :])
            coarse_encoder(student, self.settings.encoder_scale, blocks, pairs)
        if self.settings.residual:
            assert subject.reference is not None
            residual_decoder(student, subject.reference, pairs)
        return student

    def _train(self, student: Elir, subject: Subject) -> dict[str, Tensor]:
        """The trained student's tensors, in the precision that its checkpoint has."""
        from compress.data.crops import open_pictures

        s, teacher = self.settings, copy.deepcopy(subject.reference)
        assert teacher is not None
        side = max(stage.crop for stage in s.stages)
        pictures = open_pictures(s.data, subject.task, s.seed, side, STAGE_STRIDE, subject.held_back, INSTEAD)
        run = self._run(student, teacher)
        subject.folder.mkdir(parents=True, exist_ok=True)
        write_text(subject.folder / "run.json", run.model_dump_json(indent=1))
        student, teacher = (m.to(memory_format=torch.channels_last) for m in (student, teacher))
        if subject.sparse:
            hold_zeros(student)
        log = _Log(subject, run.stages)
        trained = DistillTraining(run, student, teacher, pictures.batch, subject.folder, log).run()
        state = trained.state_dict()
        dtype, metadata = compact_dtype(state), self._metadata(subject, teacher, run, pictures.description)
        save_checkpoint(trained, subject.folder / STUDENT, metadata, dtype)
        return {name: value.to(dtype).float().contiguous() for name, value in state.items()}

    def _metadata(self, subject: Subject, teacher: Elir, run: DistillRun, data: str) -> dict[str, str]:
        """The teacher's metadata, without what describes its own training."""
        inherited = {name: value for name, value in teacher.metadata.items() if name not in TRAINED}
        numbers = {"steps": str(sum(stage.steps for stage in run.stages)), "seed": str(self.settings.seed)}
        own = {"task": subject.task, "data": data, "training": describe(run.stages), **numbers, **subject.made_by}
        return inherited | own

    def _run(self, student: Elir, teacher: Elir) -> DistillRun:
        s = self.settings
        device = next(student.parameters()).device
        # bf16 is for devices that have it: emulated, it would be many times slower than float32.
        stages = [stage.model_copy(update={"bf16": stage.bf16 and not slow_bf16(stage, device)}) for stage in s.stages]
        start = hashlib.sha256()
        for model in (student, teacher):
            for value in model.state_dict().values():
                start.update(value.float().contiguous().numpy().tobytes())
        return DistillRun(
            model=DistillSeed(seed=s.seed),
            data=s.data,
            stages=stages,
            ema=s.ema,
            checkpoint_minutes=s.checkpoint_minutes,
            start=start.hexdigest(),
        )


class _Log:
    """A training's records, into the run's progress and ``log.jsonl``."""

    def __init__(self, subject: Subject, stages: list[DistillStage]) -> None:
        self.subject, self.count = subject, len(stages)
        self.path = subject.folder / "log.jsonl"

    def __call__(self, record: Record) -> None:
        append_line(self.path, json.dumps(record))
        terms = [v for k, v in record.items() if k not in ("stage", "step", "of", "encoded", "resumed", "validation")]
        stage = f"stage {record['stage'] + 1} of {self.count}"
        if "encoded" in record:
            self.subject.advance(f"{stage}, crops seen by the teacher", record["encoded"], record["of"])
        elif terms:
            self.subject.advance(f"{stage}, loss {sum(terms):.4f}, step", record["step"], record["of"])


def describe(stages: list[DistillStage]) -> str:
    """The stages in words, for the student's card."""
    return "; ".join(
        f"{s.steps} steps of {s.batch} on crops of {s.crop} px, each network on the {s.inputs}'s inputs, "
        + " + ".join(f"{value:g} {name}" for name, value in s.weights.model_dump().items() if value)
        + f", lr {s.lr:g}"
        for s in stages
    )


def _resolutions(settings: DistillSettings) -> int:
    return 4 - {1: 0, 2: 1, 4: 2, 8: 3}[settings.encoder_scale]


def _check_entry(settings: DistillSettings, config: ElirConfig, task: Task) -> None:
    """Raise InputError for an entry that the task or the encoder does not have."""
    scale = settings.encoder_scale
    if scale > task_scale(task):
        raise InputError(
            f"passes.distill.encoder_scale: {scale}, but {task} enlarges {task_scale(task)} times: a grid that coarse "
            "would lose pixels: lower it"
        )
    if config.enc_scale != 1:
        raise InputError("passes.distill.encoder_scale: the model's encoder has a coarse entry already: leave it out")
    blocks, left = settings.encoder_blocks, config.enc_blocks[-_resolutions(settings) :]
    if blocks is None:
        return
    if len(blocks) != len(left) or any(not 0 < new <= old for new, old in zip(blocks, left, strict=True)):
        raise InputError(f"passes.distill.encoder_blocks: {blocks}: give {len(left)} numbers of at most {list(left)}")
