"""Structured pruning: whole channels leave, with every tensor that carries them (torch-pruning's dependency graph).

The widths are named by a configuration: a group of coupled channels shrinks to the width that its layer has in a model
of that configuration, so that the result is a plain Elir, which a checkpoint can hold.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from compress.elir.autoencoder import LATENT_CHANNELS
from compress.elir.flow import LUnet
from compress.elir.model import Elir, ElirConfig

NETWORKS = ("enc", "mmse", "fmir", "dec")
PROBE = 32  # side of what the dependencies are traced on
Scores = Callable[[Any], Tensor]  # torch-pruning's group, of all its channels -> importance, one number a channel


@dataclass(frozen=True)
class Channels:
    """One group of coupled channels: its first layer's full name, and the importance of each channel."""

    layer: str
    scores: Tensor


def narrow(model: Elir, config: ElirConfig, scores: Scores) -> Elir:
    """A model of ``config`` from the best-scored channels of ``model``, which has the same layers, as wide or wider."""
    target = _empty(config)
    widths = layer_widths(target)
    source = copy.deepcopy(model)
    for name in NETWORKS:
        network = getattr(source, name)
        graph = _graph(network)
        # All are chosen before the first one is cut: what torch-pruning knows of a group goes stale with the others.
        chosen = [
            (root, _weakest(scores(group), len(group[0].idxs) - widths[layer]))
            for layer, root, group in _groups(graph, network, name)
        ]
        for root, cut in chosen:
            if cut:
                graph.get_pruning_group(root.target.module, root.handler, cut).prune()
    target.load_state_dict(source.state_dict(), assign=True)
    target.metadata = dict(model.metadata)
    return target.eval().requires_grad_(False)


def scored_channels(model: Elir, scores: Scores) -> list[Channels]:
    """Every group of coupled channels of ``model`` with its scores."""
    return [
        Channels(layer, scores(group))
        for name in NETWORKS
        for layer, _, group in _groups(_graph(getattr(model, name)), getattr(model, name), name)
    ]


def layer_widths(model: nn.Module) -> dict[str, int]:
    """Output channels of every layer that has weights, by name."""
    return {name: width for name, layer in model.named_modules() if (width := _width(layer))}


def config_widths(config: ElirConfig) -> dict[str, int]:
    """``layer_widths`` of a model of ``config``."""
    return layer_widths(_empty(config))


def _empty(config: ElirConfig) -> Elir:
    with torch.device("meta"):
        return Elir(config)


def _graph(network: nn.Module) -> Any:
    import torch_pruning

    trainable = {p: p.requires_grad for p in network.parameters()}
    network.requires_grad_(True)
    try:
        return torch_pruning.DependencyGraph().build_dependency(network, example_inputs=_probe(network))
    finally:
        for parameter, was in trainable.items():
            parameter.requires_grad_(was)


def _groups(graph: Any, network: nn.Module, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """(full name of the first layer, its dependency, the group) of every group of coupled channels."""
    names = {layer: name for name, layer in network.named_modules()}
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.ConvTranspose2d, nn.Linear]):
        root = group[0].dep
        yield f"{prefix}.{names[root.target.module]}", root, group


def _weakest(scores: Tensor, count: int) -> list[int]:
    return scores.argsort()[:count].sort().values.tolist() if count > 0 else []


def _width(layer: nn.Module) -> int:
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) else 0


def _probe(network: nn.Module) -> Any:
    latent = torch.randn(1, LATENT_CHANNELS, PROBE, PROBE)
    if isinstance(network, LUnet):
        return latent, torch.zeros(1)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return (torch.randn(1, 3, PROBE, PROBE) if first.in_channels == 3 else latent,)
