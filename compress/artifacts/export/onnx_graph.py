"""ONNX graphs by hand, of a few nodes."""

from typing import Any

import numpy as np


class Graph:
    """Nodes and constants of a graph; ``name`` keeps theirs apart from other graphs'."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Any] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], Any] = {}

    def add(self, kind: str, *read: str, made: str | None = None, **attributes: Any) -> str:
        """Name of the new node's output."""
        from onnx import helper

        name = f"{self.name}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, read, [made or name], name=name, **attributes))
        return made or name

    def constant(self, value: Any) -> str:
        """Name of the initializer of ``value``; equal ones are one."""
        from onnx import numpy_helper

        key = str(value.dtype), value.shape, value.tobytes()
        new = numpy_helper.from_array(np.asarray(value), f"{self.name}.{len(self.constants)}")
        return str(self.constants.setdefault(key, new).name)

    def proto(self, *ports: tuple[str, str, list[int]]) -> Any:
        """GraphProto, of the (name, type, shape) of its input and its output."""
        from onnx import TensorProto, helper

        read, made = (helper.make_tensor_value_info(n, TensorProto.DataType.Value(t), s) for n, t, s in ports)
        return helper.make_graph(self.nodes, self.name, [read], [made], list(self.constants.values()))


def model_of(graph: Any) -> Any:
    """ModelProto of a GraphProto on its own."""
    from onnx import helper

    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
