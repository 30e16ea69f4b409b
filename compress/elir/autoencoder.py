"""The tiny autoencoder: f8 latents of 16 channels (TAESD3 architecture, MIT, Ollin Boer Bohan).

Module names follow the published ELIR checkpoints (``enc.layers.*``, ``dec.layers.*``) and, index for
index, diffusers' ``AutoencoderTiny`` (``encoder.layers.*``, ``decoder.layers.*``).
"""

import torch
from torch import Tensor, nn

LATENT_CHANNELS = 16
WIDTH = 64


def conv3x3(c_in: int, c_out: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
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
    """(N, 3, H, W) in [0, 1] -> latent (N, 16, H/8, W/8)."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv3x3(3, width), Block(width)]
        for _ in range(3):
            layers += [conv3x3(width, width, stride=2, bias=False), *(Block(width) for _ in range(3))]
        self.layers = nn.Sequential(*layers, conv3x3(width, LATENT_CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Decoder(nn.Module):
    """Latent (N, 16, h, w) -> picture (N, 3, 8h, 8w), nominally in [0, 1], not clipped."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv3x3(LATENT_CHANNELS, width), nn.ReLU()]
        for _ in range(3):
            layers += [*(Block(width) for _ in range(3)), nn.Upsample(scale_factor=2)]
            layers += [conv3x3(width, width, bias=False)]
        self.layers = nn.Sequential(*layers, Block(width), conv3x3(width, 3))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(torch.tanh(z / 3) * 3)
