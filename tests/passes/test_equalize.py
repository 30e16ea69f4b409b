"""equalize: exact, and the channels' ranges become equal."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compress.elir.checkpoint import load_checkpoint
from compress.elir.model import Elir
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.equalize import Equalize, find_streams
from compress.passes.quantize.engines import QuantizedModel
from compress.recipe.passes import EqualizeSettings


@pytest.fixture()
def uneven(tiny_elir: Elir) -> Elir:
    """A model whose autoencoder's channels differ widely, as trained ones do."""
    generator = torch.Generator().manual_seed(1)
    for net in (tiny_elir.enc, tiny_elir.dec):
        for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d)):
            if conv.out_channels > 16:
                conv.weight.mul_(torch.exp(torch.randn(conv.out_channels, 1, 1, 1, generator=generator)))
    return tiny_elir


def peaks(model: Elir, pair: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Largest magnitude of each channel that reaches the first reader of every stream."""
    streams = [s for net in (model.enc, model.dec) for s in find_streams(net.layers)]
    result: dict[int, Tensor] = {}
    handles = [
        s.readers[0].register_forward_pre_hook(lambda _, x, i=i: result.__setitem__(i, x[0].abs().amax((0, 2, 3))))
        for i, s in enumerate(streams)
    ]
    with torch.no_grad():
        model(*pair)
    for handle in handles:
        handle.remove()
    return [result[i] for i in range(len(streams))]


def spread(peaks: list[Tensor]) -> float:
    """Mean over streams of log(largest channel / median channel)."""
    return torch.stack([(p.max() / p.median().clamp_min(1e-6)).log() for p in peaks]).mean().item()


def test_exact_and_more_even(uneven: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(uneven)
    pair = next(iter(subject.calibration()))
    before, ranges = uneven.stages(*pair), peaks(uneven, pair)
    Equalize(EqualizeSettings(pictures=2)).run(subject)
    after = uneven.stages(*pair)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-4 * value.abs().max().item())
    assert spread(peaks(uneven, pair)) < 0.8 * spread(ranges)
    assert subject.notes == [f"equalize: {len(ranges)} streams, strength 0.25"]


def test_strength_0_changes_nothing_and_1_most(uneven: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(uneven)
    pair = next(iter(subject.calibration()))
    ranges = peaks(uneven, pair)
    Equalize(EqualizeSettings(strength=0, pictures=1)).run(subject)
    assert spread(peaks(uneven, pair)) == pytest.approx(spread(ranges), rel=1e-5)
    Equalize(EqualizeSettings(strength=1, pictures=2)).run(subject)
    assert spread(peaks(uneven, pair)) < 0.5 * spread(ranges)


def test_a_checkpoint_with_tied_weights_and_views(
    uneven: Elir, make_subject: Callable[..., Subject], tmp_path: Path
) -> None:
    state, stream = uneven.state_dict(), next(iter(find_streams(uneven.dec.layers)))
    (writer,) = (n for n, m in uneven.named_modules() if m is stream.writers[0])
    (reader,) = (n for n, m in uneven.named_modules() if m is stream.readers[0])
    state[f"{reader}.weight"] = state[f"{writer}.weight"]
    state[f"{reader}.bias"] = state[f"{writer}.weight"].flatten()[1 : 1 + len(state[f"{reader}.bias"])]
    torch.save(state, tmp_path / "tied.pth")
    subject = make_subject(load_checkpoint(tmp_path / "tied.pth", 1, 0.1))
    pair = next(iter(subject.calibration()))
    before = subject.model(*pair)
    Equalize(EqualizeSettings(pictures=1)).run(subject)
    torch.testing.assert_close(subject.model(*pair), before, rtol=1e-4, atol=1e-4 * before.abs().max().item())


def test_only_as_many_pictures_as_asked(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(tiny_elir)
    messages: list[tuple[int, int]] = []
    subject.advance = lambda _, done, total: messages.append((done, total))
    Equalize(EqualizeSettings(pictures=2)).run(subject)
    assert messages == [(1, 2), (2, 2)]


def test_a_dead_channel_stays_finite(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    stream = next(iter(find_streams(tiny_elir.dec.layers)))
    stream.writers[0].weight[3] = 0
    stream.writers[0].bias[3] = 0  # type: ignore[index]
    Equalize(EqualizeSettings(pictures=1)).run(make_subject(tiny_elir))
    assert all(p.isfinite().all() for p in tiny_elir.parameters())


def test_a_stream_that_is_all_zero_stays_finite(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    stream = next(iter(find_streams(tiny_elir.dec.layers)))
    stream.writers[0].weight.zero_()
    stream.writers[0].bias.zero_()  # type: ignore[union-attr]
    Equalize(EqualizeSettings(pictures=1)).run(make_subject(tiny_elir))
    assert all(p.isfinite().all() for p in tiny_elir.parameters())


def test_every_convolution_of_a_stream_is_found_once(tiny_elir: Elir) -> None:
    for net in (tiny_elir.enc, tiny_elir.dec):
        streams = list(find_streams(net.layers))
        convs = [m for m in net.layers.modules() if isinstance(m, nn.Conv2d)]
        writers = [id(c) for s in streams for c in s.writers]
        assert len(writers) == len(set(writers)) == len(convs) - 1, "all but the last one write a stream"
        for stream in streams:
            widths = {c.out_channels for c in stream.writers} | {c.in_channels for c in stream.readers}
            assert len(widths) == 1


def test_after_ptq_is_refused(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(tiny_elir)
    subject.quantized = QuantizedModel("elir")
    with pytest.raises(InputError, match=r"^passes: equalize comes after a quantizing pass: put it before ptq$"):
        Equalize(EqualizeSettings()).run(subject)


def test_without_pictures_is_refused(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(tiny_elir)
    subject.calibration_count = 0
    with pytest.raises(InputError, match=r"^passes: equalize needs calibration pictures: give data\.calibration$"):
        Equalize(EqualizeSettings()).run(subject)
