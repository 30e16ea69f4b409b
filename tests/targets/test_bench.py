"""Which artifacts a target runs, and what is said of a target that cannot be measured from here."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compress.artifacts.artifact import ENTRY, FORMATS, Artifact, artifact_of
from compress.bundle.manifest import write_manifest
from compress.cli.commands import app
from compress.errors import InputError, VerificationError
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.validation import load_model
from compress.results.performance import Delegation, Performance
from compress.targets.bench import BenchResult, at_host, evidence_of, runs
from compress.targets.entries import untimed

OR_HOST = "; for the device itself, give its address (--host)"
ARTIFACTS = [Artifact(format, precision) for format in FORMATS for precision in ("fp32", "int8")]
ARTIFACTS += [
    Artifact("onnx", "int8", "tensorrt"),
    Artifact("onnx", "int8", "htp"),
    Artifact("executorch", "int8", "vulkan"),
]
ARTIFACTS += [Artifact("executorch", "int8", "ethos_u85_1024")]


@pytest.fixture()
def shell(tmp_path: Path) -> Path:
    """A bundle of empty artifacts: enough for what is refused before anything is measured."""
    entries = {a.id: a.id + Path(ENTRY[a.format]).suffix for a in ARTIFACTS}
    for entry in entries.values():
        (tmp_path / entry).write_bytes(b"")
    artifacts = [{"id": a.id, "format": a.format, "precision": a.precision, "entry": entries[a.id]} for a in ARTIFACTS]
    facts = {"artifacts": artifacts, "seeds": {"noise": 0}, "recipe": {"measure": "quick"}}
    write_manifest(tmp_path, facts, list(entries.values()))
    return tmp_path


@pytest.mark.parametrize(
    ("target", "chosen"),
    [
        ("x86-onnxruntime", ["onnx-fp32", "onnx-int8"]),
        ("intel-npu-4000", ["openvino-int8"]),
        ("rpi5", ["onnx-fp32", "onnx-int8"]),
        ("jetson-orin-nano", ["onnx-fp32", "onnx-int8-tensorrt"]),
        ("x86-tensorrt", ["onnx-fp32", "onnx-int8-tensorrt"]),
        ("arm-cortex-a72-executorch", ["executorch-fp32", "executorch-int8"]),
        ("snapdragon-x-elite", ["onnx-fp32", "onnx-int8", "onnx-int8-htp"]),
        ("qualcomm-qcs6490", ["onnx-int8", "onnx-int8-htp"]),
        ("android-vulkan", ["executorch-int8-vulkan"]),
        ("x86-executorch-vulkan", ["executorch-int8-vulkan"]),
        ("arm-ethos-u85-1024", ["executorch-int8-ethos_u85_1024"]),
        ("arm-ethos-u65-512", []),
    ],
)
def test_a_target_runs_its_format_and_precisions(target: str, chosen: list[str]) -> None:
    loaded = load_model(DeployTarget, find("targets", target))
    assert [a.id for a in ARTIFACTS if runs(loaded, a)] == chosen


@pytest.mark.parametrize(
    "facts",
    [
        {"lint": ["x" * 5000]},
        {"runtime": {"types": ["x" * 5000]}},
        {"parser": {"layers": {"Conv": -1}}},
        {"estimate": {"latency_ms": float("inf")}},
    ],
)
def test_what_a_stranger_s_artifact_gives_is_recorded_or_refused(facts: dict[str, Any]) -> None:
    target = load_model(DeployTarget, find("targets", "x86-onnxruntime"))
    with pytest.raises(VerificationError, match="target x86-onnxruntime: onnx-int8: what it gives is not to be") as why:
        untimed(target, Artifact("onnx", "int8"), "measured", **facts)
    assert f"({next(iter(facts))}." in str(why.value) and str(why.value).count("\n") == 0


@pytest.mark.parametrize(("precisions", "wanted"), [(["fp32"], True), (["fp16", "int8"], False)])
def test_weights_alone_run_where_fp32_does(precisions: list[str], wanted: bool) -> None:
    target = load_model(DeployTarget, find("targets", "x86-openvino"), [f"precisions={precisions}"])
    assert runs(target, Artifact("openvino", "weights")) is wanted


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            "x86-executorch-vulkan",
            "executorch-vulkan is not set up here: run `compress targets setup executorch-vulkan --source CLONE`, with "
            f"a clone of ExecuTorch {version('executorch')}",
        ),
        (
            "intel-npu-4000",
            "intel-npu-compiler is not set up here (a compiler only estimates): run `compress targets setup "
            f"intel-npu-compiler` (290 MB to download){OR_HOST}",
        ),
        (
            "arm-cortex-a76-executorch",
            "arm-emulator is not set up here (an emulator gives no time): run `compress targets setup arm-emulator` "
            f"(190 MB to download){OR_HOST}",
        ),
        (
            "jetson-orin-nano",
            "tensorrt-rtx is not set up here (a parser only accepts or refuses): run `compress targets setup "
            f"tensorrt-rtx` (97 MB to download){OR_HOST}",
        ),
        (
            "x86-tensorrt",
            "TensorRT is not installed here: install the package tensorrt beside compress, on a machine with an "
            "NVIDIA GPU",
        ),
    ],
)
def test_a_target_that_cannot_run_here_gets_no_number(shell: Path, target: str, text: str) -> None:
    done = CliRunner().invoke(app, ["bench", str(shell), "--target", target, "--json"])
    assert done.exit_code == 4
    assert done.stderr == f"target {target}: {text}\n"
    entries = json.loads(done.stdout)["performance"]
    assert entries
    for entry in entries:
        assert (entry["target"], entry["evidence"], entry["why"]) == (target, "unavailable", done.stderr.strip())
        assert not any(isinstance(value, int | float) for value in entry.values())


def test_a_board_that_cannot_be_reached(shell: Path) -> None:
    board = shell / "board.yaml"
    board.write_text(find("targets", "rpi5").read_text().replace("host: rpi5", "host: no-such-host.invalid"))
    done = CliRunner().invoke(app, ["bench", str(shell), "--target", str(board), "--json"])
    assert done.exit_code == 4
    assert done.stderr.startswith(
        "target rpi5: no-such-host.invalid cannot be reached (ssh: Could not resolve hostname"
    )
    assert {entry["evidence"] for entry in json.loads(done.stdout)["performance"]} == {"unavailable"}


@pytest.mark.parametrize("target", ["arm-cortex-a76-onnxruntime", "intel-npu-3720", "jetson-thor", "rpi5"])
def test_host_names_the_device_of_any_target(target: str) -> None:
    result = at_host(load_model(DeployTarget, find("targets", target)), "anna@board-7")
    assert result.reach == "ssh" and result.ssh is not None and result.ssh.host == "anna@board-7"
    assert (result.emulator, result.compiler) == (None, None) and evidence_of(result) == "measured"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("android-vulkan", "is only compiled for, an app on the device runs it"),
        ("x86-executorch-vulkan", "is measured by a runtime built on this machine"),
    ],
)
def test_a_target_whose_programs_no_other_machine_runs_has_no_host(target: str, why: str) -> None:
    with pytest.raises(InputError, match=f"target {target}: {why}: leave the host out"):
        at_host(load_model(DeployTarget, find("targets", target)), "phone")


def test_a_host_that_ssh_would_take_for_an_option_is_refused() -> None:
    target = load_model(DeployTarget, find("targets", "rpi5"))
    with pytest.raises(InputError, match="host '-oProxyCommand=x': no host that ssh takes: give user@name"):
        at_host(target, "-oProxyCommand=x")


def test_a_missed_gate_ends_in_3_with_one_line() -> None:
    gate = Delegation(share=0.95, min=0.99, met=False)
    result = BenchResult(Path("b"), [Performance(artifact="executorch-int8", target="x86-executorch", delegated=gate)])
    assert result.exit_code == 3
    assert result.missed == [
        "target x86-executorch: executorch-int8: ExecuTorch's backend runs 95.0% of the multiply-accumulates, "
        "min_delegated asks for 99.0%: see delegated.outside"
    ]


def test_an_id_says_what_the_manifest_says() -> None:
    assert artifact_of("onnx-int8-tensorrt", "onnx", "int8") == Artifact("onnx", "int8", "tensorrt")
    for id_ in ("onnx-fp32", "openvino-int8", "onnx-int8x", "model"):
        with pytest.raises(VerificationError, match=f"artifact {id_}: its id does not begin with onnx-int8: do not"):
            artifact_of(id_, "onnx", "int8")


def test_an_edit_of_prose_measures_nothing_again() -> None:
    target = load_model(DeployTarget, find("targets", "x86-openvino"))
    prose = target.model_copy(update={"description": "x", "needs": "y", "quantization": None, "shapes": "dynamic"})
    assert prose.measurement_key() == target.measurement_key()
    for change in ({"threads": 3}, {"options": {}}, {"precisions": ["fp32"]}, {"memory_mb": 9}):
        assert target.model_copy(update=change).measurement_key() != target.measurement_key()
