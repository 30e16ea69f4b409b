"""The targets that a recipe names, each of which must run something that the recipe makes."""

from collections.abc import Iterable, Sequence

from compress.artifacts.artifact import ONNX_VARIANTS, Artifact, plan_artifacts
from compress.errors import InputError
from compress.recipe import library
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.schema import Recipe
from compress.recipe.validation import load_model
from compress.refusals import Refusals
from compress.targets.bench import runs

MOST_NAMED = 6
"""Number of fitting targets that a message names."""


def load_targets(recipe: Recipe, refusals: Refusals) -> list[DeployTarget]:
    """The targets of ``recipe``; gathered as ``refusals``: those whose files are not valid, those that do not run its
    layout, which of a recipe's file is refused with its line, and those that run none of its artifacts."""
    planned = _planned(recipe)
    targets = []
    for name in recipe.targets:
        with refusals.gathered():
            targets.append(target := load_model(DeployTarget, library.find("targets", name)))
            if recipe.export.layout == "staged" and not target.runs_staged:
                raise InputError(f"{target.no_staged}: remove it from targets")
            check_runs(target, planned)
    return targets


def check_runs(target: DeployTarget, planned: Sequence[Artifact]) -> None:
    """Raise InputError where ``target`` runs none of the artifacts ``planned``, if any are: nothing would be measured
    on it."""
    if not planned or any(runs(target, artifact) for artifact in planned):
        return
    near = [artifact for artifact in planned if artifact.format == target.format]
    exports = _by_kind((_kind(a.format, _made_for(a)), a.precision) for a in near)
    changes = ["remove it from targets", _export_it(target, near), *_others(near or planned)]
    raise InputError(
        f"targets: {target.name} takes {_taken(target)}, but the recipe exports "
        f"{exports or ', '.join(dict.fromkeys(a.format for a in planned))}, so that nothing would be measured on it: "
        f"{', '.join(changes[:-1])}, or {changes[-1]}"
    )


def _planned(recipe: Recipe) -> list[Artifact]:
    try:
        return plan_artifacts(recipe)
    except InputError:
        return []  # refused by who asks for the artifacts


def _taken(target: DeployTarget) -> str:
    made_for = target.accelerator or target.backend
    return _by_kind(
        (_kind(target.format, "tensorrt" if (target.runtime, p) == ("tensorrt", "int8") else made_for), p)
        for p in target.precisions
    )


def _made_for(artifact: Artifact) -> str:
    """An accelerator, a backend of ExecuTorch, or the runtime whose rules an ONNX file keeps."""
    if artifact.backend == "ethos_u":
        return artifact.variant.replace("_", "-")
    return artifact.variant if artifact.variant in ONNX_VARIANTS else artifact.backend


def _kind(format: str, made_for: str) -> str:
    return format if made_for == "xnnpack" and format != "executorch" else f"{format} for {made_for}"


def _by_kind(kinds: Iterable[tuple[str, str]]) -> str:
    """onnx (fp32, int8), executorch for vulkan (fp32)."""
    precisions: dict[str, dict[str, None]] = {}
    for kind, precision in kinds:
        precisions.setdefault(kind, {})[precision] = None
    return ", ".join(f"{kind} ({', '.join(found)})" for kind, found in precisions.items())


def _export_it(target: DeployTarget, near: Sequence[Artifact]) -> str:
    """What to change in the recipe so that the target has something to run; ``near``: artifacts of its format."""
    if all(artifact.backend != target.backend for artifact in near):
        return f"set export.{target.format} to {target.export_options}"
    if target.accelerator is not None:
        return f"set export.executorch.accelerator to {target.accelerator}"
    return f"add {' or '.join(target.precisions)} to export.{target.format}.precisions"


def _others(planned: Sequence[Artifact]) -> list[str]:
    """What to do with the built-in targets that run one of the artifacts, those of this machine first."""
    known = [load_model(DeployTarget, library.find("targets", name)) for name in library.names("targets")]
    fitting = [target for target in known if any(runs(target, artifact) for artifact in planned)]
    names = [target.name for target in sorted(fitting, key=lambda target: target.reach != "local")]
    more = ", ..." if len(names) > MOST_NAMED else ""
    return [f"name one that fits ({', '.join(names[:MOST_NAMED])}{more})"] if names else []
