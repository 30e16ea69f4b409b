"""Which artifacts a recipe asks for, and what TensorRT asks of its own."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import nn

from compress.artifacts.artifact import Artifact, artifact_of, by_own_rules, not_run, plan_artifacts
from compress.artifacts.writer import Writer, simulated
from compress.errors import InputError, VerificationError
from compress.passes.quantize.engines import QuantizedModel
from compress.recipe.schema import Recipe

Make = Callable[..., Recipe]


def ids(recipe: Recipe) -> list[str]:
    return [a.id for a in plan_artifacts(recipe)]


def test_only_a_program_of_executorch_s_has_a_backend_that_does_not_run_here() -> None:
    """`verify` would not run a stranger's ONNX file that is named so."""
    for variant in ("vulkan", "openvino", "ethos_u55_256"):
        assert not_run(f"executorch-int8-{variant}")
        for format in ("onnx", "openvino"):
            assert not_run(f"{format}-int8-{variant}") == ""
            named = artifact_of(f"{format}-int8-{variant}", format, "int8")  # type: ignore[arg-type]
            assert (named.backend, named.not_run) == ("xnnpack", "")


def test_floats_come_first(tiny_recipe: Make) -> None:
    formats = {"onnx": {}, "executorch": {"precisions": ["int8", "fp16"]}}
    assert ids(tiny_recipe(export=formats)) == [
        *("onnx-fp32", "onnx-fp16", "executorch-fp16"),
        *("onnx-int8", "onnx-int8-tensorrt", "executorch-int8"),
    ]


def test_three_graphs_are_one_artifact(tiny_recipe: Make) -> None:
    recipe = tiny_recipe(export={"onnx": {"precisions": ["int8"]}, "executorch": {}, "layout": "staged"})
    assert "tensorrt" not in " ".join(ids(recipe)), "TensorRT's file is left out"
    program = next(a for a in plan_artifacts(recipe) if a.id == "executorch-fp32")
    assert program.entry == "fp32/executorch/encode.pte"
    assert program.files[2:] == tuple(
        f"fp32/executorch/{n}" for n in ("flow.pte", "flow.json", "decode.pte", "decode.json")
    )
    assert program.graphs_at(Path("x/encode.pte")) == [Path("x/encode.pte"), Path("x/flow.pte"), Path("x/decode.pte")]


@pytest.mark.parametrize("engine", ["nncf", "onnxruntime", "torchao"])
def test_only_our_engine_writes_for_tensorrt(tiny_recipe: Make, engine: str) -> None:
    passes = [{"fold_time": {}}, {"ptq": {"engine": engine}}]
    assert ids(tiny_recipe(passes=passes, export={"onnx": {"precisions": ["int8"]}})) == ["onnx-int8"]


def test_the_tensorrt_file_can_be_left_out(tiny_recipe: Make) -> None:
    assert ids(tiny_recipe(export={"onnx": {"precisions": ["int8"], "tensorrt": False}})) == ["onnx-int8"]


def test_a_file_for_hexagon_npus_is_written_where_it_is_asked_for(tiny_recipe: Make) -> None:
    recipe = tiny_recipe(export={"onnx": {"precisions": ["int8"], "htp": True}})
    assert ids(recipe) == ["onnx-int8", "onnx-int8-tensorrt", "onnx-int8-htp"]
    assert plan_artifacts(recipe)[-1].entry == "int8/onnx/model_htp.onnx"
    assert [by_own_rules(id_) for id_ in ids(recipe)] == [False, True, True]
    assert by_own_rules("onnx-int8-htp-64x96") and not by_own_rules("onnx-int8-64x96")


def test_int8_without_ptq_is_refused(tiny_recipe: Make) -> None:
    with pytest.raises(InputError) as caught:
        plan_artifacts(tiny_recipe(passes=[{"collapse": {}}], export={"onnx": {}}))
    assert str(caught.value) == "export.onnx: int8 needs a quantizing pass: add ptq to passes or remove int8"


def test_weights_alone_have_a_precision_of_their_own(tiny_recipe: Make) -> None:
    passes = [{"fold_time": {}}, {"weights": {"bits": 4}}]
    assert ids(tiny_recipe(passes=passes, export={"onnx": {}})) == ["onnx-fp32", "onnx-fp16", "onnx-weights"]
    assert Artifact("openvino", "weights").files == ("weights/openvino/model.xml", "weights/openvino/model.bin")
    with pytest.raises(InputError) as caught:
        plan_artifacts(tiny_recipe(export={"onnx": {"precisions": ["weights"]}}))
    assert str(caught.value) == "export.onnx: weights needs the pass weights: add weights to passes or remove weights"


SIDES = st.integers(1, 4096)


@given(st.sampled_from(["", "tensorrt", "htp"]), st.none() | st.tuples(SIDES, SIDES))
def test_an_id_says_the_shape(variant: str, shape: tuple[int, int] | None) -> None:
    artifact = Artifact("onnx", "int8", variant, shape)
    assert artifact_of(artifact.id, "onnx", "int8") == artifact


