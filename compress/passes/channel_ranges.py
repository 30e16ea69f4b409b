"""Largest magnitudes of channels over calibration pictures, for the passes that even them out."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from compress.elir.hooks import hooks
from compress.errors import InputError
from compress.passes.base import Subject

MIN_RANGE = 1e-3  # of the widest channel: a dead channel is not blown up

Watch = Callable[[nn.Module, Callable[[Tensor], None]], RemovableHandle]


def require_calibration(subject: Subject, name: str) -> None:
    """Raise InputError where there are no pictures for the pass ``name``."""
    if not subject.calibration_count:
        raise InputError(f"passes: {name} needs calibration pictures: give data.calibration")


def inputs_of(module: nn.Module, see: Callable[[Tensor], None]) -> RemovableHandle:
    """Call ``see`` with everything that ``module`` reads."""
    return module.register_forward_pre_hook(lambda _, given: see(given[0]))


def outputs_of(module: nn.Module, see: Callable[[Tensor], None]) -> RemovableHandle:
    """Call ``see`` with everything that ``module`` gives."""
    return module.register_forward_hook(lambda _, given, result: see(result))


def relative(sizes: Tensor) -> Tensor:
    """``sizes`` (channels,), each >= 0, as parts of the largest, none below ``MIN_RANGE``; equal if all are 0."""
    return (sizes / sizes.max().clamp_min(torch.finfo(sizes.dtype).tiny)).clamp_min(MIN_RANGE)


def peaks(
    subject: Subject, name: str, watch: Watch, groups: Sequence[tuple[int, Sequence[nn.Module]]], pictures: int
) -> list[Tensor]:
    """For each group (its channels, its modules): every channel's largest magnitude, (channels,), summed over the first
    ``pictures`` pictures and the modules' runs; ``watch`` says whether of their inputs or outputs."""
    sums = [torch.zeros(channels) for channels, _ in groups]

    def adder(total: Tensor) -> Callable[[Tensor], None]:
        def add(x: Tensor) -> None:
            total.add_(x.abs().amax((0, 2, 3)))

        return add

    handles = [watch(module, adder(sums[n])) for n, (_, modules) in enumerate(groups) for module in modules]
    with hooks(handles), torch.no_grad():
        for n, (lq, noise) in enumerate(subject.calibration()):
            if n == pictures:
                break
            subject.model(lq, noise)
            subject.advance(name, n + 1, min(pictures, subject.calibration_count))
    return sums
