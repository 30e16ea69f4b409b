"""Artifacts by their shape, with the validation pictures that are large enough for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from compress.artifacts.artifact import Artifact
from compress.data.sets import PictureSet
from compress.pipeline.inputs import Inputs


@dataclass(frozen=True)
class ShapeGroup:
    """``text``: 384x640; "" for the recipe's first shape. ``sets``: those with a picture as large; ``notes``: of which
    pictures are left out.
    """

    text: str
    artifacts: list[Artifact]
    sets: list[PictureSet]
    notes: list[str] = field(default_factory=list)

    @property
    def runnable(self) -> list[Artifact]:
        """Those that run on this machine."""
        return [artifact for artifact in self.artifacts if not artifact.not_run]

    @property
    def suffix(self) -> str:
        """Ending of names: "" or -384x640."""
        return self.text and f"-{self.text}"


def shape_groups(planned: Sequence[Artifact], inputs: Inputs) -> list[ShapeGroup]:
    """One for each shape of ``planned``, the first shape first."""
    groups = [ShapeGroup("", [a for a in planned if a.shape is None], inputs.validation)]
    for shape, sets in inputs.validation_at.items():
        artifacts = [a for a in planned if a.shape == shape]
        text = artifacts[0].shape_text
        notes = [_note(text, s, len(whole)) for s, whole in zip(sets, inputs.validation, strict=True)]
        groups.append(ShapeGroup(text, artifacts, [s for s in sets if len(s)], [note for note in notes if note]))
    return groups


def _note(text: str, pictures: PictureSet, count: int) -> str:
    if len(pictures) == count:
        return ""
    if not len(pictures):
        return f"{text}: not measured on {pictures.name}: all of its pictures are smaller"
    return f"{text}: measured on {len(pictures)} of {count} pictures of {pictures.name}: the others are smaller"
