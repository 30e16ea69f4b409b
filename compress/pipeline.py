"""The orchestrator: load -> passes -> export -> parity -> quality -> speed -> bundle; each stage is remembered."""

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts import Artifact, Writer, plan_artifacts, simulated
from compress.benching import bench_local, check_arch
from compress.bundle import MANIFEST, changed_files, read_manifest, write_manifest
from compress.errors import CompressError, InputError
from compress.files import locked, write_text
from compress.goals import check_goals
from compress.library import find
from compress.measuring import format_quality, input_baseline, write_samples
from compress.plan import Inputs, Plan, resolve
from compress.progress import Progress
from compress.recipe import recipe_hash, to_yaml
from compress.results import ApplyResult, dump_json, read_results
from compress.schema import DeployTarget, Recipe
from compress.stages import FOLDER, Stages
from compress.validation import load_model

if TYPE_CHECKING:
    import torch

    from compress.passes.base import Subject
    from compress.passes.engines import Quantized

PARITY_PICTURES = 4
PARITY_GOAL_DB = 60.0  # torch fp32 against the fp32 artifact
PARITY_INT8_GAP_DB = 1.0  # between the fidelity of the simulated model and of the artifact


def apply(recipe: Recipe, out: Path | None, resume: bool, dry_run: bool, progress: Progress) -> "ApplyResult | Plan":
    """Run ``recipe`` into ``out`` (``runs/<name>`` by default).

    A run that was stopped goes on at the last finished stage; an unchanged one is only checked. Raises InputError
    for bad data or weights, Unavailable for a target that is not here.
    """
    out = out or Path("runs") / recipe.name
    inputs = resolve(recipe)
    targets = [load_model(DeployTarget, find("targets", name)) for name in recipe.targets]
    planned = plan_artifacts(recipe)
    if dry_run:
        return Plan(recipe, out, inputs, planned, targets)
    for target in targets:
        check_arch(target)
    with locked(out, progress.say):
        if resume and (results := _unchanged(out, inputs, recipe)):
            return ApplyResult(out, results, reused=True)
        results = Run(recipe, out, inputs, planned, targets, resume, progress).run()
    return ApplyResult(out, results, reused=False)


