"""ELIR: encoder, MMSE estimator, latent consistency flow, decoder (arXiv 2502.03500)."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from compress.elir.autoencoder import DEC_BLOCKS, DEC_WIDTHS, ENC_BLOCKS, ENC_WIDTHS, Decoder, Encoder
from compress.elir.flow import FoldedFlow, LUnet
from compress.elir.latent import SIZE_MULTIPLE, noise_shape, on_grid
from compress.elir.mmse import RRDBNet


@dataclass(frozen=True)
class ElirConfig:
    """What a checkpoint's names and shapes tell, and what they do not (k_steps, sigma_s).

    Published models differ in the first seven only; the others describe a student (`Encoder`, `Decoder`), whose decoder
    may be ``residual``: it draws what the input lacks.
    """

    hid_channels: int = 128
    n_mid_blocks: int = 1
    c_hid: int = 96
    n_rrdb: int = 3
    over_param: bool = False
    k_steps: int = 3
    sigma_s: float = 0.1
    enc_widths: tuple[int, ...] = ENC_WIDTHS
    enc_blocks: tuple[int, ...] = ENC_BLOCKS
    enc_scale: int = 1
    dec_widths: tuple[int, ...] = DEC_WIDTHS
    dec_blocks: tuple[int, ...] = DEC_BLOCKS
    residual: bool = False


class Elir(nn.Module):
    """The restorer. Inputs: ``lq`` (N, 3, H, W) in [0, 1] on the output grid, and ``noise`` (N, 16, H/8, W/8), standard
    normal, not yet scaled by sigma_s. Where H and W are no multiples of 32, the networks see the picture padded to the
    next ones by reflection, with noise of that size, and the output is cropped."""

    def __init__(self, config: ElirConfig) -> None:
        super().__init__()
        self.config = config
        self.k_steps = config.k_steps
        self.sigma_s = config.sigma_s
        self.metadata: dict[str, str] = {}
        self.taken = ""
        """Which of a file's weights these are, in words, where it holds more than a model."""
        self.enc = Encoder(config.enc_widths, config.enc_blocks, config.enc_scale)
        self.mmse = RRDBNet(config.c_hid, config.n_rrdb, over_param=config.over_param)
        self.fmir: LUnet | FoldedFlow = LUnet(config.hid_channels, config.n_mid_blocks, over_param=config.over_param)
        self.dec = Decoder(config.dec_widths, config.dec_blocks)

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        """-> hq (N, 3, H, W), not clipped. Raises ValueError on a shape that the networks cannot take."""
        return self.stages(lq, noise)["output"]

    def stages(self, lq: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Every intermediate by name: ``latent``, ``mmse``, ``step_1`` ... ``step_K`` (each (N, 16, H/8, W/8)) and
        ``output`` (N, 3, H, W), not clipped."""
        return dict(self.iter_stages(lq, noise))

    def iter_stages(self, lq: Tensor, noise: Tensor) -> Iterator[tuple[str, Tensor]]:
        """``stages`` one by one, each computed when it is asked for."""
        check_shapes(lq, noise)
        whole = padded(lq)
        latent = self.enc(whole)
        yield "latent", latent
        for name, z in self._iter_flow(latent, noise):
            latent = z
            yield name, z
        yield "output", cropped(self.decode(latent, whole), lq)

    def flow(self, latent: Tensor, noise: Tensor) -> Tensor:
        """The networks between encoder and decoder, which see a picture as a whole: MMSE estimator, noise, every Euler
        step. The encoder's latent (N, 16, h, w) -> the decoder's."""
        for _, z in self._iter_flow(latent, noise):
            latent = z
        return latent

    def _iter_flow(self, z: Tensor, noise: Tensor) -> Iterator[tuple[str, Tensor]]:
        z = self.mmse(z)
        yield "mmse", z
        z = z + self.sigma_s * noise
        for k in range(self.k_steps):
            z = z + self.fmir.velocity(z, k, self.k_steps) / self.k_steps
            yield f"step_{k + 1}", z

    def decode(self, z: Tensor, lq: Tensor) -> Tensor:
        """Latent -> picture, not clipped; of a residual model, the decoder draws what ``lq`` lacks."""
        return self.dec(z) + lq if self.config.residual else self.dec(z)


def padded(lq: Tensor) -> Tensor:
    """``lq`` (N, 3, H, W), mirrored below and to the right up to multiples of 32 px: what the encoder takes."""
    below, right = (on_grid(side) - side for side in lq.shape[2:])
    return functional.pad(lq, (0, right, 0, below), "reflect") if below or right else lq


def cropped(hq: Tensor, lq: Tensor) -> Tensor:
    """What the decoder makes of ``padded(lq)``, of the size of ``lq``."""
    height, width = lq.shape[2:]
    return hq if hq.shape[2:] == lq.shape[2:] else hq[:, :, :height, :width]


def check_shapes(lq: Tensor, noise: Tensor) -> None:
    """Raise ValueError unless ``lq`` is (N, 3, H, W), and ``noise`` the matching (N, 16, 4a, 4b)."""
    if lq.ndim != 4 or lq.shape[1] != 3:
        raise ValueError(f"lq must be (N, 3, H, W), got {tuple(lq.shape)}: pass RGB pictures in [0, 1]")
    n, _, h, w = lq.shape
    if min(h, w) <= SIZE_MULTIPLE // 2:  # fewer px than would have to be mirrored
        raise ValueError(f"H and W must be > {SIZE_MULTIPLE // 2}, got {h} x {w}: pad the picture")
    if tuple(noise.shape) != noise_shape(h, w, n):
        raise ValueError(f"noise must be {noise_shape(h, w, n)} for lq {tuple(lq.shape)}, got {tuple(noise.shape)}")
