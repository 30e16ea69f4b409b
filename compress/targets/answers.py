"""What the runner, or a page, answers, here or on a device: a stranger's words until they are read into these models.

Text is printable and short, numbers are finite and bounded, and whatever is missing ends in one line.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compress.errors import Unavailable
from compress.recipe.names import Name
from compress.results.json_text import parse_json
from compress.results.machine import Machine, Readings, Series
from compress.results.performance import Accuracy, Fact
from compress.results.section import Count, Figure, Text
from compress.text import one_line

MOST_BYTES = 8 << 20
"""Largest size of a result: 700,000 timed runs."""
MOST_PARTS = 10_000
"""Lists and mappings in an answer: a million empty ones take a hundred times the memory of their text."""

M = TypeVar("M", bound="Message")

Milliseconds = Annotated[float, Field(ge=1e-5, le=1e7)]
"""Time of a run: from 10 ns to hours, so that the ratio of two times stays in the range of a figure."""


class Message(BaseModel):
    """One JSON document. What a newer runner adds is left out."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, frozen=True)


class RunnerError(Message):
    """What ended a job or a verb."""

    message: Text
    exit_code: int = Unavailable.exit_code


class Refusal(Message):
    """The answer of a verb that could not be done."""

    error: RunnerError


class Status(Message):
    """State of a job. ``received``: bytes that have arrived, by file; ``seq`` changes with the state."""

    state: Literal["none", "starting", "receiving", "measuring", "done", "failed"]
    seq: Count
    note: Text = ""
    error: RunnerError | None = None
    received: dict[str, Count] = Field(default={}, max_length=1000)


class Delivery(Message):
    """Bytes that a file has after ``put``."""

    bytes: Count


class Removal(Message):
    """Whether a job's folder is gone."""

    removed: bool


class DeviceMachine(Machine, extra="ignore"):
    """The device's own facts."""


class DeviceSeries(Series, extra="ignore"):
    """One quantity, sampled."""


class DeviceReadings(Readings, extra="ignore"):
    """Clock, temperature, power; and the settings that ``measuring.record`` names."""

    clock_mhz: DeviceSeries | None = None
    temperature_c: DeviceSeries | None = None
    power_w: DeviceSeries | None = None


class DeviceAccuracy(Accuracy, extra="ignore"):
    """Figures over the sample pictures."""


class TimedRuns(Message):
    """An artifact's timed runs, in ms, and how many came before them."""

    samples: list[Milliseconds] = Field(min_length=2, max_length=1_000_000)
    warmup: Count


class ArtifactRun(TimedRuns):
    """One artifact: loaded and run in a process of its own, then timed among the others."""

    load_ms: Milliseconds
    first_inference_ms: Milliseconds
    peak_rss_mb: Figure | None
    facts: dict[Text, Fact]
    accuracy: DeviceAccuracy | None = None


class RunnerResult(Message):
    """What a job measured."""

    machine: DeviceMachine
    threads: Count
    sampled: DeviceReadings
    artifacts: dict[Name, ArtifactRun] = Field(max_length=1000)


class PageLoad(Message):
    """An artifact's first inference in a browser."""

    load_ms: Milliseconds
    first_inference_ms: Milliseconds
    version: Text
    wasm_memory_mb: Figure


class PageResult(Message):
    """What a page measured."""

    browser: Text
    cold: dict[Name, PageLoad]
    warm: dict[Name, TimedRuns]


def read_answer(kind: type[M], said: bytes) -> M | RunnerError:
    """The last line of what the runner printed, or the error that it tells.

    Raises ValueError, with the place in it that is wrong, for anything else.
    """
    line = said.rstrip().rpartition(b"\n")[2]
    if line.count(b"[") + line.count(b"{") > MOST_PARTS:
        raise ValueError(f"has more than {MOST_PARTS} parts")
    try:
        document = _printable(parse_json(line))
    except ValueError as error:
        raise ValueError(one_line(f"no JSON: {error}", 100)) from None
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        mistake = error
    try:
        return Refusal.model_validate(document).error
    except ValidationError:
        first = mistake.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(one_line(f"{place}: {first['msg']}" if place else first["msg"], 100)) from None


def _printable(value: Any) -> Any:
    """A copy whose text, keys too, is short and has nothing in it that a terminal or a page would obey."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, dict):
        return {one_line(key): _printable(inner) for key, inner in value.items()}
    return [_printable(inner) for inner in value] if isinstance(value, list) else value
