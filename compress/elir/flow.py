"""The latent flow network, LUnet: velocity of a latent at time t (arXiv 2502.03500, section 4).

``LUnet`` is the trained form, with a time MLP. ``FoldedFlow`` is the deployed form for K fixed Euler steps: the time
MLP has only K outputs, and each is added right after a convolution, so it folds into that convolution's bias exactly.
"""

import copy
import math

import torch
from torch import Tensor, nn

from compress.elir.latent import LATENT_CHANNELS
from compress.elir.overparam import conv_pair

GROUPS = 32
CH_MULT = (1, 2, 1, 2)
T_EMB_DIM = 160
T_HIDDEN = 4 * T_EMB_DIM


def time_embedding(t: Tensor, dim: int = T_EMB_DIM) -> Tensor:
    """Times t (N,) in [0, 1) -> sinusoidal embedding (N, dim), cosines first, frequencies 1 ... 1e-4 on 1000 t."""
    half = dim // 2
    freq = torch.exp(torch.arange(half, device=t.device, dtype=torch.float32) * (-math.log(10000.0) / (half - 1)))
    angle = 1000.0 * t.float()[:, None] * freq[None]
    return torch.cat([angle.cos(), angle.sin()], dim=1)


class TimeMLP(nn.Module):
    """Embedding (N, 160) -> (N, 640)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(T_EMB_DIM, T_HIDDEN)
        self.act = nn.SiLU()
        self.linear2 = nn.Linear(T_HIDDEN, T_HIDDEN)

    def forward(self, emb: Tensor) -> Tensor:
        return self.linear2(self.act(self.linear1(emb)))


def norm_groups(channels: int) -> int:
    """Groups of a GroupNorm: 32, as published, where that divides the channels; else the most that do."""
    return math.gcd(GROUPS, channels)


class Norm(nn.GroupNorm):
    """GroupNorm that also takes one value a group, of which it leaves its bias: torch's own refuses that.

    A picture below 32 px is one pixel in the deepest level; at 32 channels that is one value a group.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class NormConv(nn.Module):
    """GroupNorm, SiLU, 3x3 convolution; (N, c_in, h, w) -> (N, c_out, h, w)."""

    def __init__(self, c_in: int, c_out: int, *, over_param: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            Norm(norm_groups(c_in), c_in), nn.SiLU(), *conv_pair(c_in, c_out, over_param=over_param)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class ResnetBlock(nn.Module):
    """Two NormConvs with the time added between them, and a 1x1 shortcut."""

    def __init__(self, c_in: int, c_out: int, *, over_param: bool) -> None:
        super().__init__()
        self.mlp: nn.Module | None = nn.Sequential(nn.SiLU(), nn.Linear(T_HIDDEN, c_out))
        self.block1 = NormConv(c_in, c_out, over_param=over_param)
        self.block2 = NormConv(c_out, c_out, over_param=over_param)
        self.conv2d = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor, emb: Tensor | None) -> Tensor:
        """x (N, c_in, h, w), emb (N, 640), or None once the time is folded -> (N, c_out, h, w)."""
        h = self.block1(x)
        if self.mlp is not None:
            h = h + self.mlp(emb)[:, :, None, None]
        return self.block2(h) + self.conv2d(x)

    def fold(self, emb: Tensor) -> None:
        """Add the time's contribution for ``emb`` (1, 640) to block1's bias and drop the MLP; exact."""
        conv = self.block1.block[2]
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        if self.mlp is None or not isinstance(self.block1.block[3], nn.Identity):
            raise ValueError("fold needs a collapsed block with its time MLP: run `collapse` before `fold_time`, once")
        with torch.no_grad():
            conv.bias = nn.Parameter(conv.bias + self.mlp(emb)[0]).requires_grad_(conv.bias.requires_grad)
        self.mlp = None


