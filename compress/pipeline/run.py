"""One run of a recipe: export -> parity -> quality -> speed -> bundle; each stage is remembered."""

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import FORMATS, Artifact
from compress.ledger.record import new_run, now
from compress.pipeline.cache import Files, Stages
from compress.pipeline.context import RunContext
from compress.pipeline.goals import check_goals
from compress.pipeline.models import Models
from compress.pipeline.parity import PICTURES, check_parity
from compress.pipeline.quality import (
    ArtifactOutputs,
    format_quality,
    input_baseline,
    sample_files,
    sample_places,
    write_samples,
)
from compress.pipeline.write_bundle import write_bundle
from compress.recipe.schema import QUANTIZED, DeployTarget
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
        kept = {*range(PICTURES), *sample_places(self.inputs.validation[0])}
        self.outputs = ArtifactOutputs(self.folder, self.seed, kept)
        self.timed = len(context.progress.times)
        self.started = time.monotonic()

    def run(self) -> dict[str, Any]:
        """Every stage, then the bundle's files, ``manifest.json`` last."""
        try:
            self._export()
            # What is written is judged while ExecuTorch still lowers; speed is measured when all is quiet.
            formats = sorted({a.format for a in self.planned}, key=FORMATS.index)
            quality = [entry for format in formats for entry in self._quality(format)]
        finally:
            self.context.writer.close()
        parity = self._remember(
            "parity", self._parity, self.inputs.validation[0].hash, lambda found: found["simulated"].values()
        )
        sets = self.inputs.validation
        hashes = self.inputs.data_hashes
        baselines = self.context.floats.run("baselines", lambda: input_baseline(sets, self.recipe), hashes)
        shares = self._remember("shares", self._shares, self._hashes(self._onnx()))
        samples = self._samples()
        samples[0]["simulated"] = parity["simulated"]
        performance = [entry for target in self.targets for entry in self._performance(target, samples)]
        artifacts = self._artifacts()
        results = {
            "schema_version": 1,
            "name": self.recipe.name,
            "task": self.recipe.model.task,
            "created": now(),
            "run": new_run(),
            "versions": self.inputs.versions,
            "machine": self._machine(),
            "notes": [*parity["notes"], *(s.truth_note for s in sets if s.truth_note)],
            "artifacts": artifacts,
            "quality": quality,
            "baselines": baselines,
            "performance": performance,
            "parity": parity["parity"],
            "stages": parity["stages"],
            "layers": parity["layers"],
            "shares": shares,
            "samples": samples,
            "seconds": round(time.monotonic() - self.started, 1),
            "seconds_by_stage": self._seconds_by_stage(),
        }
        results["goals"] = check_goals(self.recipe.goals, results)
        results["goals_met"] = all(g["met"] for g in [*results["goals"], *(p for p in parity["parity"] if "met" in p)])
        write_bundle(self.context, results)
        return results

    def _remember(self, name: str, work: Any, extra: Any = None, files: Files = ()) -> Any:
        return self.context.stages.run(name, work, extra, files)

    def _kept(self, artifact: Artifact) -> Stages:
        """Where an artifact is remembered: a float one is not written anew when only quantization changes."""
        return self.context.stages if artifact.precision == "int8" else self.context.floats

    def _export(self) -> None:
        """Write every artifact; ExecuTorch's are submitted to a process of their own, and awaited later."""
        todo = [a for a in self.planned if not self._kept(a).done(f"export-{a.id}")]
        for artifact in todo:
            if artifact.format == "executorch" and artifact.precision not in QUANTIZED:
                self.context.writer.lower(self.models.float_model(artifact), artifact)
        # Its int8 file before the others': it takes as long as all of them.
        for artifact in sorted(self.planned, key=lambda a: (a.precision in QUANTIZED, a.format != "executorch")):
            if artifact in todo and artifact.precision in QUANTIZED:
                # Outside the stage below: a calibration is not part of writing one file.
                _ = self.models.quantized
            if artifact.format != "executorch":
                self._kept(artifact).run(f"export-{artifact.id}", partial(self._write, artifact), files=artifact.files)
            elif artifact in todo and artifact.precision == "int8":
                self.context.writer.write_int8(self.models.quantized, artifact)

    def _lowered(self, artifact: Artifact) -> None:
        with self.progress.stage(f"wait for {artifact.id}"):
            self.context.writer.lowered(artifact)

    def _write(self, artifact: Artifact) -> None:
        with self.progress.stage(f"write {artifact.id}"):
            if artifact.precision == "int8":
                self.context.writer.write_int8(self.models.quantized, artifact)
            elif artifact.precision == "weights":
                self.context.writer.write_weights(self.models.quantized, artifact)
            else:
                self.context.writer.write_float(self.models.float_model(artifact), artifact)

    def _parity(self) -> dict[str, Any]:
        return check_parity(self.outputs, self.models)

    def _quality(self, format: str) -> list[dict[str, Any]]:
        chosen = [a for a in self.planned if a.format == format]
        if format == "executorch":
            for artifact in chosen:
                self._kept(artifact).run(
                    f"export-{artifact.id}", partial(self._lowered, artifact), files=artifact.files
                )
        return [
            entry
            for pictures in self.inputs.validation
            for entry in self._remember(
                f"quality-{format}-{pictures.name}",
                lambda pictures=pictures: format_quality(
                    # What is kept is of the first set: the pictures of the others have the same numbers.
                    self.outputs if pictures is self.inputs.validation[0] else ArtifactOutputs(self.folder, self.seed),
                    chosen,
                    pictures,
                    self.recipe,
                    self.progress,
                ),
                extra=[pictures.hash, self._hashes(chosen)],
            )
        ]

    def _hashes(self, artifacts: list[Artifact]) -> dict[str, str]:
        from compress.files import sha256_file

        return {f: sha256_file(self.folder / f) for a in artifacts for f in a.files}

    def _performance(self, target: DeployTarget, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        ours = [a for a in self.planned if runs(target, a)]
        if why := missing_tool(target):
            return [entry.to_json() for entry in unavailable(target, ours, why)]
        mode = self.recipe.measure
        extra = [target.measurement_key(), mode, self._hashes(ours)]
        macs = self.context.floats.run("macs", self._macs) if target.runtime == "executorch" else None

        def work() -> list[dict[str, Any]]:
            pictures = sample_pictures(self._picture, [Sample.model_validate(s) for s in samples], self.seed)
            paths = {a: self.folder / a.entry for a in ours}
            bench = Bench(paths, target, pictures, mode, self.progress, self.seed)
            return [entry.to_json() for entry in bench_target(bench, macs)]

        return self._remember(f"speed-{target.name}", work, extra)

    def _picture(self, name: str) -> "np.ndarray":
        from compress.data.pictures import read_rgb

        return read_rgb(self.folder / name)

    def _onnx(self) -> list[Artifact]:
        """Only ONNX files keep the names by which a weight's network is known."""
        return [a for a in self.planned if a.format == "onnx" and not a.variant]

    def _shares(self) -> list[dict[str, Any]]:
        from compress.artifacts.inspect.shares import onnx_shares
        from compress.measure.machine import physical_cores

        (lq, noise), *_ = self.models.pairs(self.inputs.validation[0], 1)
        inputs = {"lq": lq.numpy(), "noise": noise.numpy()}
        with self.progress.stage("bytes and milliseconds by stage"):
            return [
                {"artifact": a.id, **share}
                for a in self._onnx()
                for share in onnx_shares(self.folder / a.entry, physical_cores(), inputs)
            ]

    def _artifacts(self) -> list[dict[str, Any]]:
        sizes = {a.id: sum((self.folder / f).stat().st_size for f in a.files) for a in self.planned}
        hashes = self._hashes(self.planned)
        macs = self.context.floats.run("macs", self._macs)
        weights = self._remember("weights", self._weights, hashes)
        engine = self.recipe.ptq.engine if self.recipe.ptq else None
        return [
            {
                "id": a.id,
                "format": a.format,
                "precision": a.precision,
                "entry": a.entry,
                "files": list(a.files),
                "bytes": sizes[a.id],
                "size_ratio": round(sizes[a.id] / fp32, 4) if (fp32 := sizes.get(f"{a.format}-fp32")) else None,
                "sha256": hashes[a.entry],
                "macs": macs["reference" if a.precision == "fp32" else "model"],
                "weights": weights[a.id],
                "engine": engine if a.precision == "int8" else None,
            }
            for a in self.planned
        ]

    def _weights(self) -> dict[str, Any]:
        from compress.artifacts.inspect.weight_bits import stored_weights

        return {a.id: stored_weights(self.folder / a.entry, a.format) for a in self.planned}

    def _macs(self) -> dict[str, int]:
        from compress.elir.macs import picture_macs

        models = {"reference": self.models.reference, "model": self.models.subject.model}
        return {name: picture_macs(model, self.recipe.model.image_size) for name, model in models.items()}

    def _samples(self) -> list[dict[str, Any]]:
        pictures = self.inputs.validation[0]
        return self._remember(
            "samples",
            lambda: write_samples(self.outputs, self.planned, pictures, self.progress),
            [pictures.hash, self._hashes(self.planned)],
            sample_files,
        )

    def _seconds_by_stage(self) -> list[dict[str, Any]]:
        """What this run did, in order: a stage that was finished before is not among it."""
        seconds: dict[str, float] = {}
        for name, duration in self.progress.times[self.timed :]:
            seconds[name] = seconds.get(name, 0.0) + duration
        return [{"stage": name, "seconds": round(value, 1)} for name, value in seconds.items()]

    def _machine(self) -> dict[str, Any]:
        from compress.measure.machine import machine_facts

        return machine_facts().to_json()
