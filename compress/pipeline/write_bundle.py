"""Writing a bundle from a finished run: recipe, results, report, then the manifest, last."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from compress.artifacts.artifact import Artifact
from compress.artifacts.runtime.base import SEED
from compress.bundle.manifest import MANIFEST, read_manifest, write_manifest
from compress.bundle.open import open_bundle
from compress.bundle.readme import README, readme
from compress.bundle.schema import Facts, ManifestArtifact, Port, RecipeKey
from compress.elir.latent import noise_shape
from compress.errors import CompressError
from compress.files import remove_unfinished, sha256_file, write_text
from compress.folders import Owner, finished_stages, remove_listed, source_of
from compress.pipeline.context import RunContext
from compress.pipeline.inputs import Inputs, artifact_steps, checkpoint_numbers, made_by
from compress.pipeline.quality import sample_files
from compress.recipe.library import is_path
from compress.recipe.load import recipe_hash, to_yaml
from compress.recipe.schema import Recipe
from compress.recipe.task import task_scale
from compress.results.document import Results
from compress.results.file import RESULTS, dump_json


def write_bundle(context: RunContext, results: Results, asked: RecipeKey | None = None) -> None:
    """Write everything but the artifacts and samples, which are there; remove what an earlier recipe left.

    ``asked``: key and hash of the recipe that was asked for, where a fallback made another of it.
    """
    from compress.report import write_report

    folder, recipe, inputs, planned = context.folder, context.recipe, context.inputs, context.planned

    write_text(folder / "recipe.yaml", to_yaml(recipe, folder))
    write_text(folder / RESULTS, dump_json(results.to_json()))
    k_steps, sigma_s = checkpoint_numbers(inputs.weights, recipe.model)
    model = {"task": recipe.model.task, "sigma_s": sigma_s}
    artifacts = [
        {**interface(a, recipe).to_json(), **model, "k_steps": artifact_steps(recipe, k_steps, a.precision)}
        for a in planned
    ]
    facts = {
        "created": results.created,
        "name": recipe.name,
        "recipe": recipe.model_dump(mode="json"),
        "recipe_sha256": recipe_hash(recipe),
        "key": inputs.key,
        "weights": {"name": recipe.model.weights, "sha256": inputs.weights_sha256, "licence": inputs.licence},
        "data": inputs.data_hashes,
        "targets": context.target_hashes,
        **({"asked": asked.to_json()} if asked else {}),
        "versions": inputs.versions,
        "seeds": {"noise": recipe.model.seed},
        "artifacts": artifacts,
    }
    write_report(folder, Facts.model_validate(facts, strict=False))
    task = recipe.model.task
    write_text(folder / README, readme(recipe.name, task, task_scale(task), artifacts))
    files = ["recipe.yaml", RESULTS, "report.html", README, *sample_files(results.samples)]
    files = [*dict.fromkeys([*files, *(f for a in planned for f in a.files)])]
    earlier = _written_before(folder) - set(files)
    write_manifest(folder, facts, files)
    remove_listed(folder, earlier)
    remove_unfinished(folder)


def unchanged(context: RunContext) -> Results | None:
    """Results of a finished bundle that this very recipe, data, targets and code wrote and nobody touched since.

    None where a target was not available then, or a fallback was stopped: they are tried again.
    """
    folder, recipe, inputs = context.folder, context.recipe, context.inputs
    if not (folder / MANIFEST).is_file():
        return None
    try:
        bundle = open_bundle(folder)
        # Of a bundle that a fallback changed: what was asked for, not what came of it.
        asked = bundle.manifest.asked or bundle.manifest
        same = asked.key == inputs.key and asked.recipe_sha256 == recipe_hash(recipe)
        same = same and bundle.manifest.data == inputs.data_hashes
        same = same and bundle.manifest.targets == context.target_hashes and not bundle.changed_files()
        results = bundle.results() if same else None
    except CompressError:
        return None
    if results is None or results.unavailable:
        return None
    stopped = recipe.fallback and not results.goals_met and results.fallback is None
    return None if stopped else results


def interface(artifact: Artifact, recipe: Recipe) -> ManifestArtifact:
    """What a program needs to run ``artifact``: entry file, inputs and outputs with static shapes."""
    height, width = artifact.shape or recipe.model.shape
    if recipe.export.io == "uint8":
        scale = task_scale(recipe.model.task)
        picture = Port(name="image", shape=[1, height // scale, width // scale, 3], dtype="uint8")
        output = Port(name="restored", shape=[1, height, width, 3], dtype="uint8")
    else:
        picture = Port(name="lq", shape=[1, 3, height, width], dtype="float32")
        output = Port(name="hq", shape=[1, 3, height, width], dtype="float32")
    beside = {
        "input": [Port(name="noise", shape=list(noise_shape(height, width)), dtype="float32")],
        "baked": [],
        "seed": [Port(name=SEED, shape=[1], dtype="int64")],
    }
    return ManifestArtifact(
        id=artifact.id,
        format=artifact.format,
        precision=artifact.precision,
        entry=artifact.entry,
        **({"stages": artifact.graphs} if artifact.layout == "staged" else {}),  # type: ignore[arg-type]
        inputs=[picture, *beside[recipe.export.noise]],
        outputs=[output],
    )


def _written_before(folder: Path) -> set[str]:
    """What earlier runs wrote, by the manifest that is still there and by the records of finished stages."""
    listed: set[str] = set()
    if (folder / MANIFEST).is_file():
        with suppress(CompressError):
            listed = {file.path for file in read_manifest(folder).files}
    # A record outlives its run: what somebody else has put there since is not ours.
    return listed | {
        name
        for record in finished_stages(folder)
        for name, sha256 in record["files"].items()
        if not name.startswith(".") and (folder / name).is_file() and sha256_file(folder / name) == sha256
    }


def owner_of(inputs: Inputs, out: Path, source: str | None, settings: Sequence[str]) -> Owner:
    """The owner of a run's bundle. ``source``: the built-in name or path of its recipe, None for a recipe made in
    Python.
    """
    named = source_of(source, out) if source is not None and is_path(source) else source
    return Owner("bundle", inputs.recipe.name, named, tuple(settings), inputs.makes, inputs.weights_sha256)


def owner_before(folder: Path, inputs: Inputs) -> Owner | None:
    """The owner of a bundle that has only a manifest; None if there is no bundle."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        manifest = read_manifest(folder)
        asked = manifest.asked or manifest
        if asked.recipe_sha256 == recipe_hash(inputs.recipe):
            return Owner("bundle", inputs.recipe.name, makes=inputs.makes)
        if manifest.recipe is None or manifest.weights is None:
            raise ValueError("no recipe")
        recipe, weights = Recipe.model_validate(manifest.recipe.to_json()), manifest.weights.sha256
        return Owner("bundle", recipe.name, makes=made_by(recipe, weights), weights=weights)
    except (CompressError, ValueError, LookupError, TypeError):
        return Owner("bundle", "that cannot be read", makes="?")
