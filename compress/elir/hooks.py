"""Hooks that go when their block ends, and what they are used for in several places."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from compress.elir.latent import SIZE_MULTIPLE
from compress.elir.noise import seeded_noise

if TYPE_CHECKING:
    from compress.elir.model import Elir

Conv: TypeAlias = nn.Conv2d | nn.ConvTranspose2d


@contextmanager
def hooks(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    """Remove the hooks behind ``handles`` at the end, however it comes."""
    handles = list(handles)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def convs_in_order(model: "Elir") -> dict[str, Conv]:
    """Convolutions by name, in the order in which they run: modules are declared in another one."""
    order: list[str] = []
    convs = {name: part for name, part in model.named_modules() if isinstance(part, nn.Conv2d | nn.ConvTranspose2d)}
    with hooks(part.register_forward_hook(lambda *_, name=name: order.append(name)) for name, part in convs.items()):
        model(torch.zeros(1, 3, SIZE_MULTIPLE, SIZE_MULTIPLE), seeded_noise(SIZE_MULTIPLE, SIZE_MULTIPLE, 0))
    return {name: convs[name] for name in order}
