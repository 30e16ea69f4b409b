"""`compress bench`: a bundle's artifacts measured on a target again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compress.artifacts.artifact import Artifact, artifact_of, not_run
from compress.bundle.open import Bundle, open_bundle
from compress.bundle.schema import ManifestArtifact
from compress.errors import CompressError, InputError, Unavailable, VerificationError
from compress.files import temporary_folder
from compress.ledger.record import record_bench
from compress.measure.latency import Mode
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.image_size import Shape
from compress.recipe.library import find
from compress.recipe.validation import load_model
from compress.results.performance import Performance
from compress.results.sample import Sample
from compress.targets.bench import BenchResult, at_host, bench_target, check_target, runs, sample_pictures, unavailable
from compress.targets.entries import Bench

if TYPE_CHECKING:
    import numpy as np

Record = Callable[[Path, Sequence[Performance], Callable[[str], None]], None]
"""Takes the bundle, its entries and what takes a line for people; before the entries are given to the caller."""


def bench(
    bundle: Path,
    target: str,
    progress: Progress,
    host: str | None = None,
    record: Record = record_bench,
    *,
    only: str | None = None,
    mode: Mode | None = None,
) -> BenchResult:
    """Measure a bundle's artifacts on ``target`` again; where that cannot be done, entries with evidence unavailable.

    ``host``: of the device, as ssh takes it, whatever the target says of how it is reached. ``record`` what was
    measured: by default, in the ledger. ``only``: the id of the one artifact to measure. ``mode``: of measuring; by
    default, that of the bundle's recipe.
    Raises InputError for no bundle, VerificationError when it is not what its manifest says.
    """
    opened = open_bundle(bundle)
    if changed := opened.changed_files():
        raise VerificationError(*(f"{bundle}/{line}" for line in changed))
    loaded = loaded_target(target, host)
    fitting = fitting_artifacts(opened, loaded, target, only)
    seed, recipe = opened.noise_seed(), opened.manifest.recipe
    mode = mode or (recipe.measure if recipe else "quick")
    from compress.bundle.picture import read_picture

    try:
        check_target(loaded)
        entries = []
        with copies(opened, fitting) as paths:
            for own in _by_shape(fitting):
                read, seeded = partial(read_picture, opened), fitting[own[0]].takes_seed
                samples = samples_to_run(opened, fitting[own[0]], read) if loaded.reach != "lowering" else []
                if not samples and loaded.reach != "lowering":
                    progress.say(f"{bundle}: {own[0].shape_text}: not measured: no sample picture has this shape")
                    continue
                pictures = sample_pictures(read, samples, seed, seeded=seeded) if samples else {}
                macs = next((a.macs for a in opened.results().artifacts if a.id == own[0].id), None)
                group = {artifact: paths[artifact] for artifact in own}
                entries += bench_target(Bench(group, loaded, pictures, mode, progress, seed), macs)
    except Unavailable as error:
        return BenchResult(bundle, unavailable(loaded, fitting, str(error)), str(error))
    record(bundle, entries, progress.say)
    return BenchResult(bundle, entries, next((entry.why for entry in entries if entry.evidence == "unavailable"), None))


def loaded_target(target: str, host: str | None = None) -> DeployTarget:
    """A target by its name or path, reached as the device ``host`` where one is given."""
    loaded = load_model(DeployTarget, find("targets", target))
    return loaded if host is None else at_host(loaded, host)


def fitting_artifacts(
    bundle: Bundle, loaded: DeployTarget, target: str, only: str | None = None
) -> dict[Artifact, ManifestArtifact]:
    """Those of a bundle's artifacts that a target runs. Raises InputError for none; ``target``: as it was named."""
    chosen = [facts for facts in bundle.manifest.artifacts if only in (None, facts.id)]
    artifacts = {artifact_of(a.id, a.format, a.precision, a.layout): a for a in chosen}
    fitting = {artifact: facts for artifact, facts in artifacts.items() if runs(loaded, artifact)}
    if fitting:
        return fitting
    if artifacts and not loaded.runs_staged and all(a.layout == "staged" for a in artifacts):
        raise InputError(f"{bundle.folder}: {loaded.no_staged}: choose another target")
    what = f"{only} is" if only else "holds"
    whose = f" of backend {loaded.backend}" if any(a.backend != loaded.backend for a in artifacts) else ""
    raise InputError(
        f"{bundle.folder}: {what} no {loaded.format} artifact{whose} for target {target}: {loaded.export_hint}, or "
        "choose another target"
    )


def samples_to_run(bundle: Bundle, artifact: ManifestArtifact, read: "Callable[[str], np.ndarray]") -> list[Sample]:
    """The samples of an artifact's shape; by their pictures' size where nothing ran it and none is its output."""
    if not not_run(artifact.id):
        return bundle.samples_of(artifact)
    return [sample for sample in bundle.samples() if read(sample.degraded).shape[:2] == bundle.shape(artifact)]


def _by_shape(artifacts: Iterable[Artifact]) -> list[list[Artifact]]:
    """Artifacts that take pictures of one shape, the recipe's first shape first."""
    groups: dict[Shape | None, list[Artifact]] = {}
    for artifact in artifacts:
        groups.setdefault(artifact.shape, []).append(artifact)
    return list(groups.values())


@contextmanager
def copies(bundle: Bundle, artifacts: Mapping[Artifact, ManifestArtifact]) -> Iterator[dict[Artifact, Path]]:
    """Each artifact's entry, in a folder of our own: what measures opens files by their paths, in other processes.

    Errors name the bundle's files.
    """
    with temporary_folder() as folder:
        try:
            yield {artifact: bundle.copy_artifact(facts, Path(folder)) for artifact, facts in artifacts.items()}
        except CompressError as error:
            raise type(error)(*(str(line).replace(folder, str(bundle.folder)) for line in error.args)) from None
