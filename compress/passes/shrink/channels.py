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

from compress.elir.latent import noise_shape
from compress.elir.model import Elir, ElirConfig

PROBE = 64  # px, of what the dependencies are traced on
Scores = Callable[[Any], Tensor]  # torch-pruning's group, of all its channels -> importance, one number a channel


@dataclass(frozen=True)
class Channels:
    """One group of coupled channels: its first layer's full name, and the importance of each channel."""

    layer: str
    scores: Tensor


def narrow(model: Elir, config: ElirConfig, scores: Scores) -> Elir:
    """A model of ``config`` from the best-scored channels of ``model``, which has the same layers, as wide or wider.

    ``scores`` sees the groups of ``model`` itself.
    """
    target = _empty(config)
    widths = layer_widths(target)
    surplus = ((c.layer, len(c.scores) - widths[c.layer], c.scores) for c in scored_channels(model, scores))
    # All are chosen before the first one is cut: what torch-pruning knows of a group goes stale with the others.
    cuts = {layer: scores.argsort()[:count].sort().values.tolist() for layer, count, scores in surplus if count > 0}
    source = copy.deepcopy(model)
    graph = _graph(source)
    roots = {layer: root for layer, root, _ in _groups(graph, source)}
    for layer, cut in cuts.items():
        graph.get_pruning_group(roots[layer].target.module, roots[layer].handler, cut).prune()
    target.load_state_dict(source.state_dict(), assign=True)
    target.metadata = dict(model.metadata)
    return target.eval().requires_grad_(False)


def scored_channels(model: Elir, scores: Scores) -> list[Channels]:
    """Every group of coupled channels of ``model`` with its scores."""
    return [Channels(layer, scores(group)) for layer, _, group in _groups(_graph(model), model)]


def layer_widths(model: nn.Module) -> dict[str, int]:
    """Output channels of every layer that has weights, by name."""
    return {name: width for name, layer in model.named_modules() if (width := _width(layer))}


def config_widths(config: ElirConfig) -> dict[str, int]:
    """``layer_widths`` of a model of ``config``."""
    return layer_widths(_empty(config))


def _empty(config: ElirConfig) -> Elir:
    with torch.device("meta"):
        return Elir(config)


def _graph(model: Elir) -> Any:
    """Dependencies of the whole model over one Euler step: apart, a network's own input would be of unknown width."""
    import torch_pruning

    inputs = torch.rand(1, 3, PROBE, PROBE), torch.randn(noise_shape(PROBE, PROBE))
    steps, model.k_steps = model.k_steps, 1
    model.requires_grad_(True)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            return torch_pruning.DependencyGraph().build_dependency(model, example_inputs=inputs)
    finally:
        model.k_steps = steps
        model.requires_grad_(False)


def _groups(graph: Any, model: Elir) -> Iterator[tuple[str, Any, Any]]:
    """(name of the first layer, its dependency, the group) of every group of coupled channels."""
    names = {layer: name for name, layer in model.named_modules()}
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.ConvTranspose2d, nn.Linear]):
        root = group[0].dep
        yield names[root.target.module], root, group


def _width(layer: nn.Module) -> int:
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) else 0
