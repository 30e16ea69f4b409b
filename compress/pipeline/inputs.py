"""What a run stands on, checked before anything heavy: weights, data, versions."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from compress.artifacts.artifact import Artifact
from compress.data.names import data_key, set_names
from compress.data.sets import PictureSet, check_disjoint, load_set
from compress.errors import InputError
from compress.files import sha256_file, sha256_text
from compress.recipe import library
from compress.recipe.image_size import Shape
from compress.recipe.load import recipe_hash
from compress.recipe.pass_item import PassItem
from compress.recipe.passes import MIN_PICTURES
from compress.recipe.published import by_task
from compress.recipe.schema import QUANTIZED, Goals, Recipe, RecipeModel
from compress.refusals import Refusals

PACKAGES = (
    *("elir-compress", "torch", "torchao", "executorch", "openvino", "nncf", "onnx", "onnxruntime", "onnxscript"),
    *("neural-compressor", "numpy", "pillow", "scikit-image", "scipy"),
)

BYTES = {"fp32": 4, "fp16": 2}
GRAPH = 500_000
"""About what a graph without its weights takes."""


class RecipeParts(TypedDict):
    """What of a recipe, as JSON, decides what its artifacts are."""

    model: dict[str, Any]
    passes: list[dict[str, Any]]
    export: dict[str, Any]


class RunKey(TypedDict):
    """What artifacts depend on: hashes of weights, calibration pictures, a reused student and this package's code."""

    recipe: RecipeParts
    weights: str
    calibration: str
    student: NotRequired[str]
    versions: dict[str, str]
    code: str


@dataclass(frozen=True)
class Inputs:
    """Weights and data of a run; ``student``: the finished one that stands for prune and distill, where it is reused.

    ``key`` changes with anything that decides what the artifacts are.
    """

    recipe: Recipe
    weights: Path
    calibration: PictureSet
    validation: list[PictureSet]
    student: Path | None = None

    def of(self, recipe: Recipe) -> "Inputs":
        """The same weights and data for a recipe with other passes."""
        return replace(self, recipe=recipe)

    @cached_property
    def weights_sha256(self) -> str:
        return sha256_file(self.weights)

    @cached_property
    def data_hashes(self) -> dict[str, str]:
        """Hash of every set, by name."""
        hashes = {s.name: s.hash for s in (self.calibration, *self.validation)}
        return hashes | {data_key(s.name, shape): s.hash for shape, sets in self.validation_at.items() for s in sets}

    @cached_property
    def validation_at(self) -> dict[Shape, list[PictureSet]]:
        """The validation sets at each further shape of the recipe; pictures that are too small are left out."""
        return {shape: [pictures.at(shape) for pictures in self.validation] for shape in self.recipe.model.shapes[1:]}

    @cached_property
    def versions(self) -> dict[str, str]:
        """Versions of Python and of every package that has a hand in an artifact."""
        return package_versions()

    @cached_property
    def key(self) -> RunKey:
        """Validation data, goals and targets are not part of it."""
        key = RunKey(
            recipe=recipe_parts(self.recipe),
            weights=self.weights_sha256,
            calibration=self.calibration.hash,
            versions=self.versions,
            code=code_hash(),
        )
        if self.student:
            key["student"] = sha256_file(self.student)
        return key

    @cached_property
    def makes(self) -> str:
        """Names what the artifacts are made by, whichever release makes them."""
        return made_by(self.recipe, self.weights_sha256)

    @cached_property
    def licence(self) -> str | None:
        """The licence that the checkpoint records."""
        from compress.elir.metadata import read_metadata

        return read_metadata(self.weights).get("licence") if self.weights.suffix == ".safetensors" else None

    def about(self, precision: str) -> dict[str, str]:
        """What an artifact of ``precision`` says of itself: see ``compress.artifacts.about``."""
        k_steps, sigma_s = checkpoint_numbers(self.weights, self.recipe.model)
        quantized = precision in QUANTIZED
        recipe = self.recipe if quantized else self.recipe.model_copy(update={"passes": self.recipe.float_passes})
        return {
            "k_steps": str(artifact_steps(self.recipe, k_steps, precision)),
            "sigma_s": f"{sigma_s:g}",
            "licence": self.licence or "not recorded in the checkpoint",
            "recipe": made_by(recipe, self.weights_sha256),
        }

    @cached_property
    def float_key(self) -> RunKey:
        """What the float artifacts depend on: the key without the first quantizing pass and what comes after it."""
        parts = self.key["recipe"]
        passes = parts["passes"][: len(self.recipe.float_passes)]
        return {**self.key, "recipe": {**parts, "passes": passes}}


def recipe_parts(recipe: Recipe) -> RecipeParts:
    """See ``RecipeParts``."""
    parts: RecipeParts = recipe.model_dump(mode="json", include={"model", "passes", "export"})  # type: ignore[assignment]
    return parts


