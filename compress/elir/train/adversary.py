"""The adversarial term: a discriminator that learns beside the model, and is asked what it takes for a photograph.

It judges patches (arXiv 1611.07004) and learns by the hinge loss (arXiv 1705.02894), with a penalty on its gradient at
clean pictures (R1, arXiv 1801.04406), without which its verdict is soon too sure to teach anything.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from compress.elir.train.processes import Processes
from compress.elir.train.state import take_state

PENALTY = 1.0
PATCHES = 25
"""A pixel's, of 40 px, 8 px apart: the gradient of their scores' sum is up to so many times one score's."""
SLOPE = 0.2


class Discriminator(nn.Module):
    """Pictures (n, 3, H, W) in [0, 1], sides of 16 px or more -> scores (n, 1, H/8, W/8), each of 40 px around it;
    above 0 where they look clean.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sides = (width, 2 * width, 4 * width, 4 * width)
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1)]
        for given, made in pairwise(sides):
            layers += [nn.LeakyReLU(SLOPE), nn.Conv2d(given, made, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(SLOPE), nn.Conv2d(sides[-1], 1, 3, padding=1))
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                # By torch's own start all scores are alike, and hundreds of steps teach nothing.
                nn.init.kaiming_normal_(layer.weight, SLOPE)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, pictures: Tensor) -> Tensor:
        """The scores."""
        return self.layers(2 * pictures - 1)


def deceit(discriminator: Discriminator, restored: Tensor) -> Tensor:
    """The generator's hinge loss of pictures (n, 3, H, W), a scalar: the lower, the cleaner they look."""
    return -discriminator(restored).mean()


class DiscriminatorLoss(nn.Module):
    """(restored, clean) pictures -> the hinge loss and the penalty, scalars."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, restored: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Both terms; a patch's penalty is the squared norm of its score's gradient, or less, over all patches."""
        clean = clean.detach().requires_grad_()
        real = self.discriminator(clean)
        hinge = (1 - real).relu().mean() + (1 + self.discriminator(restored)).relu().mean()
        (slope,) = torch.autograd.grad(real.sum(), clean, create_graph=True)
        return hinge, PENALTY / 2 * slope.square().sum() / real.numel() / PATCHES


class Adversary:
    """The discriminator of one stage, with its own optimiser at the stage's learning rate.

    ``judge`` keeps the pictures that it was asked about last: ``learn`` shows them to the discriminator, as restored.
    """

    def __init__(self, processes: Processes) -> None:
        self.discriminator = Discriminator().to(processes.device)
        self._loss = processes.together(DiscriminatorLoss(self.discriminator), untaught=False)
        self._optimizer = torch.optim.AdamW(self.discriminator.parameters(), betas=(0.5, 0.99))
        self._restored: Tensor | None = None

    def judge(self, restored: Tensor) -> Tensor:
        """``deceit`` of the pictures."""
        self._restored = restored.detach()
        # Their gradients would be added to those of the discriminator's own loss.
        self.discriminator.requires_grad_(False)
        return deceit(self.discriminator, restored)

    def learn(self, clean: Tensor) -> Tensor:
        """Gradients of a step on the pictures judged last, against as many clean ones; returns its hinge loss."""
        assert self._restored is not None, "learn comes after judge"
        self.discriminator.requires_grad_(True)
        hinge, penalty = self._loss(self._restored, clean)
        self._optimizer.zero_grad(set_to_none=True)
        (hinge + penalty).backward()
        return hinge.detach()

    def step(self, lr: float) -> None:
        """Change the discriminator by the gradients of ``learn``."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from ``state()``. Raises what torch raises, and as ``take_state``, for what is no such state."""
        self.discriminator.load_state_dict(state["discriminator"])
        take_state(self._optimizer, state["optimizer"])

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as ``resume`` takes it."""
        return {"discriminator": self.discriminator.state_dict(), "optimizer": self._optimizer.state_dict()}
