"""The options that choose rows of the ledger, written once for every command that takes them."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from compress.ledger import Filter

WHICH = "which"
OPTIONS: dict[str, Any] = {
    "target": typer.Option(help="Only rows of this deploy target."),
    "task": typer.Option(help="Only rows of this task, for example sr_x4."),
    "recipe": typer.Option(help="Only rows of the recipe with this name."),
    "artifact": typer.Option(help="Only rows of this artifact, for example openvino-int8."),
    "dataset": typer.Option(help="Only rows with scores on this data set."),
    "since": typer.Option(metavar="TIME", help="Only rows since this date, or since 7d, 12h or 2w ago."),
    "until": typer.Option(metavar="TIME", help="Only rows before this date, or before 7d, 12h or 2w ago."),
}


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with the options above in the place of its keyword ``which``, a ``Filter``."""

    @wraps(command)
    def run(**given: Any) -> None:
        command(**{WHICH: _filter({name: given.pop(name) for name in OPTIONS}), **given})

    parameters = [part for own in inspect.signature(command).parameters.values() for part in _in_place_of(own)]
    # Typer reads both, in all of its releases; neither may name Filter, which is not imported here.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {part.name: part.annotation for part in parameters}
    return run


def _in_place_of(own: inspect.Parameter) -> list[inspect.Parameter]:
    kind = inspect.Parameter.KEYWORD_ONLY
    if own.name != WHICH:
        return [own.replace(kind=kind)]
    return [
        inspect.Parameter(name, kind, default=None, annotation=Annotated[str | None, option])
        for name, option in OPTIONS.items()
    ]


def _filter(given: dict[str, str | None]) -> "Filter":
    """Raises InputError for what is not a time."""
    from datetime import UTC, datetime

    from compress.ledger import Filter
    from compress.ledger.when import moment

    now = datetime.now(UTC)
    times = {name: None if (text := given.pop(name)) is None else moment(text, now) for name in ("since", "until")}
    return Filter(**given, **times)
