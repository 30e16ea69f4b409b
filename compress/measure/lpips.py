"""LPIPS, AlexNet variant, version 0.1 (Zhang et al., CVPR 2018, arXiv 1801.03924); lower is nearer.

Used twice, as a training loss and as a measure, so it stands below both. The bundled weights are AlexNet's features
(torchvision, BSD-3-Clause) and the LPIPS linear heads (BSD-2-Clause), in float16.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from compress.tensors import own, read_tensors

WEIGHTS = Path(__file__).parents[1] / "weights" / "lpips_alex.safetensors"
MIN_SIZE = 32  # px; below this AlexNet's last feature map is empty
STRIDES = (4, 8, 16, 16, 16)
"""Px between neighbouring features of the five layers."""
REACH = 128
"""Px that a feature sees around its own, and more: 11 px of the first layer, then the neighbours' neighbours."""
# ImageNet statistics on the [-1, 1] scale that LPIPS takes.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class Lpips(nn.Module):
    """``lpips(a, b)`` for pictures (N, 3, H, W) in [0, 1], H and W >= 32 -> distances (N,)."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        super().__init__()
        convs = {
            0: nn.Conv2d(3, 64, 11, stride=4, padding=2),
            3: nn.Conv2d(64, 192, 5, padding=2),
            6: nn.Conv2d(192, 384, 3, padding=1),
            8: nn.Conv2d(384, 256, 3, padding=1),
            10: nn.Conv2d(256, 256, 3, padding=1),
        }
        pools = (2, 5)
        self.features = nn.ModuleList(
            convs.get(i) or (nn.MaxPool2d(3, 2) if i in pools else nn.ReLU()) for i in range(12)
        )
        state = {name: own(value, torch.float32) for name, value in read_tensors(weights)[0].items()}
        for i in range(5):
            self.register_buffer(f"head{i}", state.pop(f"lin{i}.model.1.weight"))
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))
        self.features.load_state_dict({name.removeprefix("features."): value for name, value in state.items()})
        self.requires_grad_(False)

    def features_of(self, x: Tensor) -> list[Tensor]:
        """Normalized features of five layers, for ``distances``; H and W >= 32."""
        if min(x.shape[-2:]) < MIN_SIZE:
            raise ValueError(f"LPIPS needs pictures of {MIN_SIZE} px or more a side, got {tuple(x.shape[-2:])}")
        x = (x * 2 - 1 - self.shift) / self.scale
        taps = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                taps.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return taps

    def maps(self, a: Tensor, b: Tensor) -> list[Tensor]:
        """Distances (N, H / stride, W / stride), about, of each layer's features; H and W >= 32."""
        return self._maps(self.features_of(a), self.features_of(b))

    def distances(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """``forward`` of pictures whose features are known -> (N,)."""
        return torch.stack([distances.mean((1, 2)) for distances in self._maps(a, b)]).sum(0)

    def _maps(self, a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
        pairs = zip(a, b, strict=True)
        return [((fa - fb).square() * getattr(self, f"head{i}")).sum(1) for i, (fa, fb) in enumerate(pairs)]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.distances(self.features_of(a), self.features_of(b))
