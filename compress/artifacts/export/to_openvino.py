"""ONNX -> OpenVINO IR. The ONNX graph is the one truth: both formats hold the same quantization."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.artifacts.about import ABOUT
from compress.artifacts.export.four_bits import pack_openvino
from compress.files import temporary_folder, whole_file


def to_openvino(proto: Any, *, half_weights: bool = False) -> Any:
    """ov.Model of an ONNX ModelProto; QDQ pairs become FakeQuantize, weights stay int8, or int4 where they fit.

    ``half_weights``: float weights that float16 holds exactly become that.
    """
    import openvino as ov

    with temporary_folder() as folder:
        # From a file: read from memory, the ONNX frontend skips the transformations that fold shape arithmetic.
        path = Path(folder) / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        model = ov.convert_model(path)
    _share_constants(model)
    pack_openvino(model)
    if half_weights:
        _pack_half(model)
    _name_shortly(model)
    return model


def save_openvino(
    model: Any, path: Path, *, float16: bool = False, compact: bool = False, about: Mapping[str, str] | None = None
) -> None:
    """Write ``path`` (.xml) and its .bin, both whole, the .xml last.

    ``compact``: leave out of the XML what OpenVINO infers when it reads it (ports' dimensions, inputs' precisions) and
    white space: of a small int8 model the XML would be a sixth. ``about``: what the file says of itself.
    """
    import openvino as ov

    with temporary_folder() as folder:
        # The file is named as at its end: OpenVINO writes the .bin beside the .xml under the same stem.
        written = Path(folder) / path.name
        ov.save_model(model, written, compress_to_fp16=float16)
        # The model's own rt_info, the last one, names the converter's temporary file.
        head, _, _ = (text := written.read_text(encoding="utf-8")).rpartition("<rt_info>")
        text = f"{head}</net>\n" if text.rstrip().endswith("</rt_info>\n</net>") else text
        text = _without_inferred(text) if compact else text
        written.write_text(_with_about(text, about or {}), encoding="utf-8")
        for suffix in (".bin", ".xml"):
            with whole_file(path.with_suffix(suffix)) as part:
                shutil.copyfile(written.with_suffix(suffix), part)


def _with_about(xml: str, about: Mapping[str, str]) -> str:
    if not about:
        return xml
    from xml.sax.saxutils import quoteattr

    facts = "".join(f"<{key} value={quoteattr(value)}/>" for key, value in sorted(about.items()))
    head, end, tail = xml.rpartition("</net>")
    return f"{head}<rt_info><{ABOUT}>{facts}</{ABOUT}></rt_info>{end}{tail}"


def _without_inferred(xml: str) -> str:
    xml = re.sub(r">\s+<", "><", xml)
    xml = re.sub(r"<dim>-?\d+</dim>", "", xml)
    xml = re.sub(r"<input>.*?</input>", lambda ports: re.sub(r' precision="\w+"', "", ports[0]), xml)
    return re.sub(r"(<port [^>]*)></port>", r"\1/>", xml).replace(" />", "/>")


def _pack_half(model: Any) -> None:
    import numpy as np
    from openvino import Type
    from openvino import opset13 as ops

    for op in model.get_ordered_ops():
        if op.get_type_name() != "Constant" or op.get_element_type() != Type.f32 or op.data.ndim < 4:
            continue
        with np.errstate(over="ignore"):
            half = op.data.astype(np.float16)
        if min(half.shape[:2]) > 1 and np.array_equal(half.astype(np.float32), op.data):
            users = op.output(0).get_target_inputs()
            converted = ops.convert(ops.constant(half), Type.f32)
            for user in users:
                user.replace_source_output(converted.output(0))


def _share_constants(model: Any) -> None:
    """Equal constants once, and no zero points of 0."""
    for op in model.get_ordered_ops():
        if op.get_type_name() == "Subtract" and _is_zero(op.input_value(1).get_node()):
            op.output(0).replace(op.input_value(0))
    shared: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
    for op in model.get_ordered_ops():
        if op.get_type_name() == "Constant":
            key = (str(op.get_element_type()), tuple(op.get_output_shape(0)), op.data.tobytes())
            if (first := shared.setdefault(key, op)) is not op:
                op.output(0).replace(first.output(0))


def _name_shortly(model: Any) -> None:
    for i, op in enumerate(model.get_ordered_ops()):
        if op.get_type_name() not in ("Parameter", "Result"):
            op.set_friendly_name(str(i))
            for output in op.outputs():
                if not any(t.get_node().get_type_name() == "Result" for t in output.get_target_inputs()):
                    output.get_tensor().set_names(set())


def _is_zero(node: Any) -> bool:
    while node.get_type_name() in ("Convert", "Reshape"):
        node = node.input_value(0).get_node()
    return node.get_type_name() == "Constant" and not node.data.any()
