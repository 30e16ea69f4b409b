"""ptq: refused where it makes no sense, in one line."""

from collections.abc import Callable

import pytest

from compress.elir.model import Elir
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.ptq import Ptq
from compress.passes.quantize.engines import QuantizedModel
from compress.recipe.passes import ENGINE_CHOICES, WRITES, PtqSettings


def test_too_few_pictures(folded: Callable[..., Subject]) -> None:
    subject = folded()
    subject.calibration_count = 7
    with pytest.raises(InputError, match=r"^data.calibration: 7 pictures are too few for ptq, it needs 8 or more"):
        Ptq(PtqSettings()).run(subject)


def test_before_fold_time(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    with pytest.raises(InputError, match=r"^passes: ptq needs each Euler step as its own graph: put fold_time before"):
        Ptq(PtqSettings()).run(make_subject(tiny_elir))


def test_twice(folded: Callable[..., Subject]) -> None:
    subject = folded()
    subject.quantized = QuantizedModel("elir")
    with pytest.raises(InputError, match=r"^passes: ptq comes after a quantizing pass: put it before ptq$"):
        Ptq(PtqSettings()).run(subject)


@pytest.mark.parametrize("engine", ["nncf", "neural_compressor", "onnxruntime"])
def test_an_engine_that_cannot_write_a_format(engine: str, folded: Callable[..., Subject]) -> None:
    text = (
        f"^passes.ptq.engine: {engine} writes openvino, onnx, not executorch: "
        "remove executorch from export or use engine elir or torchao$"
    )
    with pytest.raises(InputError, match=text):
        Ptq(PtqSettings.model_validate({"engine": engine})).run(folded(("openvino", "executorch")))


@pytest.mark.parametrize("engine", ENGINE_CHOICES)
def test_a_layer_that_is_not_there(engine: str, folded: Callable[..., Subject]) -> None:
    settings = PtqSettings.model_validate({"engine": engine, "keep_float": ["decoder"]})
    text = "^passes.ptq.keep_float: no layer is named decoder: names look like enc.layers.0$"
    with pytest.raises(InputError, match=text):
        Ptq(settings).run(folded())


def test_every_engine_has_its_choices() -> None:
    assert WRITES.keys() == ENGINE_CHOICES.keys()
