"""The plan that `compress apply --dry-run` shows."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from compress.folders import Owner
from compress.pipeline.context import RunContext
from compress.pipeline.inputs import estimated_bytes
from compress.recipe.schema import DeployTarget

if TYPE_CHECKING:
    from rich.console import Group

    from compress.artifacts.artifact import Artifact


@dataclass(frozen=True)
class Plan:
    """What a run would do. ``missing``: why a target will be left out, by its name; ``owner``: whose the folder will
    be; ``before``: whose it is, as its manifest says.
    """

    context: RunContext
    targets: list[DeployTarget]
    missing: dict[str, str]
    owner: Owner
    before: Owner | None
    exit_code: int = 0

    def __repr__(self) -> str:
        context = self.context
        return f"<Plan of {context.recipe.name} in {context.folder}: {len(context.planned)} artifacts>"

    @property
    def unavailable(self) -> list[str]:
        """One line for each target that will be left out."""
        return list(self.missing.values())

    @cached_property
    def _values(self) -> dict[str, int]:
        from compress.elir.metadata import count_values

        return count_values(self.context.inputs.weights)

    def to_json(self) -> dict[str, Any]:
        inputs, artifacts = self.context.inputs, self.context.planned
        data = {s.name: len(s) for s in (inputs.calibration, *inputs.validation)}
        return {
            "dry_run": True,
            "bundle": str(self.context.folder),
            "passes": [item.name for item in self.context.recipe.passes],
            "data": data,
            "artifacts": [{"id": a.id, "entry": a.entry, "estimated_bytes": self._bytes(a)} for a in artifacts],
            "estimated_bytes": sum(map(self._bytes, artifacts)),
            "targets": [t.name for t in self.targets],
            "unavailable": self.unavailable,
        }

    def _bytes(self, artifact: "Artifact") -> int:
        return estimated_bytes(self.context.recipe, self._values, artifact)

    def table(self) -> "Group":
        """The plan for a terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        plan = self.to_json()
        table = Table(title=f"{self.context.recipe.name}: nothing was run", title_justify="left")
        table.add_column("artifact")
        table.add_column("file")
        table.add_column("about MB", justify="right")
        for artifact in plan["artifacts"]:
            table.add_row(artifact["id"], artifact["entry"], f"{artifact['estimated_bytes'] / 1e6:.1f}")
        lines = [
            f"bundle: {plan['bundle']}, about {plan['estimated_bytes'] / 1e6:.0f} MB",
            f"passes: {' -> '.join(plan['passes'])}",
            "data: " + ", ".join(f"{name} ({count} pictures)" for name, count in plan["data"].items()),
            f"targets: {', '.join(plan['targets']) or 'none'}",
        ]
        return Group(table, Text("\n".join(lines)))