class Downsample(nn.Module):
    """Stride-2 convolution; (N, c_in, h, w) -> (N, c_out, h/2, w/2)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Upsample(nn.Module):
    """Transposed convolution; (N, c_in, h, w) -> (N, c_out, 2h, 2w)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.convtr = nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convtr(x)


class LUnet(nn.Module):
    """Velocity field v(z, t) on latents (N, 16, h, w), h and w multiples of 4, t (N,) in [0, 1)."""

    def __init__(self, hid_channels: int, n_mid_blocks: int, *, over_param: bool = False) -> None:
        super().__init__()
        self.time_mlp: TimeMLP | None = TimeMLP()
        self.first_proj = nn.Conv2d(LATENT_CHANNELS, hid_channels, 1)
        self.down_blocks = nn.ModuleList()
        self.up_blocks = nn.ModuleList()
        c, skips = hid_channels, []
        for mult in CH_MULT:
            skips.append(c)
            down = Downsample(c, mult * c) if mult != 1 else nn.Identity()
            self.down_blocks.append(nn.ModuleList([ResnetBlock(c, c, over_param=over_param), down]))
            c *= mult
        self.mid_blocks = nn.ModuleList(ResnetBlock(c, c, over_param=over_param) for _ in range(n_mid_blocks))
        for mult in reversed(CH_MULT):
            up = Upsample(c, c // mult) if mult != 1 else nn.Identity()
            c = skips.pop()
            self.up_blocks.append(nn.ModuleList([up, ResnetBlock(2 * c, c, over_param=over_param)]))
        self.final_block = NormConv(c, c, over_param=over_param)
        self.final_proj = nn.Conv2d(c, LATENT_CHANNELS, 1)

    def forward(self, z: Tensor, t: Tensor | None) -> Tensor:
        """-> velocity, the shape of z. ``t`` is None once the time is folded."""
        emb = None if self.time_mlp is None or t is None else self.time_mlp(time_embedding(t))
        x = self.first_proj(z)
        skips = []
        block: nn.Module
        down: nn.Module
        up: nn.Module
        for block, down in self.down_blocks:  # type: ignore[misc]
            x = block(x, emb)
            skips.append(x)
            x = down(x)
        for block in self.mid_blocks:
            x = block(x, emb)
        for up, block in self.up_blocks:  # type: ignore[misc]
            x = block(torch.cat([up(x), skips.pop()], dim=1), emb)
        return self.final_proj(self.final_block(x))

    def velocity(self, z: Tensor, k: int, k_steps: int) -> Tensor:
        """Velocity at the start of Euler step k of k_steps, t = k / k_steps."""
        return self(z, torch.full((z.shape[0],), k / k_steps, device=z.device))


class FoldedFlow(nn.Module):
    """K time-free LUnets, one per Euler step, that share every tensor but the biases that carry the time."""

    def __init__(self, flow: LUnet, k_steps: int) -> None:
        super().__init__()
        if flow.time_mlp is None:
            raise ValueError("the flow's time is folded already: run `fold_time` once")
        self.steps = nn.ModuleList(self._step(flow, k / k_steps) for k in range(k_steps))

    @staticmethod
    def _step(flow: LUnet, t: float) -> LUnet:
        assert flow.time_mlp is not None
        with torch.no_grad():
            emb = flow.time_mlp(time_embedding(torch.tensor([t], device=flow.first_proj.weight.device)))
        # The memo makes deepcopy keep the parameters themselves: K steps, one copy of each weight.
        step = copy.deepcopy(flow, {id(p): p for p in flow.parameters()})
        for module in step.modules():
            if isinstance(module, ResnetBlock):
                module.fold(emb)
        step.time_mlp = None
        return step

    def velocity(self, z: Tensor, k: int, k_steps: int) -> Tensor:
        """Velocity of Euler step k; ``k_steps`` must be the number folded for."""
        if k_steps != len(self.steps):
            raise ValueError(f"k_steps (={k_steps}) differs from the {len(self.steps)} steps folded: fold again")
        return self.steps[k](z, None)