def made_by(recipe: Recipe, weights_sha256: str) -> str:
    """See ``Inputs.makes``: settings of the model, the passes and the export, and the checkpoint's content."""
    parts = recipe_parts(recipe)
    del parts["model"]["weights"]
    return sha256_text(json.dumps([parts, weights_sha256], sort_keys=True))


def resolve(recipe: Recipe, *, reuse: bool = False) -> Inputs:
    """Find weights and data of ``recipe``, with ``reuse`` its finished student too, and refuse what cannot work.

    Raises InputError, a line for each mistake.
    """
    refusals = Refusals()
    with refusals.gathered():
        weights = find_weights(recipe)
        student = finished_student(recipe, weights) if reuse else None
    calibration, *validation = check_data(recipe, refusals, remote=True)
    refusals.refuse()
    assert calibration is not None
    return Inputs(recipe, weights, calibration, [pictures for pictures in validation if pictures], student)


def find_weights(recipe: Recipe) -> Path:
    """The checkpoint of ``recipe``. Raises InputError for none, or for one that the recipe cannot mean."""
    weights = library.find("weights", recipe.model.weights)
    checkpoint_numbers(weights, recipe.model)
    return weights


def check_data(recipe: Recipe, refusals: Refusals, *, remote: bool) -> list[PictureSet | None]:
    """The calibration set of ``recipe``, then its validation sets; None for one that cannot be used.

    Gathered as ``refusals``: a set that is not there, has too few pictures or lacks what the goals need; a picture that
    cannot be read or is too small; one that stands on both sides.
    ``remote``: sets of a hub are read, too.
    """
    given = [recipe.data.calibration, *recipe.data.validation]
    sets: list[PictureSet | None] = [None for _ in given]
    for i, name in _names_of(given, refusals).items():
        with refusals.gathered():
            pictures = load_set(given[i], recipe.model.task, recipe.model.shape, name)
            _check_set(recipe, pictures, refusals, calibrates=i == 0)
            if remote or not pictures.is_remote:
                _ = pictures.seen
            sets[i] = pictures
    read = [pictures for pictures in sets if pictures and (remote or not pictures.is_remote)]
    if sets[0] in read:
        with refusals.gathered():
            check_disjoint(read[0], read[1:])
    return sets


def _names_of(given: Sequence[str], refusals: Refusals) -> dict[int, str]:
    """Names of the sets that are there and valid, by their places in ``given``."""
    names: dict[int, str] = {}
    for i, path in enumerate(given):
        with refusals.gathered():
            (names[i],) = set_names([path])
    with refusals.gathered():
        names = dict(zip(names, set_names([given[i] for i in names]), strict=True))
    return names


def _check_set(recipe: Recipe, pictures: PictureSet, refusals: Refusals, *, calibrates: bool) -> None:
    if calibrates and recipe.ptq and len(pictures) < MIN_PICTURES:
        with refusals.gathered():
            raise InputError(
                f"data.calibration: {len(pictures)} pictures are too few for ptq, it needs {MIN_PICTURES} or more "
                f"(32 are usual): use a larger set than {pictures.name}"
            )
    if not calibrates:
        with refusals.gathered():
            _check_truth(pictures, recipe.goals)
        if recipe.export.io == "uint8":
            with refusals.gathered():
                pictures.require_images("export.io: uint8")


def _check_truth(pictures: PictureSet, goals: Goals) -> None:
    """Raise InputError when a set without true pictures is to be held against goals that need them."""
    asked = [name for name in ("psnr_drop_db", "ssim_drop", "lpips_rise") if getattr(goals, name) is not None]
    if asked and not pictures.has_truth:
        without = ", ".join(f"goals.{name}=null" for name in asked)
        raise InputError(
            f"data.validation: {pictures.name} has no true pictures, which goals.{', goals.'.join(asked)} need: give "
            f"pairs.high in its file, or leave the goals out ({without}); fidelity_db needs no truth"
        )


def finished_student(recipe: Recipe, weights: Path) -> Path:
    """File of the recipe's finished student. Raises InputError where there is none, or by other settings."""
    from compress.elir.metadata import read_metadata

    name = recipe.distill.student if recipe.distill else None
    if name is None:
        raise InputError(
            "reuse: the recipe names no finished student: set student in its distill pass, or leave it out"
        )
    path = library.find("weights", name)
    if read_metadata(path).get("student_key") != student_facts(recipe, weights)["student_key"]:
        raise InputError(
            f"reuse: {name} was made by another prune, distill or weights than the recipe's: leave those as they "
            "are, or leave reuse out (--reuse)"
        )
    return path


