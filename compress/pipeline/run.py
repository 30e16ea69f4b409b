"""One run of a recipe: export -> parity -> quality -> speed -> bundle; each stage is remembered."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compress.artifacts.artifact import FORMATS, Artifact
from compress.artifacts.inspect.external_data import copy_whole
from compress.data.sets import PictureSet
from compress.files import temporary_folder
from compress.ledger.record import new_run, now
from compress.measure.machine import machine_facts, physical_cores
from compress.pipeline.cache import Stages
from compress.pipeline.context import RunContext
from compress.pipeline.goals import check_goals
from compress.pipeline.models import Models
from compress.pipeline.parity import PICTURES, ParityCheck, check_parity
from compress.pipeline.quality import (
    ArtifactOutputs,
    format_quality,
    input_baseline,
    sample_files,
    sample_places,
    write_samples,
)
from compress.pipeline.shapes import ShapeGroup, shape_groups
from compress.pipeline.write_bundle import write_bundle
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.schema import QUANTIZED
from compress.results.artifact import ArtifactEntry, WeightShare
from compress.results.document import Results, StageSeconds
from compress.results.performance import Performance
from compress.results.quality import Baseline, Quality
from compress.results.sample import Sample
from compress.targets.bench import bench_target, missing_tool, runs, sample_pictures, unavailable
from compress.targets.entries import Bench

if TYPE_CHECKING:
    import numpy as np


class Run:
    """One run of a recipe. The models are made only when an unfinished stage asks for them."""

    def __init__(self, context: RunContext, targets: Sequence[DeployTarget]) -> None:
        self.context, self.targets = context, targets
        self.recipe, self.folder, self.inputs = context.recipe, context.folder, context.inputs
        self.planned, self.progress, self.seed = context.planned, context.progress, context.recipe.model.seed
        self.models = Models(context)
        self.groups = shape_groups(self.planned, self.inputs)
        self.measured = [group for group in self.groups if group.sets]
        places = (sample_places(group.sets[0]) for group in self.measured)
        kept = {*range(PICTURES), *itertools.chain.from_iterable(places)}
        self.outputs = ArtifactOutputs(self.folder, self.seed, kept)
        self.timed = len(context.progress.times)
        self.started = time.monotonic()

    def run(self) -> Results:
        """Every stage, then the bundle's files, ``manifest.json`` last."""
        try:
            self._export()
            # What is written is judged while ExecuTorch still lowers; speed is measured when all is quiet.
            formats = sorted({a.format for a in self.planned}, key=FORMATS.index)
            quality = [entry for format in formats for entry in self._quality(format)]
        finally:
            self.context.writer.close()
        sets = self.inputs.validation
        parity = self.context.stages.run_as(
            ParityCheck,
            "parity",
            self._parity,
            [group.sets[0].hash for group in self.measured],
            lambda check: check.simulated.values(),
        )
        baselines = self.context.floats.run_as(
            list[Baseline], "baselines", lambda: input_baseline(sets, self.recipe), self.inputs.data_hashes
        )
        shares = self._shares()
        samples = {group.text: self._samples(group, parity.simulated) for group in self.measured}
        performance = [
            entry
            for target in self.targets
            for group in self.measured
            for entry in self._performance(target, group, samples[group.text])
        ]
        results = Results(
            schema_version=1,
            name=self.recipe.name,
            task=self.recipe.model.task,
            created=now(),
            run=new_run(),
            versions=self.inputs.versions,
            machine=machine_facts(),
            notes=[
                *parity.notes,
                *(s.truth_note for s in sets if s.truth_note),
                *(n for g in self.groups for n in g.notes),
            ],
            artifacts=self._artifacts(),
            quality=quality,
            baselines=baselines,
            performance=performance,
            parity=parity.parity,
            stages=parity.stages,
            layers=parity.layers,
            shares=shares,
            samples=[*itertools.chain.from_iterable(samples.values())],
            seconds=round(time.monotonic() - self.started, 1),
            seconds_by_stage=self._seconds_by_stage(),
        )
        results.goals = check_goals(self.recipe.goals, results)
        results.goals_met = all(g.met for g in results.goals) and all(p.met is not False for p in results.parity)
        write_bundle(self.context, results)
        return results

    def _kept(self, artifact: Artifact) -> Stages:
        """Where an artifact is remembered: a float one is not written again when only quantization changes."""
        return self.context.stages if artifact.precision == "int8" else self.context.floats

    def _export(self) -> None:
        """Write every artifact; ExecuTorch's are submitted to a process of their own, and awaited later."""
        written = [a for a in self.planned if a.format == "executorch" or a.shape is None]
        todo = [a for a in written if not self._kept(a).done(f"export-{a.id}")]
        for artifact in todo:
            if artifact.format == "executorch" and artifact.precision not in QUANTIZED:
                self.context.writer.lower(self.models.float_model(artifact), artifact)
        # Its int8 file before the others': it takes as long as all of them.
        for artifact in sorted(written, key=lambda a: (a.precision in QUANTIZED, a.format != "executorch")):
            if artifact in todo and artifact.precision in QUANTIZED:
                # Outside the stage below: a calibration is not part of writing one file.
                _ = self.models.quantized
            elif artifact in todo and artifact.format != "executorch":
                # Nor is loading the model and its float passes, or tracing it, which serves several files.
                self._trace(artifact)
            if artifact.format != "executorch":
                together = [a for a in self.planned if a.first == artifact]
                files = dict.fromkeys(file for a in together for file in a.files)
                work = partial(self._write_together, together)
                self._kept(artifact).run(f"export-{artifact.id}", work, files=[*files])
            elif artifact in todo and artifact.precision == "int8":
                # For its place among the stages: some engines' graphs are lowered here, in minutes.
                self._write(artifact)

    def _trace(self, artifact: Artifact) -> None:
        model, writer = self.models.float_model(artifact), self.context.writer
        for stage in artifact.graphs:
            if not writer.traced(model, stage):
                with self.progress.stage("trace the float model"):
                    writer.float_graph(model, "onnx", stage=stage)

    def _lowered(self, artifact: Artifact) -> None:
        with self.progress.stage(f"wait for {artifact.id}"):
            self.context.writer.lowered(artifact)

    def _write_together(self, artifacts: list[Artifact]) -> None:
        """Write artifacts that differ in shape alone, and put their weights into one file."""
        for artifact in artifacts:
            self._write(artifact)
        if len(artifacts) > 1:
            from compress.artifacts.export.shared_weights import share_weights

            share_weights([self.folder / artifact.entry for artifact in artifacts], artifacts[0].format)

    def _write(self, artifact: Artifact) -> None:
        with self.progress.stage(f"write {artifact.id}"):
            if artifact.precision == "int8":
                self.context.writer.write_int8(self.models.quantized, artifact)
            elif artifact.precision == "weights":
                self.context.writer.write_weights(self.models.quantized, artifact)
            else:
                self.context.writer.write_float(self.models.float_model(artifact), artifact)

    def _parity(self) -> ParityCheck:
        # A run that goes on where it was stopped makes its models now, which is no part of the check.
        _ = self.models.quantized if any(not a.is_float for a in self.planned) else self.models.subject
        return check_parity(self.outputs, self.models, self.measured)

    def _quality(self, format: str) -> list[Quality]:
        if format == "executorch":
            for artifact in (a for a in self.planned if a.format == format):
                self._kept(artifact).run(
                    f"export-{artifact.id}", partial(self._lowered, artifact), files=artifact.files
                )
        return [
            entry
            for group in self.measured
            for pictures in group.sets
            for entry in self._judged(format, group, pictures)
        ]

    def _judged(self, format: str, group: ShapeGroup, pictures: PictureSet) -> list[Quality]:
        # What is kept is of the first set: the pictures of the others have the same numbers.
        first = pictures is group.sets[0]
        chosen = [a for a in group.runnable if a.format == format]
        if not chosen:
            return []

        def work() -> list[Quality]:
            outputs = self.outputs if first else ArtifactOutputs(self.folder, self.seed)
            return format_quality(outputs, chosen, pictures, self.recipe, self.progress)

        extra = [pictures.hash, self._hashes(chosen)]
        return self.context.stages.run_as(list[Quality], f"quality-{format}-{pictures.name}{group.suffix}", work, extra)

    def _hashes(self, artifacts: list[Artifact]) -> dict[str, str]:
        from compress.files import sha256_file

        return {f: sha256_file(self.folder / f) for a in artifacts for f in a.files}

    def _performance(self, target: DeployTarget, group: ShapeGroup, samples: list[Sample]) -> list[Performance]:
        ours = [a for a in group.artifacts if runs(target, a)]
        if why := missing_tool(target):
            return unavailable(target, ours, why)
        mode = self.recipe.measure
        macs = self._macs()[f"model{group.suffix}"] if target.runtime == "executorch" else None

        def work() -> list[Performance]:
            seeded = self.recipe.export.noise == "seed"
            pictures = sample_pictures(self._picture, samples, self.seed, seeded=seeded)
            with self._paths(ours) as paths:
                return bench_target(Bench(paths, target, pictures, mode, self.progress, self.seed), macs)

        # The samples, whose accuracy some targets tell, are of the first set.
        extra = [target.measurement_key(), mode, self._hashes(ours), *(pictures.hash for pictures in group.sets[:1])]
        return self.context.stages.run_as(list[Performance], f"speed-{target.name}{group.suffix}", work, extra)

    @contextmanager
    def _paths(self, artifacts: list[Artifact]) -> Iterator[dict[Artifact, Path]]:
        """Entries for programs that read an artifact by its path: copies, where it reads the weights of another."""
        with temporary_folder() as folder:
            paths = {a: self.folder / a.entry for a in artifacts}
            yield {a: copy_whole(path, a.format, Path(folder, a.id)) if a.shape else path for a, path in paths.items()}

    def _picture(self, name: str) -> "np.ndarray":
        from compress.data.pictures import read_rgb

        return read_rgb(self.folder / name)

    def _onnx(self) -> list[Artifact]:
        """Only ONNX files keep the names by which a weight's network is known."""
        return [a for a in self.planned if a.format == "onnx" and not a.variant and not a.shape]

    def _shares(self) -> list[WeightShare]:
        from compress.artifacts.inspect.shares import onnx_shares
        from compress.elir.noise import picture_seed

        def work() -> list[WeightShare]:
            first = next(iter(self.inputs.validation[0]))
            (lq, noise), *_ = self.models.pairs(self.inputs.validation[0], 1)
            inputs = {"lq": lq.numpy(), "noise": noise.numpy(), "seed": picture_seed(self.seed, 0)}
            if first.image is not None:
                inputs["image"] = first.image[None]
            with self.progress.stage("bytes and milliseconds by stage"):
                return [
                    share
                    for a in self._onnx()
                    for share in onnx_shares(a.id, self._graphs(a), physical_cores(), inputs)
                ]

        return self.context.stages.run_as(list[WeightShare], "shares", work, self._hashes(self._onnx()))

    def _artifacts(self) -> list[ArtifactEntry]:
        files = {file: (self.folder / file).stat().st_size for a in self.planned for file in a.files}
        sizes = {a.id: sum(files[file] for file in a.files) for a in self.planned}
        readers = Counter(file for a in self.planned for file in a.files)
        hashes, macs = self._hashes(self.planned), self._macs()
        weights = self.context.stages.run("weights", self._weights, hashes)
        engine = self.recipe.ptq.engine if self.recipe.ptq else None
        entries = []
        for group in self.groups:
            for a in group.artifacts:
                fp32 = sizes.get(a.fp32.id)
                entry = ArtifactEntry(
                    id=a.id,
                    format=a.format,
                    precision=a.precision,
                    entry=a.entry,
                    files=list(a.files),
                    bytes=sizes[a.id],
                    size_ratio=round(sizes[a.id] / fp32, 4) if fp32 else None,
                    sha256=hashes[a.entry],
                    macs=macs[("reference" if a.precision == "fp32" else "model") + group.suffix],
                    weights=weights[a.id],
                    engine=engine if a.precision == "int8" else None,
                )
                if a.backend != "xnnpack":
                    entry.backend = a.backend
                if a.not_run:
                    entry.not_run = a.not_run
                if a.shape:
                    entry.shape = list(a.shape)
                if a.shares:
                    entry.shared_bytes = sum(files[file] for file in a.files if readers[file] > 1)
                entries.append(entry)
        return entries

    def _weights(self) -> dict[str, dict[str, int] | None]:
        from compress.artifacts.inspect.weight_bits import stored_weights

        return {a.id: stored_weights(self._graphs(a), a.format) for a in self.planned}

    def _graphs(self, artifact: Artifact) -> list[Path]:
        return artifact.graphs_at(self.folder / artifact.entry)

    def _macs(self) -> dict[str, int]:
        """Multiply-accumulates of one picture, of the reference and of the model that came of it."""
        from compress.elir.macs import picture_macs

        def work() -> dict[str, int]:
            models = {"reference": self.models.reference, "model": self.models.subject.model}
            shapes = {g.suffix: g.artifacts[0].shape or self.recipe.model.shape for g in self.groups}
            return {
                f"{name}{suffix}": picture_macs(model, *shape)
                for suffix, shape in shapes.items()
                for name, model in models.items()
            }

        return self.context.floats.run_as(dict[str, int], "macs", work)

    def _samples(self, group: ShapeGroup, simulated: dict[str, str]) -> list[Sample]:
        samples = self.context.stages.run_as(
            list[Sample],
            f"samples{group.suffix}",
            lambda: write_samples(self.outputs, group, self.progress, images=self.recipe.export.io == "uint8"),
            [group.sets[0].hash, self._hashes(group.runnable)],
            sample_files,
        )
        samples[0].simulated = {a.id: simulated[a.id] for a in group.artifacts if a.id in simulated}
        return samples

    def _seconds_by_stage(self) -> list[StageSeconds]:
        """What this run did, in order: a stage that was finished before is not among it."""
        seconds: dict[str, float] = {}
        for name, duration in self.progress.times[self.timed :]:
            seconds[name] = seconds.get(name, 0.0) + duration
        return [StageSeconds(stage=name, seconds=round(value, 1)) for name, value in seconds.items()]
