"""What is not written: float16 artifacts of weights that float16 cannot hold."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from compress.artifacts.artifact import Artifact
from compress.artifacts.writer import Writer
from compress.elir.model import Elir
from compress.errors import InputError
from compress.recipe.schema import Recipe


def test_a_weight_that_float16_cannot_hold(tiny_elir: Elir, tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    tiny_elir.dec.layers[0].weight.data[0, 0] = -7e4  # type: ignore[union-attr, operator, index]
    message = "dec.layers.0.weight reaches 7e+04, float16 ends at 65504: leave fp16 out of export.executorch.precisions"
    with pytest.raises(InputError, match=re.escape(message)):
        Writer(tiny_recipe(), tmp_path).lower(tiny_elir, Artifact("executorch", "fp16"))
    assert list(tmp_path.iterdir()) == []
