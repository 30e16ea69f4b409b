"""What a training says of a step, or of what else has happened, as a line of JSON."""

from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
"""``stage``, ``step``, ``of``, and the terms of the loss by name; or ``validation``, ``resumed``, ``encoded``."""