@pytest.mark.parametrize("id", ["onnx-int8-064x96", "onnx-int8x64x96", "onnx-int8-", "onnx-fp32-64x96"])
def test_an_id_that_is_none(id: str) -> None:
    with pytest.raises(VerificationError, match="its id does not begin with onnx-int8"):
        artifact_of(id, "onnx", "int8")


def test_files_of_shapes(tiny_recipe: Make) -> None:
    recipe = tiny_recipe(model={"weights": "x", "image_sizes": [64, [64, 96]]})
    files = {artifact.id: artifact.files for artifact in plan_artifacts(recipe)}
    assert files["openvino-int8-64x96"] == ("int8/openvino/model_64x96.xml", "int8/openvino/model.bin")
    assert files["onnx-int8"] == ("int8/onnx/model.onnx", "int8/onnx/model.data")
    assert files["onnx-int8-tensorrt-64x96"] == (
        *("int8/onnx/model_tensorrt_64x96.onnx", "int8/onnx/model_tensorrt.data"),
    )


def test_several_shapes_need_our_engine(tiny_recipe: Make) -> None:
    passes = [{"fold_time": {}}, {"ptq": {"engine": "nncf"}}]
    with pytest.raises(InputError, match="image_sizes: ptq's engine nncf makes graphs of one shape: use engine elir"):
        plan_artifacts(tiny_recipe(model={"weights": "x", "image_sizes": [64, 96]}, passes=passes))


def test_files() -> None:
    assert Artifact("openvino", "fp16").files == ("fp16/openvino/model.xml", "fp16/openvino/model.bin")
    assert Artifact("executorch", "int8").files == ("int8/executorch/model.pte", "int8/executorch/model.json")
    assert Artifact("onnx", "int8", "tensorrt").files == ("int8/onnx/model_tensorrt.onnx",)


def test_each_format_takes_the_best_module_there_is() -> None:
    x86, own = nn.Identity(), nn.Identity()
    quantized = QuantizedModel("elir", modules={"x86": x86, "openvino": own})
    assert simulated(quantized, Artifact("openvino", "int8")) is own
    assert simulated(quantized, Artifact("onnx", "int8")) is x86
    assert simulated(quantized, Artifact("executorch", "int8")) is None


@pytest.fixture(scope="module", params=["model.onnx", "model_tensorrt.onnx"])
def int8(finished: Any, request: pytest.FixtureRequest) -> onnx.ModelProto:
    return onnx.load(Path(finished.folder) / "int8/onnx" / request.param)


def constants(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    result = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            result[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return result


def test_int8_files_hold_int8_weights_and_plain_operators(int8: onnx.ModelProto) -> None:
    onnx.checker.check_model(int8, full_check=True)
    assert [o.version for o in int8.opset_import if o.domain == ""] == [20]
    assert {node.domain for node in int8.graph.node} == {""}
    sizes = {8: 0, 32: 0}
    for value in constants(int8).values():
        sizes[8 if value.dtype in (np.int8, np.uint8) else 32] += value.size
    assert sizes[8] > 20 * sizes[32]


def test_weights_are_symmetric_per_channel_and_biases_are_float(int8: onnx.ModelProto) -> None:
    known, made = constants(int8), {node.output[0]: node for node in int8.graph.node}
    convs = [node for node in int8.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    quantized = 0
    for conv in convs:
        weight = made.get(conv.input[1])
        if weight is not None and weight.op_type == "DequantizeLinear":
            quantized += 1
            scales = known[weight.input[1]]
            assert scales.ndim == 1 and scales.size in known[weight.input[0]].shape
            assert len(weight.input) == 2 or not known[weight.input[2]].any(), "zero point 0"
        if len(conv.input) == 3:
            assert conv.input[2] in known and known[conv.input[2]].dtype == np.float32, "no bias QDQ"
    assert quantized > 0.9 * len(convs)


def test_tensorrt_gets_signed_symmetric_activations(finished: Any) -> None:
    proto = onnx.load(finished.folder / "int8/onnx/model_tensorrt.onnx")
    known = constants(proto)
    pairs = [node for node in proto.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert any(node.op_type == "QuantizeLinear" for node in pairs)
    for node in pairs:
        if len(node.input) == 3:
            zero = known[node.input[2]]
            assert zero.dtype == np.int8 and not zero.any()
        else:
            assert node.op_type == "DequantizeLinear" and known[node.input[0]].dtype == np.int8


def test_another_model_at_the_same_address_has_a_graph_of_its_own(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tiny_recipe(), tmp_path)
    monkeypatch.setattr(writer, "_onnx", lambda model, shape, stage: model.out_features)
    result = []
    for size in range(1, 30):  # each is gone before the next is made, as far as the writer does not keep it
        result.append(writer.float_graph(nn.Linear(1, size), "onnx"))
        gc.collect()
    assert result == list(range(1, 30))
