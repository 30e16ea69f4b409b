"""The MMSE estimator: an RRDB network on latents (arXiv 2502.03500, section 4; RRDB from ESRGAN, arXiv 1809.00219)."""

import torch
from torch import Tensor, nn

from compress.elir.latent import LATENT_CHANNELS
from compress.elir.overparam import conv_pair


class ConvBlock(nn.Module):
    """3x3 convolution, optionally followed by SiLU. Index 1 is Identity in the collapsed form, so that SiLU is at 2."""

    def __init__(self, c_in: int, c_out: int, *, act: bool, over_param: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(*conv_pair(c_in, c_out, over_param=over_param), *([nn.SiLU()] if act else []))

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class ResidualDenseBlock(nn.Module):
    """Five densely connected convolutions; (N, c_in, h, w) -> the same shape."""

    def __init__(self, c_in: int, c_hid: int, *, over_param: bool) -> None:
        super().__init__()
        for i in range(5):
            last = i == 4
            setattr(
                self,
                f"conv{i + 1}",
                ConvBlock(c_in + i * c_hid, c_in if last else c_hid, act=not last, over_param=over_param),
            )

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for i in range(5):
            features.append(getattr(self, f"conv{i + 1}")(torch.cat(features, 1) if i else x))
        return features[-1] * 0.2 + x


class RRDB(nn.Module):
    """Residual in residual dense block; (N, c_in, h, w) -> the same shape."""

    def __init__(self, c_in: int, c_hid: int, *, over_param: bool) -> None:
        super().__init__()
        self.RDB1 = ResidualDenseBlock(c_in, c_hid, over_param=over_param)
        self.RDB2 = ResidualDenseBlock(c_in, c_hid, over_param=over_param)
        self.RDB3 = ResidualDenseBlock(c_in, c_hid, over_param=over_param)

    def forward(self, x: Tensor) -> Tensor:
        return self.RDB3(self.RDB2(self.RDB1(x))) * 0.2 + x


class RRDBNet(nn.Module):
    """``x + lrm(x)``: latent of the degraded picture -> estimate of the clean latent's conditional mean."""

    def __init__(self, c_hid: int, n_rrdb: int, *, over_param: bool = False, c_in: int = LATENT_CHANNELS) -> None:
        super().__init__()
        self.lrm = nn.Sequential(*(RRDB(c_in, c_hid, over_param=over_param) for _ in range(n_rrdb)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.lrm(x)