def student_facts(recipe: Recipe, weights: Path) -> dict[str, str]:
    """What the metadata of a finished student says of its recipe; ``student_key`` names all that it is made by: the
    weights, and the settings of prune and distill that shape it.
    """
    apart = {"student", "data", "checkpoint_minutes"}
    settings = [
        {item.name: item.settings.model_dump(mode="json", exclude=apart)}
        for item in recipe.passes
        if item.prune or item.distill
    ]
    key = sha256_text(json.dumps([sha256_file(weights), settings], sort_keys=True))
    return {"recipe": recipe.name, "recipe_hash": recipe_hash(recipe), "student_key": key}


def prefix_key(key: RunKey, passes: list[PassItem]) -> str:
    """Names what a run with ``Inputs.key`` ``key`` has after its first ``passes``: equal for runs that differ only in
    later passes or in what they export.
    """
    settings = [{item.name: item.settings.model_dump(mode="json")} for item in passes]
    return sha256_text(json.dumps([{**key, "recipe": key["recipe"]["model"]}, settings], sort_keys=True))


def artifact_steps(recipe: Recipe, k_steps: int, precision: str) -> int:
    """Euler steps of an artifact: the student's, where the recipe makes one; fp32 stays as the weights are."""
    if precision == "fp32":
        return k_steps
    asked = [item.distill.k_steps for item in recipe.passes if item.distill]
    return next((k for k in reversed(asked) if k is not None), k_steps)


def model_values(path: Path) -> dict[str, int]:
    """Numbers in each tensor of the model in a checkpoint, by name. A published file, which may hold pairs of training
    in the place of a convolution, is loaded for it. Raises VerificationError for a damaged file.
    """
    if path.suffix == ".safetensors":
        from compress.elir.metadata import count_values

        return count_values(path)
    from compress.elir.checkpoint import load_checkpoint
    from compress.elir.overparam import collapse

    model = load_checkpoint(path, k_steps=1, sigma_s=0.0)  # neither changes a size
    collapse(model)
    return {name: value.numel() for name, value in model.state_dict().items()}


def estimated_bytes(recipe: Recipe, values: Mapping[str, int], artifact: Artifact) -> int:
    """About how large an artifact's file is: ``values`` numbers of each tensor, in the bits that the recipe gives it.

    Passes that take channels away are not reckoned with; ExecuTorch stores no fewer than 8 bits. Weights that it shares
    are those of the first shape's artifact.
    """
    if artifact.shape is not None and artifact.format != "executorch":
        return GRAPH
    if artifact.precision in ("fp32", "fp16"):
        return sum(values.values()) * BYTES[artifact.precision]
    rounded = artifact.precision == "weights"
    chosen = [item.weights if rounded else item.ptq for item in recipe.passes]
    least = 8 if artifact.format == "executorch" else 4

    def bits(name: str) -> int:
        asked = min((settings.bits_of(name) for settings in chosen if settings), default=8)
        if not rounded and asked == 16:
            return 32  # left in float
        return max(least, 8 if asked == 7 else asked)

    return sum(count * bits(name) for name, count in values.items()) // 8


def checkpoint_numbers(weights: Path, model: RecipeModel) -> tuple[int, float]:
    """K and sigma_s: the recipe's, else the checkpoint's metadata.

    Raises InputError when neither has them, or when the checkpoint was trained for another task.
    """
    metadata: dict[str, str] = {}
    if weights.suffix == ".safetensors":
        from compress.elir.metadata import read_metadata

        metadata = read_metadata(weights)
    trained = metadata.get("task")
    if trained is not None and trained != model.task:
        raise InputError(
            f"{weights}: was trained for {trained}, the recipe's model.task is {model.task}: "
            f"set model.task: {trained}, or give other weights"
        )
    k_steps = model.k_steps if model.k_steps is not None else metadata.get("k_steps")
    sigma_s = model.sigma_s if model.sigma_s is not None else metadata.get("sigma_s")
    if k_steps is None or sigma_s is None:
        raise InputError(
            f"{weights}: the file holds no k_steps or sigma_s: give model.k_steps and model.sigma_s in the recipe "
            f"({_published(model.task)})"
        )
    return int(k_steps), float(sigma_s)


def _published(task: str) -> str:
    known = by_task(task)
    return (
        f"{known.file} uses {known.k_steps} and {known.sigma_s:g}" if known else "most published models use 3 and 0.1"
    )


def package_versions() -> dict[str, str]:
    """Versions of Python and of every package that has a hand in an artifact, as far as they are installed."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def node_facts() -> dict[str, str]:
    """What must be the same on every node of a cluster: ``package_versions``, and this package's own code."""
    return {**package_versions(), "elir-compress's code": code_hash()[:12]}


def code_hash() -> str:
    """Hash of this package's own source: a changed pass is a changed artifact."""
    root = Path(__file__).parents[1]
    return sha256_text("".join(sha256_file(path) for path in sorted(root.rglob("*.py"))))
