"""Which artifact of a bundle goes into a target's package."""

from collections.abc import Sequence

from compress.artifacts.artifact import artifact_of, not_run
from compress.bundle.open import Bundle
from compress.bundle.schema import ManifestArtifact
from compress.errors import InputError, Unavailable
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.image_size import Shape
from compress.recipe.library import nearest
from compress.restore.open import PRECISIONS
from compress.targets.bench import runs


def choose(bundle: Bundle, target: DeployTarget, wanted: str | None = None) -> ManifestArtifact:
    """The artifact ``wanted``, else, of those that the target runs, the one that was fastest there; where none was
    timed there, that of the precision that ``restore`` prefers.

    Raises InputError where the bundle has no such artifact, or the target runs none; Unavailable for a backend of
    ExecuTorch that no package is made for.
    """
    artifacts = bundle.manifest.artifacts
    if any(facts.stages for facts in artifacts) and not target.runs_staged:
        raise InputError(f"{bundle.folder}: {target.no_staged}: choose another target")
    fitting = [facts for facts in artifacts if runs(target, artifact_of(facts.id, facts.format, facts.precision))]
    if why := next((not_run(facts.id) for facts in fitting), ""):
        raise Unavailable(
            f"{bundle.folder}: target {target.name}: a package's programs run XNNPACK's artifacts alone ({why}): take "
            f"{fitting[0].entry} itself"
        )
    if wanted is not None:
        return _wanted(bundle, target, wanted, [facts.id for facts in fitting])
    if not fitting:
        raise InputError(
            f"{bundle.folder}: none of its artifacts ({_listed(artifacts)}) runs on target {target.name}, which takes "
            f"{target.format} in {' or '.join(target.precisions)}: {target.export_hint}"
        )
    ms = {
        row.artifact: row.latency_ms.p50
        for row in bundle.results().performance
        if row.target == target.name and row.latency_ms and row.latency_ms.p50 is not None
    }
    # Of a recipe with several shapes, the first: of a smaller one, a picture takes more tiles.
    timed = [facts for facts in fitting if facts.id in ms and not _shape(facts)]
    if timed:
        return min(timed, key=lambda facts: ms[facts.id])
    return min(fitting, key=lambda facts: PRECISIONS.index(facts.precision))


def _shape(facts: ManifestArtifact) -> Shape | None:
    return artifact_of(facts.id, facts.format, facts.precision).shape


def _wanted(bundle: Bundle, target: DeployTarget, wanted: str, fitting: Sequence[str]) -> ManifestArtifact:
    ids = [facts.id for facts in bundle.manifest.artifacts]
    if wanted not in ids:
        raise InputError(f"{bundle.folder}: has no artifact {wanted!r}{nearest(wanted, ids)}")
    if wanted not in fitting:
        instead = f"give one of {', '.join(fitting)}" if fitting else "give another target"
        raise InputError(f"{wanted}: does not run on target {target.name} ({target.runtime}): {instead}")
    return bundle.artifact(wanted)


def _listed(artifacts: Sequence[ManifestArtifact]) -> str:
    return ", ".join(facts.id for facts in artifacts) or "none"
