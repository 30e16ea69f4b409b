"""The loss of one stage of training: its weighted terms, and the networks that each of them teaches."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from compress.elir.model import Elir
from compress.elir.train.losses import consistency_loss, flow_matching_loss, mmse_loss, pixel_loss
from compress.errors import InputError
from compress.measure.lpips import MIN_SIZE as LPIPS_MIN_SIZE
from compress.measure.lpips import Lpips
from compress.recipe.train import Stage, TrainModel, TrainStage

Terms = Iterator[tuple[str, Tensor]]
LPIPS_STRIDE = 4  # of AlexNet's first convolution
COLOR_CELL = 16  # px
OUTPUT_TERMS = ("l1", "lpips", "color", "adversarial")
TEACHES = {
    "mmse": {"enc", "mmse"},
    "consistency": {"fmir"},
    "flow_matching": {"fmir"},
    "pixel": {"fmir"},
    **{term: {"enc", "mmse", "fmir", "dec"} for term in OUTPUT_TERMS},
}


class Objective(nn.Module):
    """(degraded, clean) of one process's ``share`` of a batch -> the stage's weighted terms by name, scalars.

    Both are latents (n, 16, h, w) in space ``latents``, else pictures (n, 3, H, W) in [0, 1]. Times, noise and shifts
    are drawn for the whole batch from torch's generator on the CPU, then cut, so that the number of processes changes
    nothing. ``teacher`` holds the frozen autoencoder; ``judge`` gives the adversarial term of restored pictures.
    arXiv 2502.03500, section 4.
    """

    def __init__(
        self,
        model: Elir,
        teacher: Elir,
        settings: TrainModel,
        stage: TrainStage,
        share: slice = slice(None),
        judge: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.teacher = model, teacher
        self.settings, self.stage, self.share, self.judge = settings, stage, share, judge
        self.lpips = Lpips().to(next(model.parameters()).device) if stage.weights.lpips else None

    def forward(self, degraded: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """The terms of the loss that have a weight; their sum is the loss."""
        with self._autocast(degraded.device.type):
            terms = self._latent_terms if self.stage.space == "latents" else self._pixel_terms
            return dict(terms(degraded, clean))

    def _latent_terms(self, x_lq: Tensor, x_hq: Tensor) -> Terms:
        return self._flow_terms(self.model.mmse(x_lq), x_hq, None)

    def _pixel_terms(self, lq: Tensor, hq: Tensor) -> Terms:
        with torch.no_grad():
            x_hq = self.teacher.enc(hq)
        x_mmse = self.model.mmse(self.model.enc(lq.contiguous(memory_format=torch.channels_last)))
        yield from self._flow_terms(x_mmse, x_hq, hq)
        if any(getattr(self.stage.weights, name) for name in OUTPUT_TERMS):
            yield from self._output_terms(self._sample(x_mmse, lq), hq)

    def _flow_terms(self, x_mmse: Tensor, x_hq: Tensor, pixels: Tensor | None) -> Terms:
        w, settings, flow = self.stage.weights, self.settings, self.model.fmir
        x_hq = x_hq.float()
        if w.mmse:
            yield "mmse", w.mmse * mmse_loss(x_mmse.float(), x_hq)
        if not (w.consistency or w.pixel or w.flow_matching):
            return
        x_0 = x_mmse.detach().float() + self.model.sigma_s * self._normal(x_hq)
        if w.flow_matching:
            yield "flow_matching", w.flow_matching * flow_matching_loss(flow, x_0, x_hq, self._times(x_hq))
        if not (w.consistency or w.pixel):
            return
        t = self._times(x_hq, 1 - settings.dt)
        loss, f, e = consistency_loss(flow, x_0, x_hq, t, settings.dt, settings.k_steps)
        if w.consistency:
            yield "consistency", w.consistency * loss
        if w.pixel and pixels is not None:
            yield "pixel", w.pixel * pixel_loss(flow, self.teacher.dec, f, e, pixels)

    def _sample(self, x_mmse: Tensor, lq: Tensor) -> Tensor:
        """Output of the K-step sampler from the latent estimate, with gradient through every step."""
        z = x_mmse + self.model.sigma_s * self._normal(x_mmse)
        for k in range(self.model.k_steps):
            z = z + self.model.fmir.velocity(z, k, self.model.k_steps) / self.model.k_steps
        return self.model.decode(z, lq).float()

    def _output_terms(self, out: Tensor, hq: Tensor) -> Terms:
        w = self.stage.weights
        if w.l1:
            yield "l1", w.l1 * (out - hq).abs().mean()
        if w.color:
            yield "color", w.color * nn.functional.avg_pool2d(out - hq, COLOR_CELL).abs().mean()
        if self.lpips is not None:
            # AlexNet's stride of 4 sits on the decoder's grid of 8: unshifted, the decoder learns to weave a
            # pattern of that period which LPIPS does not see.
            dy, dx = (int(torch.randint(LPIPS_STRIDE, (1,))) for _ in range(2))
            shift = (slice(None), slice(None), slice(dy, None), slice(dx, None))
            yield "lpips", w.lpips * self.lpips(out[shift], hq[shift]).mean()
        if w.adversarial:
            assert self.judge is not None
            yield "adversarial", w.adversarial * self.judge(out)

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn((self.stage.batch, *like.shape[1:]))[self.share].to(like.device)

    def _times(self, like: Tensor, end: float = 1.0) -> Tensor:
        return (torch.rand(self.stage.batch) * end)[self.share].to(like.device)

    def _autocast(self, device: str) -> contextlib.AbstractContextManager:
        return torch.autocast(device, torch.bfloat16) if self.stage.bf16 else contextlib.nullcontext()


def check_stage(stage: TrainStage, name: str) -> None:
    """Raise InputError where a setting would have no effect, or nothing would be learnt."""
    w = stage.weights
    if stage.space == "latents":
        if idle := [term for term in ("pixel", *OUTPUT_TERMS) if getattr(w, term)]:
            raise InputError(f"{name}: weights.{idle[0]} needs pixels, space is latents: set it to 0, or space: pixels")
        if idle := [module for module in stage.modules if module in ("enc", "dec")]:
            raise InputError(f"{name}: {idle[0]} cannot learn in space latents: leave it out of modules")
    # The random shift takes up to LPIPS_STRIDE - 1 px.
    if w.lpips and stage.crop < LPIPS_MIN_SIZE + LPIPS_STRIDE:
        raise InputError(f"{name}: weights.lpips needs crops of 64 px or more, crop is {stage.crop}: raise it")
    terms = [term for term, weight in w.model_dump().items() if weight]
    if not terms or not stage.modules:
        raise InputError(f"{name}: nothing to learn: give one of weights a value above 0, and modules a name")
    if not (taught := taught_modules(stage)) & set(stage.modules):
        raise InputError(
            f"{name}: nothing to learn: {', '.join(terms)} teaches {', '.join(sorted(taught))}, "
            f"modules is [{', '.join(stage.modules)}]: add one of those"
        )


def taught_modules(stage: TrainStage) -> set[str]:
    """Networks that a gradient of the stage's terms reaches."""
    return {module for term, weight in stage.weights.model_dump().items() if weight for module in TEACHES[term]}


def slow_bf16(stage: Stage, device: torch.device) -> bool:
    """Whether the stage asks for bfloat16 where the device has no instructions for it, and emulates it."""
    if not stage.bf16:
        return False
    if device.type == "cpu":
        return not any(torch.cpu.get_capabilities().get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    if device.type == "cuda":
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    return False
