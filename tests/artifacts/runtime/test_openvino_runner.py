"""OpenVINO: float32 unless asked otherwise, settings in force."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from openvino import properties

from compress.artifacts.about import ABOUT
from compress.artifacts.runtime.contents import Contents
from compress.artifacts.runtime.open import open_runner
from compress.artifacts.runtime.openvino_runner import OpenvinoRunner
from compress.errors import InputError, VerificationError

only = pytest.mark.parametrize("format", ["openvino"], indirect=True)


def compiled_property(runner: object, name: str) -> object:
    return runner._compiled.get_property(name)  # type: ignore[attr-defined]


@only
def test_settings_reach_the_runtime(artifact: Path) -> None:
    runner = open_runner(artifact, "openvino", threads=1)
    assert compiled_property(runner, properties.inference_num_threads()) == 1
    assert compiled_property(runner, properties.hint.inference_precision()).get_type_name() == "f32"
    assert str(compiled_property(runner, properties.num_streams())) == "1"


@only
def test_options_win(artifact: Path) -> None:
    runner = open_runner(artifact, "openvino", 1, {"INFERENCE_NUM_THREADS": 2})
    assert compiled_property(runner, properties.inference_num_threads()) == 2
    assert runner.facts["INFERENCE_NUM_THREADS"] == 2


@only
def test_an_unknown_option_is_refused(artifact: Path) -> None:
    with pytest.raises(InputError, match=r"option NUM_TREADS=2: refused by OpenVINO: correct it"):
        open_runner(artifact, "openvino", 1, {"NUM_TREADS": 2})


@only
def test_missing_weights_are_refused(artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_bytes(artifact.read_bytes())
    with pytest.raises(VerificationError, match=r"model\.xml: its weights, model\.bin, are not beside it: copy both"):
        open_runner(path, "openvino", 1)


@only
def test_a_damaged_file_whose_bytes_the_message_quotes_is_refused(artifact: Path, tmp_path: Path) -> None:
    """OpenVINO's message holds the byte, and Python's binding fails at it."""
    damaged = artifact.read_bytes().replace(b'type="Parameter"', b'type="Param\xa2ter"', 1)
    (tmp_path / "model.xml").write_bytes(damaged)
    (tmp_path / "model.bin").write_bytes(artifact.with_suffix(".bin").read_bytes())
    with pytest.raises(VerificationError, match=r"model\.xml: refused, not a readable OpenVINO IR"):
        open_runner(tmp_path / "model.xml", "openvino", 1)


@only
def test_what_it_says_of_itself_may_be_a_tree(artifact: Path, tmp_path: Path) -> None:
    """Printing a deep one was a RecursionError, reported as a bug."""
    text, depth = artifact.read_text(), 1000
    before, _, after = text.rpartition("</net>")
    tree = "<task>" * depth + "</task>" * depth
    head = before.rpartition("<rt_info>")[0]
    (tmp_path / "model.xml").write_text(f"{head}<rt_info><{ABOUT}>{tree}</{ABOUT}></rt_info></net>{after}")
    (tmp_path / "model.bin").write_bytes(artifact.with_suffix(".bin").read_bytes())
    assert "task" not in open_runner(tmp_path / "model.xml", "openvino", 1).about


OUT_OF_ORDER = """
import signal, sys
from pathlib import Path
from compress.artifacts.runtime.open import open_runner
first, second = (open_runner(Path(sys.argv[1]), "openvino", 1) for _ in range(2))
del first
del second
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.raise_signal(signal.SIGUSR1)
"""


@only
def test_a_signal_after_runners_ended_out_of_order(artifact: Path) -> None:
    """On a CPU with AMX, a Core of its own for each leaves an unmapped stack for signals: SIGSEGV."""
    done = subprocess.run([sys.executable, "-c", OUT_OF_ORDER, str(artifact)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@only
def test_no_place_in_openvinos_source_is_told(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_text("<net/>")
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(VerificationError) as caught:
        open_runner(tmp_path / "model.xml", "openvino", 1)
    assert ".cpp" not in str(caught.value) and ".hpp" not in str(caught.value)


IR = """<net name="x" version="11"><layers>
<layer id="0" name="p" type="Parameter" version="opset1"><data shape="{shape}" element_type="{kind}"/>
<output><port id="0" precision="FP32"{names}>{dims}</port></output></layer>
<layer id="1" name="r" type="Result" version="opset1"><input><port id="0" precision="FP32">{dims}</port></input></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges><rt_info/></net>"""
DIMS = "<dim>1</dim><dim>3</dim><dim>64</dim><dim>64</dim>"
ODD = {
    "no name": {"names": ""},
    "no rank": {"shape": "...", "dims": ""},
    "no sides": {"shape": "", "dims": ""},
    "a side that is not known": {"shape": "1,3,?,64", "dims": DIMS.replace("64", "-1", 1)},
    "a side beyond 64 bits": {"shape": f"1,3,64,{2**70}"},
    "a type of its own": {"kind": "f99"},
    "text": {"kind": "string"},
    "another name": {"names": ' names="[/x]"'},
}


@pytest.mark.parametrize("how", ODD)
def test_an_ir_that_a_stranger_wrote(how: str, tmp_path: Path) -> None:
    given = {"shape": "1,3,64,64", "kind": "f32", "names": ' names="lq"', "dims": DIMS, **ODD[how]}
    (tmp_path / "m.xml").write_text(IR.format(**given))
    (tmp_path / "m.bin").write_bytes(b"")
    with pytest.raises(VerificationError) as caught:
        open_runner(tmp_path / "m.xml", "openvino", 1).run(np.zeros((1, 3, 64, 64), np.float32), None)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello: 5",
        b"<a>" * 100,
        b'node { name: "x" }',
        b"PK\3\4",
        b"<!DOCTYPE net><net>",
        b"\0" * 64,
        b"<nets/>",
        b"<!---->" * 999,
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_what_is_no_ir_is_read_by_no_other_parser(
    inside: bool, data: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """OpenVINO tries it as TensorFlow's, TFLite's, Paddle's and ONNX's, and the first prints."""
    path = tmp_path / "model.xml"
    path.write_bytes(data)
    with pytest.raises(VerificationError, match=r"not a readable OpenVINO IR \(it does not begin as one\)"):
        OpenvinoRunner(path, 1, {}, Contents(data, b"weights") if inside else None)
    assert capfd.readouterr() == ("", "")
