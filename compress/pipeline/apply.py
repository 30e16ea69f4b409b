"""The orchestrator: load -> passes -> export -> parity -> quality -> speed -> bundle; each stage is remembered."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from compress.artifacts.artifact import FORMATS, Artifact, plan_artifacts
from compress.artifacts.writer import Writer
from compress.files import check_room
from compress.folders import STAGES, Owner, check_folder, claimed
from compress.ledger.record import new_run, now, record_apply
from compress.pipeline.cache import Files, Stages
from compress.pipeline.dry_run import Plan
from compress.pipeline.fallback import fall_back
from compress.pipeline.goals import check_goals
from compress.pipeline.inputs import Inputs, resolve
from compress.pipeline.models import Models, PassStore
from compress.pipeline.parity import PICTURES, check_parity
from compress.pipeline.quality import (
    ArtifactOutputs,
    format_quality,
    input_baseline,
    sample_files,
    sample_path,
    sample_places,
    write_samples,
)
from compress.pipeline.result import ApplyResult
from compress.pipeline.write_bundle import owner_before, owner_of, unchanged, write_bundle
from compress.progress import Progress
from compress.recipe.library import find
from compress.recipe.schema import QUANTIZED, DeployTarget, Recipe
from compress.recipe.validation import load_model
from compress.targets.bench import bench_target, check_target, missing_tool, runs, sample_pictures, unavailable


def apply(
    recipe: Recipe,
    out: Path | None,
    resume: bool,
    dry_run: bool,
    progress: Progress,
    reuse: bool = False,
    source: str | None = None,
    settings: Sequence[str] = (),
) -> "ApplyResult | Plan":
    """Run ``recipe`` into ``out`` (``runs/<name>`` by default); ``reuse``: take its finished student, train nothing.

    A run that was stopped goes on at the last finished stage; an unchanged one is only checked. ``source`` (a name or
    path) and ``settings`` say where the recipe came from: a bundle of another recipe is replaced only when ``resume``
    is False. Raises InputError for bad data or weights, or a folder that is not to be written into, Unavailable for a
    device that is not here; where only the tool that stands in for one is not set up, the bundle is made, and says so.
    """
    out = out or Path("runs") / recipe.name
    check_folder(out, Owner("bundle", recipe.name))  # before pictures are read
    inputs = resolve(recipe, reuse)
    targets = [load_model(DeployTarget, find("targets", name)) for name in recipe.targets]
    planned = plan_artifacts(recipe)
    missing = {target.name: why for target in targets if (why := missing_tool(target))}
    owner, before = owner_of(inputs, out, source, settings), owner_before(out, inputs)
    check_folder(out, owner, not resume, before)
    check_room(out, _long_names(planned, inputs, targets))
    if dry_run:
        return Plan(recipe, out, inputs, planned, targets, list(missing.values()))
    for target in targets:
        if target.name not in missing:
            check_target(target)
    for why in missing.values():
        progress.say(f"{why}. The bundle is made without it")
    for note in (note for pictures in (inputs.calibration, *inputs.validation) for note in pictures.notes):
        progress.say(note)
    with claimed(out, owner, progress.say, not resume, before):
        if resume and (results := unchanged(out, inputs, recipe)):
            record_apply(out, progress.say)  # adds nothing, unless the run was killed before it could
            return ApplyResult(out, results, reused=True)
        results = Run(recipe, out, inputs, planned, targets, resume, progress).run()
        if recipe.fallback is not None and not results["goals_met"]:

            def again(changed: Recipe, folder: Path, inputs: Inputs) -> dict[str, Any]:
                return Run(changed, folder, inputs, plan_artifacts(changed), targets, True, progress).run()

            results = fall_back(recipe, inputs, out, results, again, resume, progress)
        record_apply(out, progress.say)
    return ApplyResult(out, results, reused=False)


def _long_names(planned: Sequence[Artifact], inputs: Inputs, targets: Sequence[DeployTarget]) -> list[str]:
    """Of the files of a run, those with the longest names."""
    sample, simulated = inputs.validation[0].longest_name, [f"simulated-{a.id}" for a in planned]
    names = [sample_path(sample, kind) for kind in ("degraded", "clean", *simulated)]
    names += [f"{STAGES}/quality-{a.format}-{pictures.name}.json" for a in planned for pictures in inputs.validation]
    names += [f"{STAGES}/speed-{target.name}.json" for target in targets]
    names += [file for a in planned for file in a.files]
    beside = [f".fallback/9-reconstruct/{name}" for name in names] if inputs.recipe.fallback else []
    return [*names, *beside]


class Run:
    """One run of a recipe. The models are made only when an unfinished stage asks for them."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        inputs: Inputs,
        planned: list[Artifact],
        targets: list[DeployTarget],
        resume: bool,
        progress: Progress,
        shared: PassStore | None = None,
    ) -> None:
        self.recipe, self.out, self.inputs = recipe, out, inputs
        self.planned, self.targets, self.progress = planned, targets, progress
        self.stages = Stages(out, inputs.key, resume)
        self.writer = Writer(recipe, out)
        self.models = Models(recipe, inputs, planned, self.writer, self.stages, progress, shared)
        self.seed = recipe.model.seed
        first = inputs.validation[0]
        self.outputs = ArtifactOutputs(out, self.seed, {*range(PICTURES), *sample_places(first)})
        self.timed = len(progress.times)
        self.started = time.monotonic()

    def run(self) -> dict[str, Any]:
        """Every stage, then the bundle's files, ``manifest.json`` last."""
        try:
            self._export()
            # What is written is judged while ExecuTorch still lowers; speed is measured when all is quiet.
            formats = sorted({a.format for a in self.planned}, key=FORMATS.index)
            quality = [entry for format in formats for entry in self._quality(format)]
        finally:
            self.writer.close()
        parity = self._remember(
            "parity", self._parity, self.inputs.validation[0].hash, lambda found: found["simulated"].values()
        )
        sets = self.inputs.validation
        hashes = self.inputs.data_hashes
        baselines = self.models.floats.run("baselines", lambda: input_baseline(sets, self.recipe), hashes)
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
        write_bundle(self.out, results, self.recipe, self.inputs, self.planned)
        return results

    def _remember(self, name: str, work: Any, extra: Any = None, files: Files = ()) -> Any:
        return self.stages.run(name, work, extra, files)

    def _kept(self, artifact: Artifact) -> Stages:
        """Where an artifact is remembered: a float one is not written anew when only quantization changes."""
        return self.stages if artifact.precision == "int8" else self.models.floats

    def _export(self) -> None:
        """Write every artifact; ExecuTorch's are submitted to a process of their own, and awaited later."""
        todo = [a for a in self.planned if not self._kept(a).done(f"export-{a.id}")]
        for artifact in todo:
            if artifact.format == "executorch" and artifact.precision not in QUANTIZED:
                self.writer.lower(self.models.float_model(artifact), artifact)
        # Its int8 file before the others': it takes as long as all of them.
        for artifact in sorted(self.planned, key=lambda a: (a.precision in QUANTIZED, a.format != "executorch")):
            if artifact in todo and artifact.precision in QUANTIZED:
                # Outside the stage below: a calibration is not part of writing one file.
                _ = self.models.quantized
            if artifact.format != "executorch":
                self._kept(artifact).run(f"export-{artifact.id}", partial(self._write, artifact), files=artifact.files)
            elif artifact in todo and artifact.precision == "int8":
                self.writer.write_int8(self.models.quantized, artifact)

    def _lowered(self, artifact: Artifact) -> None:
        with self.progress.stage(f"wait for {artifact.id}"):
            self.writer.lowered(artifact)

    def _write(self, artifact: Artifact) -> None:
        with self.progress.stage(f"write {artifact.id}"):
            if artifact.precision == "int8":
                self.writer.write_int8(self.models.quantized, artifact)
            elif artifact.precision == "weights":
                self.writer.write_weights(self.models.quantized, artifact)
            else:
                self.writer.write_float(self.models.float_model(artifact), artifact)

    def _parity(self) -> dict[str, Any]:
        pictures = self.inputs.validation[0]
        return check_parity(self.outputs, self.planned, self.models, pictures, self.progress)

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
                    self.outputs if pictures is self.inputs.validation[0] else ArtifactOutputs(self.out, self.seed),
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

        return {f: sha256_file(self.out / f) for a in artifacts for f in a.files}

    def _performance(self, target: DeployTarget, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        ours = [a for a in self.planned if runs(target, a.id, a.format)]
        if why := missing_tool(target):
            return unavailable(target, [a.id for a in ours], why)
        chosen = {a.id: (self.out / a.entry, a.format) for a in ours}
        mode = self.recipe.measure
        extra = [target.model_dump(mode="json"), mode, self._hashes(ours)]
        macs = self.models.floats.run("macs", self._macs) if target.runtime == "executorch" else None
        return self._remember(
            f"speed-{target.name}",
            lambda: bench_target(
                chosen,
                target,
                sample_pictures(self.out, samples, self.seed),
                mode,
                self.progress,
                self.seed,
                macs,
            ),
            extra,
        )

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
                for share in onnx_shares(self.out / a.entry, physical_cores(), inputs)
            ]

    def _artifacts(self) -> list[dict[str, Any]]:
        sizes = {a.id: sum((self.out / f).stat().st_size for f in a.files) for a in self.planned}
        hashes = self._hashes(self.planned)
        macs = self.models.floats.run("macs", self._macs)
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

        return {a.id: stored_weights(self.out / a.entry, a.format) for a in self.planned}

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

        return machine_facts()