def _unchanged(out: Path, inputs: Inputs, recipe: Recipe) -> dict[str, Any] | None:
    """Results of a finished bundle that this very recipe, data and code wrote and nobody touched since."""
    if not (out / MANIFEST).is_file():
        return None
    try:
        manifest = read_manifest(out)
        same = manifest.get("key") == inputs.key and manifest.get("recipe_sha256") == recipe_hash(recipe)
        return read_results(out) if same and not changed_files(out, manifest) else None
    except CompressError:
        return None


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
    ) -> None:
        self.recipe, self.out, self.inputs = recipe, out, inputs
        self.planned, self.targets, self.progress = planned, targets, progress
        self.stages = Stages(out, inputs.key, resume)
        self.writer = Writer(recipe, out)
        self.seed = recipe.model.seed
        self.started = time.monotonic()

    def run(self) -> dict[str, Any]:
        """Every stage, then the bundle's files, ``manifest.json`` last."""
        self._export()
        parity = self._remember("parity", self._parity)
        quality = [entry for format in dict.fromkeys(a.format for a in self.planned) for entry in self._quality(format)]
        baselines = self._remember("baselines", lambda: input_baseline(self.inputs.validation, self.recipe))
        performance = [entry for target in self.targets for entry in self._performance(target)]
        artifacts = self._artifacts()
        samples = self._samples()
        results = {
            "schema_version": 1,
            "name": self.recipe.name,
            "task": self.recipe.model.task,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": self.inputs.versions,
            "machine": self._machine(),
            "notes": parity["notes"],
            "artifacts": artifacts,
            "quality": quality,
            "baselines": baselines,
            "performance": performance,
            "parity": parity["parity"],
            "stages": parity["stages"],
            "layers": parity["layers"],
            "samples": samples,
            "seconds": round(time.monotonic() - self.started, 1),
        }
        results["goals"] = check_goals(self.recipe.goals, results)
        results["goals_met"] = all(g["met"] for g in [*results["goals"], *(p for p in parity["parity"] if "met" in p)])
        self._write_bundle(results)
        return results

    def _remember(self, name: str, work: Any, extra: Any = None, files: tuple[str, ...] = ()) -> Any:
        return self.stages.run(name, work, extra, files)

    # --- models ------------------------------------------------------------------------------------------------

    @cached_property
    def subject(self) -> "Subject":
        """The float model after every exact pass."""
        from compress.elir.checkpoint import load_checkpoint
        from compress.passes import load_pass
        from compress.passes.base import Subject

        m = self.recipe.model
        with self.progress.stage("load the model"):
            model = load_checkpoint(self.inputs.weights, m.k_steps, m.sigma_s)
        subject = Subject(
            model,
            self._calibration,
            len(self.inputs.calibration),
            m.image_size,
            tuple(dict.fromkeys(a.format for a in self.planned if a.precision == "int8")),
            float_graph=lambda format: self.writer.float_graph(subject.model, format),
        )
        for item in self._passes(quantizing=False):
            with self.progress.stage(next(iter(item))) as stage:
                self._run_pass(load_pass(*next(iter(item.items()))), subject, stage)
        return subject

    @cached_property
    def quantized(self) -> "Quantized":
        """What the quantizing pass leaves."""
        from compress.passes import load_pass

        subject = self.subject
        for item in self._passes(quantizing=True):
            with self.progress.stage(next(iter(item))) as stage:
                self._run_pass(load_pass(*next(iter(item.items()))), subject, stage)
        return subject.quantized

    def _passes(self, quantizing: bool) -> list[dict[str, Any]]:
        """Passes before the first quantizing one, or from it on."""
        names = [next(iter(item)) for item in self.recipe.passes]
        cut = names.index("ptq") if "ptq" in names else len(names)
        return self.recipe.passes[cut:] if quantizing else self.recipe.passes[:cut]

    def _run_pass(self, step: Any, subject: "Subject", stage: Any) -> None:
        subject.advance = lambda what, done, total: stage.note(f"{what} {done} of {total}")
        step.run(subject)

    def _calibration(self) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
        yield from self._pairs(self.inputs.calibration)

    def _pairs(self, pictures: Any, most: int | None = None) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
        import torch

        from compress.data.pictures import to_float
        from compress.export.deployed import picture_noise

        for i, item in enumerate(pictures):
            if i == most:
                return
            yield torch.from_numpy(to_float([item.degraded])), picture_noise(self.recipe.model.image_size, self.seed, i)

    # --- stages ------------------------------------------------------------------------------------------------

    def _export(self) -> None:
        for artifact in self.planned:
            name = f"export-{artifact.id}"
            if not self.stages.done(name):
                # Outside the stage below: a calibration is not part of writing one file.
                self._source(artifact)
            self._remember(name, lambda artifact=artifact: self._write(artifact), files=artifact.files)

    def _source(self, artifact: Artifact) -> Any:
        return self.quantized if artifact.precision == "int8" else self.subject.model

    def _write(self, artifact: Artifact) -> None:
        with self.progress.stage(f"write {artifact.id}"):
            if artifact.precision == "int8":
                self.writer.write_int8(self.quantized, artifact)
            else:
                self.writer.write_float(self.subject.model, artifact)

    def _parity(self) -> dict[str, Any]:
        """Torch against artifacts, and where int8 errs."""
        from compress.measure.parity import layer_errors, stage_errors

        pairs = list(self._pairs(self.inputs.validation[0], PARITY_PICTURES))
        found: dict[str, Any] = {"parity": [], "stages": [], "layers": []}
        with self.progress.stage("parity", len(self.planned)) as stage:
            for artifact in self.planned:
                found["parity"].append(self._parity_of(artifact, pairs))
                stage.advance()
        int8 = next((a for a in self.planned if a.precision == "int8" and not a.variant), None)
        module: Any = simulated(self.quantized, int8) if int8 else None
        if module is not None and hasattr(module, "stages"):
            with self.progress.stage("error by stage and layer"):
                found["stages"] = stage_errors(self.subject.model, module, pairs)
                found["layers"] = layer_errors(self.subject.model, module, pairs[0])
        return {**found, "notes": self.subject.notes}

    def _parity_of(self, artifact: Artifact, pairs: Any) -> dict[str, Any]:
        import torch

        from compress.measure.machine import physical_cores
        from compress.measure.parity import mean_psnr
        from compress.runtime.base import open_runner

        runner = open_runner(self.out / artifact.entry, artifact.format, physical_cores())  # type: ignore[arg-type]
        outputs = [torch.from_numpy(runner.run(lq.numpy(), noise.numpy())) for lq, noise in pairs]
        fp32 = self._outputs(self.subject.model, pairs)
        psnr = mean_psnr(fp32, outputs)
        entry = {"artifact": artifact.id, "against": "torch-fp32", "psnr_db": psnr, "n": len(pairs)}
        if artifact.precision == "fp32":
            return {**entry, "goal": PARITY_GOAL_DB, "met": psnr >= PARITY_GOAL_DB}
        module = simulated(self.quantized, artifact) if artifact.precision == "int8" else None
        if module is None:
            return {**entry, "goal": None}
        # A quantized network is chaotic in the last bit: an input changed by 1e-6 moves its output by as much as
        # quantization itself did. So the artifact must be as good as the simulation, not equal to it.
        simulation = self._outputs(module, pairs)
        gap = abs(psnr - mean_psnr(fp32, simulation))
        return {
            "artifact": artifact.id,
            "against": "simulated-int8",
            "psnr_db": mean_psnr(simulation, outputs),
            "n": len(pairs),
            "fidelity_artifact_db": psnr,
            "fidelity_simulated_db": mean_psnr(fp32, simulation),
            "goal": PARITY_INT8_GAP_DB,
            "met": gap <= PARITY_INT8_GAP_DB,
        }

    def _outputs(self, model: Any, pairs: Any) -> "list[torch.Tensor]":
        import torch

        key = id(model)
        if key not in self._memo:
            with torch.no_grad():
                self._memo[key] = [model(lq, noise) for lq, noise in pairs]
        return self._memo[key]

    @cached_property
    def _memo(self) -> "dict[int, list[torch.Tensor]]":
        return {}

    def _quality(self, format: str) -> list[dict[str, Any]]:
        chosen = [a for a in self.planned if a.format == format]
        return [
            entry
            for pictures in self.inputs.validation
            for entry in self._remember(
                f"quality-{format}-{pictures.name}",
                lambda pictures=pictures: format_quality(self.out, chosen, pictures, self.recipe, self.progress),
                extra=[pictures.hash, self._hashes(chosen)],
            )
        ]

    def _hashes(self, artifacts: list[Artifact]) -> dict[str, str]:
        from compress.files import sha256_file

        return {f: sha256_file(self.out / f) for a in artifacts for f in a.files}

    def _performance(self, target: DeployTarget) -> list[dict[str, Any]]:
        ours = [a for a in self.planned if a.format == target.format and not a.variant]
        chosen = {a.id: (self.out / a.entry, a.format) for a in ours}
        (lq, noise), *_ = self._pairs(self.inputs.validation[0], 1)
        mode = self.recipe.measure
        extra = [target.model_dump(), mode, self._hashes(ours)]
        return self._remember(
            f"speed-{target.name}",
            lambda: bench_local(chosen, target, (lq.numpy(), noise.numpy()), mode, self.progress, self.seed),
            extra,
        )

    def _artifacts(self) -> list[dict[str, Any]]:
        sizes = {a.id: sum((self.out / f).stat().st_size for f in a.files) for a in self.planned}
        hashes = self._hashes(self.planned)
        engine = next((i["ptq"].get("engine", "elir") for i in self.recipe.passes if "ptq" in i), None)
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
                "engine": engine if a.precision == "int8" else None,
            }
            for a in self.planned
        ]

    def _samples(self) -> list[dict[str, Any]]:
        files = self.stages
        del files
        return write_samples(self.out, self.planned, self.inputs.validation[0], self.recipe, self.progress)

    def _machine(self) -> dict[str, Any]:
        from compress.measure.machine import machine_facts

        return machine_facts()

    def _write_bundle(self, results: dict[str, Any]) -> None:
        from compress.report import write_report

        inputs, m = self.inputs, self.recipe.model
        write_text(self.out / "recipe.yaml", to_yaml(self.recipe))
        write_text(self.out / "results.json", dump_json(results))
        model = self._manifest_model()
        facts = {
            "created": results["created"],
            "name": self.recipe.name,
            "recipe": self.recipe.model_dump(mode="json"),
            "recipe_sha256": recipe_hash(self.recipe),
            "key": inputs.key,
            "weights": {"name": m.weights, "sha256": inputs.weights_sha256},
            "data": {s.name: s.hash for s in (inputs.calibration, *inputs.validation)},
            "versions": inputs.versions,
            "seeds": {"noise": self.seed},
            "artifacts": [{**self._interface(a), **model} for a in self.planned],
        }
        write_report(self.out, manifest=facts)
        files = ["recipe.yaml", "results.json", "report.html"]
        files += [f for a in self.planned for f in a.files]
        files += [f for s in results["samples"] for f in (s["degraded"], s["clean"], *s["outputs"].values())]
        write_manifest(self.out, facts, files)
        self._tidy(set(files))

    def _manifest_model(self) -> dict[str, Any]:
        from compress.plan import checkpoint_numbers

        k_steps, sigma_s = checkpoint_numbers(self.inputs.weights, self.recipe.model)
        return {"task": self.recipe.model.task, "k_steps": k_steps, "sigma_s": sigma_s}

    def _interface(self, artifact: Artifact) -> dict[str, Any]:
        size = self.recipe.model.image_size
        lq = {"name": "lq", "shape": [1, 3, size, size], "dtype": "float32"}
        noise = {"name": "noise", "shape": [1, 16, size // 8, size // 8], "dtype": "float32"}
        return {
            "id": artifact.id,
            "format": artifact.format,
            "precision": artifact.precision,
            "entry": artifact.entry,
            "inputs": [lq] if self.recipe.export.noise == "baked" else [lq, noise],
            "outputs": [{"name": "hq", "shape": [1, 3, size, size], "dtype": "float32"}],
        }

    def _tidy(self, files: set[str]) -> None:
        """Remove artifacts and samples of an earlier recipe, and what a killed run left beside good files."""
        for name in ("fp32", "fp16", "int8", "samples"):
            for path in (self.out / name).rglob("*"):
                if path.is_file() and path.relative_to(self.out).as_posix() not in files:
                    path.unlink()
        for path in [p for p in self.out.rglob(".part-*") if FOLDER not in p.parts]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def bench(bundle: Path, target: str, progress: Progress) -> dict[str, Any]:
    """Measure a bundle's artifacts on ``target`` again -> {"bundle", "performance"}.

    Raises InputError for no bundle, VerificationError when an artifact differs from the manifest, Unavailable.
    """
    from compress.data.pictures import read_rgb, to_float
    from compress.errors import VerificationError
    from compress.export.deployed import picture_noise

    manifest = read_manifest(bundle)
    if changed := changed_files(bundle, manifest):
        raise VerificationError("\n".join(f"{bundle}/{line}" for line in changed))
    loaded = load_model(DeployTarget, find("targets", target))
    sample = read_results(bundle)["samples"][0]
    lq = to_float([read_rgb(bundle / sample["degraded"])])
    noise = picture_noise(lq.shape[-1], manifest["seeds"]["noise"], sample["index"]).numpy()
    chosen = {a["id"]: (bundle / a["entry"], a["format"]) for a in manifest["artifacts"] if "tensorrt" not in a["id"]}
    mode = manifest["recipe"]["measure"]
    entries = bench_local(chosen, loaded, (lq, noise), mode, progress, manifest["seeds"]["noise"])
    if not entries:
        raise InputError(f"{bundle}: holds no {loaded.format} artifact for target {target}: choose another target")
    return {"bundle": str(bundle), "performance": entries}
