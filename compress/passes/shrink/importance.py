"""How much each channel of a coupled group matters; for `channels`."""

from typing import Any

import torch
from torch import Tensor, nn

from compress.elir.hooks import hooks
from compress.elir.model import Elir
from compress.passes.base import Subject
from compress.passes.shrink.channels import Scores

Readers = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def scores(name: str, subject: Subject, pictures: int) -> Scores:
    """The scores called ``name`` (magnitude, taylor, activation) of the subject's model, on calibration pictures."""
    import torch_pruning

    if name == "magnitude":  # of every weight that carries a channel (DepGraph, arXiv 2301.12900)
        return torch_pruning.importance.GroupMagnitudeImportance(p=2)
    if name == "taylor":  # arXiv 1906.10771
        _gradients(subject, pictures)
        return torch_pruning.importance.GroupTaylorImportance()
    return _Activation(_input_magnitudes(subject, pictures))


class _Activation:
    """Mean magnitude of a channel times the norm of the weights that read it, summed over its readers."""

    def __init__(self, inputs: dict[nn.Module, Tensor]) -> None:
        self.inputs = inputs

    def __call__(self, group: Any) -> Tensor:
        total = torch.zeros(len(group[0].idxs))
        for item in group:
            layer = item.dep.target.module
            if layer in self.inputs and "in_channels" in item.dep.handler.__name__:
                magnitudes = self.inputs[layer] * _norms(layer)
                total.index_add_(0, torch.tensor(item.root_idxs), magnitudes[item.idxs])
        return total


def _norms(layer: nn.Module) -> Tensor:
    """Norm of the weights that read each input channel."""
    weight = layer.weight.detach()  # type: ignore[union-attr, operator]
    rows = weight if isinstance(layer, nn.ConvTranspose2d) else weight.transpose(0, 1)
    return rows.flatten(1).norm(dim=1)


@torch.no_grad()
def _input_magnitudes(subject: Subject, pictures: int) -> dict[nn.Module, Tensor]:
    means: dict[nn.Module, Tensor] = {}

    def observe(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].detach().abs()
        mean = x.mean((0, 2, 3)) if x.ndim == 4 else x.mean(0)
        means[layer] = means.get(layer, torch.zeros_like(mean)) + mean

    with hooks(m.register_forward_pre_hook(observe) for m in subject.model.modules() if isinstance(m, Readers)):
        for lq, noise in _first(subject, pictures):
            subject.model(lq, noise)
    return means


def _gradients(subject: Subject, pictures: int) -> None:
    """Leave in every parameter the gradient of the energy of what the model adds to its input."""
    model: Elir = subject.model
    model.requires_grad_(True)
    model.zero_grad()
    for lq, noise in _first(subject, pictures):
        (model(lq, noise) - lq).square().mean().backward()
    for parameter in model.parameters():  # a layer that nothing reaches, such as the time's at K = 1, has none
        parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    model.requires_grad_(False)


def _first(subject: Subject, pictures: int) -> Any:
    count = min(pictures, subject.calibration_count)
    for i, pair in enumerate(subject.calibration()):
        if i == count:
            return
        subject.advance("importance", i + 1, count)
        yield pair
