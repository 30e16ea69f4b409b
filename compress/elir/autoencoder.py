"""The tiny autoencoder: f8 latents of 16 channels (TAESD3 architecture, MIT, Ollin Boer Bohan).

Module names follow the published ELIR checkpoints (``enc.layers.*``, ``dec.layers.*``) and, index for
index, diffusers' ``AutoencoderTiny`` (``encoder.layers.*``, ``decoder.layers.*``).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from compress.elir.latent import LATENT_CHANNELS

# Published: by resolution, the encoder's finest first, the decoder's coarsest first.
ENC_WIDTHS = DEC_WIDTHS = (64, 64, 64, 64)
ENC_BLOCKS = (1, 3, 3, 3)
DEC_BLOCKS = (3, 3, 3, 1)


def conv3x3(c_in: int, c_out: int, stride: int = 1, *, bias: bool = True) -> nn.Conv2d:
    """3x3 convolution with padding 1."""
    return nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=bias)


class Block(nn.Module):
    """Residual block: ``relu(conv(x) + x)``; (N, C, H, W) -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            conv3x3(channels, channels), nn.ReLU(), conv3x3(channels, channels), nn.ReLU(), conv3x3(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)


class Encoder(nn.Module):
    """(N, 3, H, W) in [0, 1] -> latent (N, 16, H/8, W/8).

    ``widths`` and ``blocks``: channels and blocks of each resolution, the finest first. ``scale``: the first
    convolution reads ``scale`` times coarser, so that the resolutions above are left out; published: 1, every width 64.
    """

    def __init__(self, widths: Sequence[int] = ENC_WIDTHS, blocks: Sequence[int] = ENC_BLOCKS, scale: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            layers.append(conv3x3(widths[i - 1], width, stride=2, bias=False) if i else entry(width, scale))
            layers += [Block(width) for _ in range(count)]
        self.layers = nn.Sequential(*layers, conv3x3(widths[-1], LATENT_CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def entry(width: int, scale: int) -> nn.Conv2d:
    """The encoder's first convolution. Of a picture that was enlarged ``scale`` times, the stride brings back the grid
    that it had before; the kernel, twice as wide, sees every pixel of it."""
    if scale == 1:
        return conv3x3(3, width)
    return nn.Conv2d(3, width, 2 * scale, stride=scale, padding=scale // 2)


class Decoder(nn.Module):
    """Latent (N, 16, h, w) -> picture (N, 3, 8h, 8w), nominally in [0, 1], not clipped.

    ``widths`` and ``blocks``: channels and blocks of each resolution, the coarsest first; published: every width 64.
    """

    def __init__(self, widths: Sequence[int] = DEC_WIDTHS, blocks: Sequence[int] = DEC_BLOCKS) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv3x3(LATENT_CHANNELS, widths[0]), nn.ReLU()]
        for i, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            if i:
                layers += [nn.Upsample(scale_factor=2), conv3x3(widths[i - 1], width, bias=False)]
            layers += [Block(width) for _ in range(count)]
        self.layers = nn.Sequential(*layers, conv3x3(widths[-1], 3))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(torch.tanh(z / 3) * 3)

    def features(self, z: Tensor) -> Tensor:
        """What the last convolution reads, (N, C, 8h, 8w)."""
        return self.layers[:-1](torch.tanh(z / 3) * 3)
