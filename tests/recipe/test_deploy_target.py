"""The targets that are built in, and what does not fit together in one."""

from typing import Any

import pytest
from pydantic import ValidationError

from compress.recipe import library
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.validation import load_model


@pytest.mark.parametrize("name", library.names("targets"))
def test_every_built_in_target(name: str) -> None:
    target = load_model(DeployTarget, library.find("targets", name))
    assert target.name == name and target.description and target.needs
    assert ("int8" in target.precisions) == (target.quantization is not None)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"reach": "ssh"}, "ssh is missing: add it, since reach is ssh"),
        ({"ssh": {"host": "pi"}}, "ssh must be left out, since reach is local"),
        ({"reach": "ssh", "ssh": {"host": "-oProxyCommand=x"}}, "ssh.host"),
        ({"format": "onnx"}, "format must be openvino for runtime openvino, got onnx"),
        ({"provider": "qnn"}, "provider must be left out for runtime openvino: only onnxruntime has some"),
        (
            {"runtime": "onnxruntime", "format": "onnx", "reach": "simulator", "simulator": {"soc": "SM8650"}},
            "provider must be qnn beside simulator, got cpu",
        ),
    ],
)
def test_a_target_that_does_not_fit_together(changes: dict[str, Any], text: str) -> None:
    settings = {"version": 1, "name": "x", "runtime": "openvino", "format": "openvino"}
    with pytest.raises(ValidationError, match=text):
        DeployTarget.model_validate(settings | changes)
