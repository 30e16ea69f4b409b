"""PT2E graph modules made fit for our exporters: int8 weights folded in and shared, activations signed or not."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from compress.passes.quantize.round_weights import WEIGHT_MAX, weight_scales
from compress.recipe.passes import PtqSettings

_OPS = torch.ops.quantized_decomposed
_PER_TENSOR = (_OPS.quantize_per_tensor.default, _OPS.dequantize_per_tensor.default)


class ConvertedGraph(nn.Module):
    """(lq, noise) -> hq of a converted graph, which refuses ``eval()``: it has one mode only."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__()
        self.graph = graph
        self.training = False

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        return self.graph(lq, noise)

    def train(self, mode: bool = True) -> "ConvertedGraph":
        return self


def layer_of(node: Node) -> str:
    """Name of the module that a node of an exported graph comes from, as in ``named_modules()``."""
    stack = node.meta.get("nn_module_stack")
    return str(list(stack.values())[-1][0]) if stack else ""


def unshare(graph: GraphModule) -> None:
    """One node for each use of a weight: XNNPACK's quantizer passes over a convolution whose weight another one has."""
    for node in [n for n in graph.graph.nodes if n.op == "get_attr"]:
        for user in list(node.users)[1:]:
            with graph.graph.inserting_before(user):
                own = graph.graph.get_attr(node.target)
            own.meta = dict(node.meta)
            user.replace_input_with(node, own)
    graph.recompile()


def fold_weights(graph: GraphModule) -> None:
    """Weights stored as int8 instead of rounded again on each run, and once for all Euler steps that share them."""
    from torchao.quantization.pt2e.constant_fold import constant_fold
    from torchao.quantization.pt2e.quantize_pt2e import _quant_node_constraint

    constant_fold(graph, _quant_node_constraint)
    seen: dict[Any, Tensor] = {}
    for node in graph.graph.nodes:
        if node.op != "get_attr":
            continue
        owner, _, leaf = node.target.rpartition(".")
        module = graph.get_submodule(owner)
        value = getattr(module, leaf)
        if isinstance(value, Tensor) and value.numel() > 1:
            key = (value.dtype, value.shape, value.contiguous().numpy().tobytes())
            setattr(module, leaf, seen.setdefault(key, value))


def limit_weights(prepared: nn.Module, settings: PtqSettings) -> None:
    """Have the observers of weights keep to what x86 CPUs without VNNI add in 16 bits: 7 bits, or limited pairs.

    With ``pair_limit: false`` weights have all 8 bits.
    """
    from torchao.quantization.pt2e import PerChannelMinMaxObserver

    limit = WEIGHT_MAX[settings.weight_bits]
    for observer in prepared.modules():
        if isinstance(observer, PerChannelMinMaxObserver):
            observer.quant_min, observer.quant_max = -limit, limit
            if settings.pair_limit:
                observer.register_forward_hook(_widen)


def _widen(observer: Any, given: tuple[Tensor], result: Any) -> None:
    """Widen the observed range so that its scale is that of ``pair_limit``."""
    weight, axis = given[0].detach(), observer.ch_axis
    paired = weight.shape[1 - axis] % 2 == 0
    reach = WEIGHT_MAX[8] * (
        weight_scales(weight, axis, 8, pair_limit=True) if paired else weight_scales(weight, axis, 7)
    )
    observer.max_val.copy_(reach)
    observer.min_val.copy_(-reach)


def unsigned(graph: GraphModule) -> GraphModule:
    """A copy with int8 activations as uint8, zero points 128 higher: the same numbers; x86 has u8s8 kernels."""
    changed = copy.deepcopy(graph, {id(b): b for b in [*graph.buffers(), *graph.parameters()]})
    for node in changed.graph.nodes:
        if node.target in _PER_TENSOR and node.args[5] == torch.int8:
            x, scale, zero_point, low, high = node.args[:5]
            node.args = (x, scale, zero_point + 128, low + 128, high + 128, torch.uint8)
    changed.recompile()
    return changed
