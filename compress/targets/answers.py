"""What the runner, or a page, answers, here or on a device: a stranger's words until they are read into these models.

Text is printable and short, numbers are finite and bounded, and whatever is missing is told as one line.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from compress.recipe.names import Name
from compress.results.section import Count, Figure
from compress.text import one_line

MOST_BYTES = 8 << 20
"""Of a result: 700,000 timed runs."""
MOST_PARTS = 10_000
"""Lists and mappings in an answer: a million empty ones take a hundred times the memory of their text."""

M = TypeVar("M", bound="Message")

Line = Annotated[str, AfterValidator(one_line)]
Setting = Annotated[str, AfterValidator(lambda text: one_line(text, 500))]
Milliseconds = Annotated[float, Field(ge=1e-5, le=1e7)]
"""Of a run: from 10 ns to hours, so that no ratio of two leaves the range of a figure."""
Fact = Setting | bool | Count | Figure | Annotated[list[Line], Field(max_length=50)] | None
Facts = Annotated[dict[Line, Fact], Field(max_length=100)]


class Message(BaseModel):
    """One JSON document. What a newer runner adds is left out."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, frozen=True)


class RunnerError(Message):
    """What ended a job or a verb."""

    message: Line
    exit_code: int = 4


class Refusal(Message):
    """The answer of a verb that could not be done."""

    error: RunnerError


class Status(Message):
    """Where a job stands. ``received``: bytes that have arrived, by file; ``seq`` changes with the state."""

    state: Literal["none", "starting", "receiving", "measuring", "done", "failed"]
    seq: Count
    note: Line = ""
    error: RunnerError | None = None
    received: dict[str, Count] = Field(default={}, max_length=1000)


class Delivery(Message):
    """Bytes that a file has after ``put``."""

    bytes: Count


class Removal(Message):
    """Whether a job's folder is gone."""

    removed: bool


class Machine(Message):
    """The device's own facts; what its system does not tell is null."""

    cpu: Line
    model: Line | None = None
    cores: Count | None = None
    logical_cores: Count | None = None
    features: list[Line] = Field(default=[], max_length=2000)
    memory_gb: Figure | None = None
    load_average: Figure | None = None
    governor: Line | None = None
    os: Line | None = None
    python: Line | None = None


class Series(Message):
    """One quantity, sampled while the timed runs ran."""

    min: Figure
    median: Figure
    max: Figure
    n: Count
    source: Line


class Sampled(Message):
    """Clock, temperature, power; and the settings that ``measuring.record`` names."""

    clock_mhz: Series | None = None
    temperature_c: Series | None = None
    power_w: Series | None = None
    settings: dict[Line, Setting | None] = Field(default={}, max_length=100)


class Accuracy(Message):
    """Of the sample pictures, in dB, at most 100."""

    n: Count
    psnr_db: Figure | None = None
    fidelity_db: Figure | None = None
    parity_db: Figure | None = None
    simulated_db: Figure | None = None


class Timed(Message):
    """An artifact's timed runs, in ms, and how many came before them."""

    samples: list[Milliseconds] = Field(min_length=2, max_length=1_000_000)
    warmup: Count


class ArtifactRun(Timed):
    """One artifact: loaded and run in a process of its own, then timed among the others."""

    load_ms: Milliseconds
    first_inference_ms: Milliseconds
    peak_rss_mb: Figure | None
    facts: Facts
    accuracy: Accuracy | None = None


class RunnerResult(Message):
    """What a job measured."""

    machine: Machine
    threads: Count
    sampled: Sampled
    artifacts: dict[Name, ArtifactRun] = Field(max_length=1000)


class PageLoad(Message):
    """An artifact's first inference in a browser."""

    load_ms: Milliseconds
    first_inference_ms: Milliseconds
    version: Line
    wasm_memory_mb: Figure


class PageResult(Message):
    """What a page measured."""

    browser: Line
    cold: dict[Name, PageLoad]
    warm: dict[Name, Timed]


def read_answer(kind: type[M], said: bytes) -> M | RunnerError:
    """The last line of what the runner printed, or the error that it tells.

    Raises ValueError, with the place in it that is wrong, for anything else.
    """
    line = said.rstrip().rpartition(b"\n")[2]
    if line.count(b"[") + line.count(b"{") > MOST_PARTS:
        raise ValueError(f"has more than {MOST_PARTS} parts")
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        mistake = error
    try:
        return Refusal.model_validate_json(line).error
    except ValidationError:
        first = mistake.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(one_line(f"{place}: {first['msg']}" if place else first["msg"], 100)) from None
