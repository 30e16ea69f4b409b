"""What is read out of Intel's NPU compiler, on a stand-in that prints as it does."""

import json
import sys
from pathlib import Path

import pytest

from compress.errors import CompressError, VerificationError
from compress.targets.npu.compiler import Trace, compile_for, estimate, shortened

TRACE = {
    "traceEvents": [
        {"name": "process_name", "ph": "M", "pid": 0, "args": {"name": "DMA"}},
        {"name": "a", "ph": "X", "cat": "DPU", "dur": 3.0, "args": {"Input tensors": "[1x64x64x38xui8]"}},
        {"name": "b", "ph": "X", "cat": "DPU", "dur": 1.0, "args": {"Input tensors": "[1x64x64x38xf16, 1x4xf16]"}},
        {"name": "b/variant", "ph": "X", "cat": "DPU", "dur": 9.0, "args": {"inStart": "[0, 0, 0]"}},
        {
            "name": "19",
            "ph": "X",
            "cat": "Layer",
            "dur": 692.9,
            "args": {"Layer type": "Convolution", "DPU time": "836us 310ns", "DMA time": "1ms 12us"},
        },
        {"name": "20", "ph": "X", "cat": "Layer", "dur": 1.0, "args": {"Layer type": "Swish", "Shave time": "5us"}},
        {"name": "21", "ph": "X", "cat": "Layer", "dur": 1.0, "args": {"Layer type": "Swish", "Shave time": "6us"}},
    ],
    "taskStatistics": {
        "total duration": 6376.484,
        "DPU duration": 3611.4,
        "DMA duration": 2632.9,
        "SW duration": 1220.3,
    },
    "workpoint": {"freq": 1850.0, "status": "SIM"},
}


class StandIn:
    """A compiler that is a Python program."""

    def __init__(self, code: str) -> None:
        self.environment: dict[str, str] = {}
        self.command = [sys.executable, "-c", code]


def test_an_estimate_is_read_from_the_trace() -> None:
    result = estimate(Trace.model_validate(TRACE)).to_json()
    assert (result["latency_ms"], result["frequency_mhz"], result["int8_share"]) == (6.3765, 1850.0, 0.75)
    assert result["busy_ms"] == {"dpu": 3.6114, "dma": 2.6329, "software": 1.2203}
    assert result["layers"][0] == {"layer": "19", "type": "Convolution", "ms": 1.8483, "dpu": 0.83631, "dma": 1.012}
    assert result["layer_types"] == {"Convolution": 1.8483, "Swish": 0.011}


def test_an_accepted_model(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; assert 'NPU_PLATFORM=NPU4000' in sys.argv;"
        "pathlib.Path(sys.argv[2]).write_bytes(b'12345');"
        f"pathlib.Path('compileTimeScheduleTrace.json').write_text({json.dumps(json.dumps(TRACE))});"
        "print('[INFO] VCL Compiler Properties: ID: 2026.5, Version: 8.4, Supported'); print(); print('npuc ok 12')"
    )
    result = compile_for("NPU4000", tmp_path / "model.xml", StandIn(code))  # type: ignore[arg-type]
    assert result.error is None and result.blob_bytes == 5 and result.estimate is not None
    assert (result.estimate.compiler, result.estimate.latency_ms) == ("2026.5", 6.3765)


LONG = {"name": "x" * 5000, "ph": "X", "cat": "Layer"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Invalid JSON"),
        (json.dumps({**TRACE, "taskStatistics": {}}), "total duration"),
        (json.dumps({**TRACE, "taskStatistics": TRACE["taskStatistics"] | {"total duration": 1e300}}), "latency_ms"),
        (json.dumps({**TRACE, "traceEvents": [LONG]}), "layer: String should have at most 4096"),
        (None, "compileTimeScheduleTrace.json"),
    ],
)
def test_a_trace_whose_names_and_numbers_are_a_stranger_s(text: str | None, why: str, tmp_path: Path) -> None:
    (tmp_path / "trace").write_text(text or "")
    code = f"import sys, pathlib; pathlib.Path(sys.argv[2]).touch(); file = pathlib.Path({str(tmp_path / 'trace')!r});"
    code += "" if text is None else "pathlib.Path('compileTimeScheduleTrace.json').write_bytes(file.read_bytes());"
    with pytest.raises(VerificationError, match="compile for NPU4000: the compiler's trace is of no use") as raised:
        compile_for("NPU4000", tmp_path / "m.xml", StandIn(f"{code} print('npuc ok 1')"))  # type: ignore[arg-type]
    assert why in str(raised.value) and len(str(raised.value)) < 400


def test_a_refused_model(tmp_path: Path) -> None:
    code = "print('npuc error Exception from src/x.cpp:2: Check a failed at y.cpp:3: Upper bounds are not specified')"
    result = compile_for("NPU4000", tmp_path / "model.xml", StandIn(code))  # type: ignore[arg-type]
    assert result.error is not None and result.error.endswith("Upper bounds are not specified")
    assert (result.blob_bytes, result.estimate) == (None, None)


def test_a_compiler_that_dies(tmp_path: Path) -> None:
    with pytest.raises(CompressError, match=r"compile for NPU4000: the compiler ended without an answer \(so far\)"):
        compile_for("NPU4000", tmp_path / "model.xml", StandIn("print('so far'); exit(3)"))  # type: ignore[arg-type]


def test_nested_errors_keep_their_end() -> None:
    text = "Exception from src\\\\core.cpp:109: Exception from src\\\\plugin.cpp:13: Upper bounds are not specified"
    assert shortened(text).endswith("Upper bounds are not specified")
