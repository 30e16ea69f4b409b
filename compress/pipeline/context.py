"""What everything shares that works on a recipe's model: what it reads, writes, remembers and says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from compress.artifacts.artifact import Artifact, plan_artifacts
from compress.artifacts.writer import Writer
from compress.files import sha256_text
from compress.pipeline.cache import PassStore, Stages
from compress.pipeline.inputs import Inputs, resolve
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.schema import Recipe


@dataclass(frozen=True)
class RunContext:
    """A recipe at work in ``folder``; what it reads is read when it is first asked for.

    ``resume``: finished stages are taken, not run again. ``reuse``: the recipe's finished student is taken, not
    trained. ``shared``: where runs leave for each other what passes made. ``read``: weights and data that were read for
    another recipe with the same ones. ``targets``: what a bundle is measured on, as their files say.
    """

    recipe: Recipe
    folder: Path
    progress: Progress
    resume: bool = True
    reuse: bool = False
    shared: PassStore | None = None
    read: Inputs | None = None
    targets: tuple[DeployTarget, ...] = ()

    @cached_property
    def inputs(self) -> Inputs:
        """Weights and data. Raises InputError."""
        return self.read.of(self.recipe) if self.read else resolve(self.recipe, reuse=self.reuse)

    @cached_property
    def planned(self) -> list[Artifact]:
        """Every artifact that the recipe asks for. Raises InputError for one that its passes do not make."""
        return plan_artifacts(self.recipe)

    @cached_property
    def stages(self) -> Stages:
        """Stages that are finished."""
        return Stages(self.folder, self.inputs.key, resume=self.resume)

    @cached_property
    def floats(self) -> Stages:
        """The finished stages that depend on no quantizing pass."""
        return Stages(self.folder, self.inputs.float_key, resume=self.resume)

    @cached_property
    def writer(self) -> Writer:
        """Writes the artifacts."""
        return Writer(self.recipe, self.folder, lambda artifact: self.inputs.about(artifact.precision))

    def of(self, recipe: Recipe, folder: Path) -> "RunContext":
        """The same for a recipe with other passes, in a folder of its own, which is gone on with."""
        return replace(self, recipe=recipe, folder=folder, resume=True, read=self.inputs)

    def measured_on(self, targets: Sequence[DeployTarget]) -> "RunContext":
        """The same with the recipe's targets."""
        return replace(self, targets=tuple(targets), read=self.inputs)

    @property
    def target_hashes(self) -> dict[str, str]:
        """By target, a hash of all that a measurement on it depends on."""
        return {target.name: sha256_text(target.measurement_key()) for target in self.targets}
