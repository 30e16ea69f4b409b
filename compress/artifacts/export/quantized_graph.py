"""The graph of a quantized model, written into that of the float model: the nodes are the same but for quantizers.

One export serves every scheme. Exporting each module instead gives the same graph, in ten seconds and more each.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from compress.artifacts.stages import NETWORKS
from compress.elir.hooks import Conv, convs_in_order
from compress.elir.model import Elir
from compress.passes.quantize.modules import FakeQuantize, QuantBlock, QuantConv, QuantUpsample


def quantized_graph(float_graph: Any, model: Elir, module: nn.Module, stage: str = "") -> Any:
    """ONNX ModelProto of ``module``, as ``passes.quantize.model.build`` made it of ``model``, whose ModelProto is
    ``float_graph``; of one ``stage`` of both, or the whole. Raises RuntimeError where that is not so.
    """
    from onnx import numpy_helper

    proto = copy.deepcopy(float_graph)
    nodes, places = convolution_nodes(proto, model, stage), _places(module)
    rounded = {node.output[0] for node, name, _ in nodes if name in places}
    read = {name for node in proto.graph.node if node.output[0] not in rounded for name in node.input}
    floats = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer if tensor.name in read}
    rewriting = _Rewriting(proto.graph, floats)
    for node, name, _ in nodes:
        if name in places:
            rewriting.quantize(node, name, places[name])
    rewriting.finish()
    return proto


def convolution_nodes(proto: Any, model: Elir, stage: str = "") -> list[tuple[Any, str, Conv]]:
    """Each convolution of ``model``, or of one ``stage``, in the order of computation: its node in the float graph
    ``proto``, its name and its module. Raises RuntimeError where the graph is not the model's."""
    from onnx import numpy_helper

    nodes = [node for node in proto.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    networks = NETWORKS.get(stage) or tuple(name for names in NETWORKS.values() for name in names)
    convs = {name: conv for name, conv in convs_in_order(model).items() if name.partition(".")[0] in networks}
    if len(convs) != len(nodes):
        raise RuntimeError(f"{len(nodes)} convolutions in the float graph, {len(convs)} in the model")
    for node, (name, conv) in zip(nodes, convs.items(), strict=True):
        if not np.array_equal(weights[node.input[1]], conv.weight.detach().numpy()):
            raise RuntimeError(f"{name}: the float graph has other weights there")
    return [(node, name, conv) for node, (name, conv) in zip(nodes, convs.items(), strict=True)]


@dataclass(frozen=True)
class _Place:
    """A quantized convolution. ``quantizer``: what rounds its input; ``shared``: the shortcut around it reads the same
    rounded tensor; ``enlarged``: it is rounded before it is enlarged."""

    conv: QuantConv
    quantizer: FakeQuantize
    shared: bool = False
    enlarged: bool = False


def _places(module: nn.Module) -> dict[str, _Place]:
    """Quantized convolutions by name."""
    places: dict[str, _Place] = {}
    outer: Any = None
    for name, part in module.named_modules():
        if isinstance(part, QuantBlock | QuantUpsample):
            outer = part
        elif isinstance(part, QuantConv):
            own = part.input_quantizer
            if isinstance(own, FakeQuantize):
                places[name] = _Place(part, own)
            else:
                kinds = isinstance(outer, QuantBlock), isinstance(outer, QuantUpsample)
                places[name] = _Place(part, outer.input_quantizer, *kinds)
    return places


class _Rewriting:
    """Puts quantizers into ``graph`` (GraphProto). ``floats``: initializers of the nodes that stay as they are."""

    def __init__(self, graph: Any, floats: dict[str, np.ndarray]) -> None:
        self.graph, self.floats = graph, floats
        self.makers = {output: node for node in graph.node for output in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.ahead: dict[str, list[Any]] = {}  # by the output of the node that they go ahead of
        self.behind: dict[str, list[Any]] = {}
        self.constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.weights: dict[str, np.ndarray] = {}
        self.names: dict[int, str] = {}  # of weights, by the id of their tensor

    def quantize(self, node: Any, name: str, place: _Place) -> None:
        """Make the node of a float convolution that of ``place``."""
        conv, output, (read, weight) = place.conv, node.output[0], node.input[:2]
        if id(conv.weight) not in self.names:  # Euler steps share it
            # Weights that are equal as floats are one initializer; one of them may stay float, or have other integers.
            weight = f"model.{name}.weight_int8" if weight in {*self.weights, *self.floats} else weight
            self.names[id(conv.weight)], self.weights[weight] = weight, conv.weight.numpy()
            scales = self._constant(conv.weight_scale.numpy())
            zeros = self._constant(np.zeros(len(conv.weight_scale), np.int8))
            exact = _node("DequantizeLinear", [weight, scales, zeros], f"{weight}/exact", axis=conv.axis)
            self.ahead[output] = [exact]
        weight = self.names[id(conv.weight)]
        readers = [node]
        if place.enlarged:
            readers = [self.makers[read]]
            read = readers[0].input[0]
        elif place.shared:
            readers = self.readers[read]
        pair = self._pair(read, place.quantizer, f"{output}/input")
        for reader in readers:
            reader.input[list(reader.input).index(read)] = pair[-1].output[0]
        self.ahead.setdefault(readers[0].output[0], []).extend(pair)
        del node.input[1:]
        node.input.append(f"{weight}/exact")
        if conv.bias is not None:
            node.input.append(self._bias(conv.bias.detach().numpy(), f"model.{name}.bias"))
        if conv.output_quantizer is not None:
            node.output[0] = f"{output}/sum"
            self.ahead[node.output[0]] = self.ahead.pop(output, [])
            self.behind[node.output[0]] = self._pair(node.output[0], conv.output_quantizer, output)

    def _bias(self, value: np.ndarray, name: str) -> str:
        """Name of the initializer of a convolution's bias. Euler steps share a float one, named after the last of them:
        where one stays in float, another value takes another name."""
        if name not in self.floats:
            return self._constant(value, name)
        return name if np.array_equal(value, self.floats[name]) else self._constant(value, f"{name}_int8")

    def _pair(self, read: str, quantizer: Any, made: str) -> list[Any]:
        """QuantizeLinear and DequantizeLinear."""
        assert isinstance(quantizer, FakeQuantize)
        kind = np.int8 if quantizer.qmin < 0 else np.uint8
        scale, zero = np.asarray(quantizer.scale, np.float32), np.asarray(quantizer.zero_point, kind)
        names = [self._constant(scale), self._constant(zero)]
        rounded = _node("QuantizeLinear", [read, *names], f"{made}/integers")
        return [rounded, _node("DequantizeLinear", [rounded.output[0], *names], made)]

    def _constant(self, value: np.ndarray, name: str | None = None) -> str:
        """Name of the initializer that holds ``value``; equal ones are one."""
        key = str(value.dtype), value.shape, value.tobytes()
        return self.constants.setdefault(key, name or f"q{len(self.constants)}")

    def finish(self) -> None:
        """Put nodes and constants in their places, and name values by number, as an export does."""
        from onnx import numpy_helper

        arranged = []
        for node in self.graph.node:
            output = node.output[0]
            arranged += [*self.ahead.get(output, ()), node, *self.behind.get(output, ())]
        del self.graph.node[:]
        self.graph.node.extend(arranged)
        del self.graph.value_info[:]  # types of weights that were floats
        kept = {name for node in arranged for name in node.input}
        new = {name: np.frombuffer(data, kind).reshape(shape) for (kind, shape, data), name in self.constants.items()}
        old = [i for i in self.graph.initializer if i.name in kept and i.name not in {*new, *self.weights}]
        del self.graph.initializer[:]
        self.graph.initializer.extend(old)
        self.graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in (self.weights | new).items())
        _number(self.graph)


def _node(kind: str, read: list[str], made: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, read, [made], **attributes)


def _number(graph: Any) -> None:
    ends = {value.name for value in graph.output}
    names: dict[str, str] = {}
    for i, node in enumerate(graph.node):
        node.name = f"n{i}"
        for j, output in enumerate(node.output):
            if output not in ends:
                names[output] = f"v{i}" if len(node.output) == 1 else f"v{i}_{j}"
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
