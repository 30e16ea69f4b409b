"""`compress targets ls` and `check`: what a bench on each target would find from here."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from compress.errors import Unavailable
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find, names
from compress.recipe.validation import load_model
from compress.targets.bench import TOOLS, check_target, evidence_of, needed_tool

if TYPE_CHECKING:
    from rich.table import Table

    from compress.progress import Progress

UNASKED = "not asked: `compress targets check {name}`"


@dataclass(frozen=True)
class State:
    """One target. ``available``: whether it can be measured from here; None: it was not asked. ``next``: what to do."""

    name: str
    runtime: str
    reach: str
    evidence: str
    available: bool | None
    next: str


@dataclass(frozen=True)
class Survey:
    """Every target that was looked at."""

    targets: list[State]

    @property
    def exit_code(self) -> int:
        """4 when one that was asked cannot be measured from here."""
        return 0 if all(state.available for state in self.targets) else Unavailable.exit_code

    def to_json(self) -> dict[str, Any]:
        """targets."""
        return {"targets": [asdict(state) for state in self.targets]}

    def table(self) -> "Table":
        """The survey for a terminal."""
        from rich.table import Table

        table = Table("", "target", "reach", "evidence", "next")
        for state in self.targets:
            sign = {True: "ok", False: "!", None: "?"}[state.available]
            table.add_row(sign, state.name, state.reach, state.evidence, state.next)
        return table


def survey(asked: Sequence[str], progress: "Progress", *, contact: bool) -> Survey:
    """Look at targets (none: all built-in ones). ``contact``: also those behind ssh, seconds each."""
    chosen = list(asked) or names("targets")
    with progress.stage("look at targets", len(chosen), even=False) as stage:
        states = []
        for name in chosen:
            stage.note(name)
            states.append(_state(load_model(DeployTarget, find("targets", name)), contact=contact))
            stage.advance()
    return Survey(states)


def _state(target: DeployTarget, *, contact: bool) -> State:
    facts = (target.name, target.runtime, target.reach)
    if target.ssh is not None and not contact:
        # It may not be there: only an answer makes it a device that is measured.
        return State(*facts, "unknown", None, UNASKED.format(name=target.name))
    try:
        check_target(target)
    except Unavailable as error:
        return State(*facts, "unavailable", False, _next(target, error))
    return State(*facts, evidence_of(target), True, "")


def _next(target: DeployTarget, error: Unavailable) -> str:
    needed = needed_tool(target)
    if needed is not None and not needed.ready:
        device = f", {needed.download_mb} MB; or --host" if target.reach in TOOLS else ""
        return f"`{needed.setup_command}`{device}"
    return str(error).removeprefix(f"target {target.name}: ")
