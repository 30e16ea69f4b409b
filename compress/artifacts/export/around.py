"""What stands around the float graph of an artifact: its own noise, and the conversions from and to pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compress.artifacts.export.enlargement import Enlargement
from compress.artifacts.export.pictures import PictureModel, picture_inputs, picture_onnx, picture_openvino
from compress.artifacts.export.seeded import SeededModel, seeded_onnx, seeded_openvino
from compress.recipe.image_size import Shape


@dataclass(frozen=True)
class Around:
    """``torus``: the noise of a graph that takes a seed (``export.seeded``); ``enlargement``: of one that takes and
    gives pictures of 8 bits (``export.pictures``); None where it does not.
    """

    torus: np.ndarray | None = None
    enlargement: Enlargement | None = None

    def module(
        self, module: nn.Module, shape: Shape, inputs: tuple[Tensor, ...]
    ) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """The module to export instead of ``module``, for pictures of ``shape``, and its example inputs."""
        if self.torus is not None:
            module, inputs = SeededModel(module, shape, self.torus), (inputs[0], torch.tensor([0]))
        if self.enlargement is not None:
            inputs = picture_inputs(shape, self.enlargement, inputs)
            module = PictureModel(module, shape, self.enlargement)
        return module, inputs

    def graph(self, graph: Any, format: str, shape: Shape) -> Any:
        """The same of an ONNX ModelProto, which is copied, or an ov.Model, which is changed."""
        onnx = format == "onnx"
        if self.torus is not None:
            graph = (seeded_onnx if onnx else seeded_openvino)(graph, shape, self.torus)
        if self.enlargement is not None:
            graph = (picture_onnx if onnx else picture_openvino)(graph, shape, self.enlargement)
        return graph


NOTHING = Around()
