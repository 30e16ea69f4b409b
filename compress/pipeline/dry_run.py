"""The plan that `compress apply --dry-run` shows."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from compress.errors import InputError
from compress.folders import MANIFEST, Owner, finished_stages
from compress.pipeline.context import RunContext
from compress.pipeline.inputs import estimated_bytes, model_values
from compress.pipeline.run_time import RunTime, run_time
from compress.pipeline.write_bundle import unchanged
from compress.recipe.deploy_target import DeployTarget

if TYPE_CHECKING:
    from rich.console import Group

    from compress.artifacts.artifact import Artifact


State = Literal["new", "reused", "continued", "replaced", "refused"]
STATES: dict[State, str] = {
    "new": "new",
    "reused": "exists: would be reused, nothing would be made again",
    "continued": "exists: would be continued, what is unchanged would be reused",
    "replaced": "exists: would be made again from the start (--fresh)",
    "refused": "refused: nothing would be written into it",
}


@dataclass(frozen=True)
class Plan:
    """What a run would do. ``missing``: why a target will be left out, by its name; ``owner``: whose the folder will
    be; ``before``: whose it is, as its manifest says; ``refused``: why the folder is not written into, else "".
    """

    context: RunContext
    targets: list[DeployTarget]
    missing: dict[str, str]
    owner: Owner
    before: Owner | None
    refused: str = ""

    def __repr__(self) -> str:
        context = self.context
        return f"<Plan of {context.recipe.name} in {context.folder}: {len(context.planned)} artifacts>"

    @property
    def exit_code(self) -> int:
        """2: the run would be refused."""
        return InputError.exit_code if self.refused else 0

    @cached_property
    def state(self) -> State:
        """What would become of the folder."""
        context = self.context
        if self.refused:
            return "refused"
        if not ((context.folder / MANIFEST).is_file() or any(True for _ in finished_stages(context.folder))):
            return "new"
        if not context.resume:
            return "replaced"
        return "reused" if unchanged(context) else "continued"

    @cached_property
    def run_time(self) -> RunTime:
        """About how long it would take."""
        return RunTime(None, "nothing would be run") if self.state == "reused" else run_time(self.context)

    @property
    def unavailable(self) -> list[str]:
        """One line for each target that will be left out."""
        return list(self.missing.values())

    @cached_property
    def _values(self) -> dict[str, int]:
        return model_values(self.context.inputs.weights)

    def to_json(self) -> dict[str, Any]:
        inputs, artifacts = self.context.inputs, self.context.planned
        data = {s.name: len(s) for s in (inputs.calibration, *inputs.validation)}
        return {
            "dry_run": True,
            "bundle": str(self.context.folder),
            "folder": {"state": self.state, "refused": self.refused or None},
            "expected_seconds": self.run_time.seconds,
            "expected_seconds_basis": self.run_time.basis,
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
            f"folder: {STATES[self.state]}",
            *([] if self.state == "reused" else [f"time: {self.run_time}"]),
            f"passes: {' -> '.join(plan['passes'])}",
            "data: " + ", ".join(f"{name} ({count} pictures)" for name, count in plan["data"].items()),
            f"targets: {', '.join(plan['targets']) or 'none'}",
        ]
        return Group(table, Text("\n".join(lines)))
