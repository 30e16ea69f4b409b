"""Artifacts through TensorRT-RTX's parser -> ``performance`` entries of evidence parsed."""

import subprocess
from pathlib import Path

from pydantic import BaseModel

from compress.artifacts.artifact import Artifact
from compress.errors import VerificationError
from compress.python_process import python_command, python_environment
from compress.results.machine import Machine
from compress.results.performance import Performance
from compress.targets.entries import Bench
from compress.text import one_line

PARSE_S = 900

PARSER = Path(__file__).with_name("parse.py")


class ParserAnswer(BaseModel):
    """What parse.py prints."""

    version: str
    accepted: bool
    errors: list[str]
    layers: dict[str, int]


def bench_parsed(bench: Bench) -> list[Performance]:
    """Show every artifact to TensorRT-RTX's ONNX parser, and to the checks that need none (``lint``).

    ``accepted``, ``parser`` (``version``, ``layers`` by type); a refused artifact has ``why`` and evidence unavailable.
    """
    from compress.artifacts.inspect.tensorrt_rules import lint
    from compress.targets.tools.tensorrt_rtx import TensorrtRtx

    tool = TensorrtRtx()
    tool.require()
    parsed = bench.each("parse", lambda artifact, path, _: parse(path, tool.site))
    return [_entry(bench, artifact, lint(path), parsed[artifact]) for artifact, path in bench.artifacts.items()]


def parse(path: Path, site: Path) -> ParserAnswer:
    """What the parser, whose packages lie in ``site``, says of an ONNX file. Raises VerificationError where it does not
    end, or dies."""
    command = python_command(str(PARSER), str(path))
    try:
        done = subprocess.run(command, capture_output=True, env=python_environment(site), timeout=PARSE_S)
    except subprocess.TimeoutExpired:
        raise VerificationError(f"{path}: TensorRT-RTX's parser was not done after {PARSE_S} s") from None
    if done.returncode:
        last = one_line((done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1])
        raise VerificationError(f"{path}: TensorRT-RTX's parser ended with {done.returncode} ({last})")
    return ParserAnswer.model_validate_json(done.stdout)


def _entry(bench: Bench, artifact: Artifact, breaches: list[str], parsed: ParserAnswer) -> Performance:
    facts = {
        "lint": breaches,
        "parser": {"tensorrt_rtx": parsed.version, "layers": parsed.layers},
        "machine": Machine(cpu="none: parsed by TensorRT-RTX"),
    }
    if parsed.accepted:
        return bench.entry(artifact, "parsed", accepted=True, **facts)
    return bench.refused(artifact, "parser", one_line((parsed.errors or ["no message"])[0], 300), **facts)
