"""prune: widths by name, ratio or budget, each importance, zeros, and its place among the passes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from compress.elir.model import Elir, ElirConfig
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.fold_time import FoldTime
from compress.passes.prune import Prune, by_ratio
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.shrink.budget import macs, narrower, within
from compress.passes.shrink.channels import Channels, config_widths
from compress.passes.shrink.sparsity import zeros
from compress.recipe.passes import FoldTimeSettings
from compress.recipe.student import PruneSettings

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


CONFIG = ElirConfig(
    hid_channels=16,
    c_hid=16,
    n_rrdb=1,
    k_steps=1,
    **{"enc_widths": (16,) * 4, "enc_blocks": (1,) * 4, "dec_widths": (16,) * 4, "dec_blocks": (1,) * 4},
)
NARROW = replace(CONFIG, c_hid=8, enc_widths=(8,) * 4, dec_widths=(16, 8, 8, 8))  # two widths above the least


@pytest.fixture()
def subject(make_subject: Callable[..., Subject]) -> Subject:
    torch.manual_seed(0)
    return make_subject(Elir(CONFIG).eval().requires_grad_(False))


@pytest.mark.parametrize("importance", ["magnitude", "taylor", "activation"])
def test_widths_by_name(subject: Subject, importance: str) -> None:
    before = subject.model
    settings = PruneSettings(widths={"fmir": 8, "dec": [16, 16, 8, 8]}, importance=importance, pictures=2)
    Prune(settings).run(subject)
    assert subject.model.config == replace(before.config, hid_channels=8, dec_widths=(16, 16, 8, 8))
    assert subject.probe().isfinite().all()
    assert subject.reference is not None and subject.reference.config == before.config
    assert "M parameters" in subject.notes[0] and "of the multiplications" in subject.notes[0]
    assert not any(p.requires_grad or p.grad is not None for p in subject.model.parameters())


def test_ratios_round_to_what_kernels_work_on(subject: Subject) -> None:
    config = by_ratio(ElirConfig(64, 1, 48, 1), {"enc": 0.3, "mmse": 0.99, "dec": 0.0})
    assert config.enc_widths == (48, 48, 48, 48) and config.dec_widths == (64,) * 4
    assert config.c_hid == 8 and config.hid_channels == 64
    Prune(PruneSettings(ratios={"mmse": 0.5})).run(subject)
    assert subject.model.config.c_hid == 8
    assert by_ratio(ElirConfig(64, 1, 50, 1), {"fmir": 0.5}).c_hid == 50


def test_ratios_that_remove_nothing_are_refused(subject: Subject) -> None:
    """0 asks for nothing, as a sweep's first point does."""
    with pytest.raises(InputError, match=r"ratios: \{'fmir': 0.01\} remove nothing: networks lose channels by 8: give"):
        Prune(PruneSettings(ratios={"fmir": 0.01})).run(subject)
    before = subject.model.config
    Prune(PruneSettings(ratios={"fmir": 0.0})).run(subject)
    assert subject.model.config == before


def test_a_budget_is_kept_where_least_is_lost() -> None:
    with torch.device("meta"):
        model = Elir(CONFIG)
    # Only the decoder's channels at full resolution matter little.
    cheap = ("dec.layers.10", "dec.layers.11")
    channels = [
        Channels(name, torch.linspace(0.001, 0.002, width) if name.startswith(cheap) else torch.ones(width))
        for name, width in config_widths(CONFIG).items()
        if name.startswith(("dec", "enc"))
    ]
    channels[0] = Channels(channels[0].layer, torch.linspace(1, 100, len(channels[0].scores)))
    result = within(model, 0.9, channels)
    assert macs(result) <= 0.9 * macs(CONFIG)
    assert len(list(narrower(CONFIG))) == 10
    with torch.device("meta"):
        nearly = Elir(NARROW)
    ones = [Channels(name, torch.ones(width)) for name, width in config_widths(NARROW).items()]
    with pytest.raises(ValueError, match=r"no widths leave 0% of the multiplications: \d+% are left"):
        within(nearly, 0.001, ones)


def test_too_small_a_budget_is_a_mistake(make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(Elir(NARROW).eval().requires_grad_(False))
    with pytest.raises(InputError, match=r"^passes.prune.macs: no widths leave 1% .* are left: ask for more$"):
        Prune(PruneSettings(macs=0.01)).run(subject)


def test_unstructured_zeros_stay_in_place(subject: Subject) -> None:
    shapes = {n: p.shape for n, p in subject.model.named_parameters()}
    Prune(PruneSettings(pattern="unstructured", share=0.5)).run(subject)
    assert zeros(subject.model) == pytest.approx(0.5, abs=0.01)
    assert {n: p.shape for n, p in subject.model.named_parameters()} == shapes
    assert subject.notes[0].endswith("of the convolutions' weights are 0, shapes are as before")


def test_two_of_each_four(subject: Subject) -> None:
    Prune(PruneSettings(pattern="2:4")).run(subject)
    weight = subject.model.dec.layers[2].conv[0].weight  # type: ignore[union-attr, index]
    fours = weight.permute(0, 2, 3, 1).reshape(-1, 4)
    assert ((fours == 0).sum(1) == 2).all()


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"enc": [16, 16]}, "passes.prune.widths.enc: 2 widths for 4 resolutions: give one each"),
        ({"dec": [16, 16, 16, 24]}, "passes.prune.widths.dec: 24 of 16 channels: give 1 to 16"),
        ({"mmse": 32}, "passes.prune.widths.mmse: 32 of 16 channels: give 1 to 16"),
    ],
)
def test_widths_that_cannot_be(subject: Subject, widths: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        Prune(PruneSettings(widths=widths)).run(subject)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "with pattern channels, give one of widths, ratios, macs; given: none"),
        ({"macs": 0.5, "ratios": {"enc": 0.1}}, "given: ratios, macs"),
        ({"pattern": "2:4", "share": 0.5}, "with pattern 2:4, give none of widths, ratios, macs, share; given: share"),
        ({"pattern": "unstructured"}, "with pattern unstructured, give one of share; given: none"),
        ({"ratios": {"dec": 1.0}}, "less than 1"),
        ({"pattern": "2:4", "importance": "taylor"}, "importance has no effect with pattern 2:4: remove it"),
        ({"pattern": "2:4", "pictures": 4}, "pictures has no effect with pattern 2:4: remove it"),
        ({"ratios": {}}, "ratios names no network, so that nothing would be removed: add one"),
        ({"widths": {}}, "widths names no network, so that nothing would be removed: add one"),
    ],
)
def test_settings_that_contradict(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PruneSettings.model_validate(settings)


def test_after_fold_time_or_ptq_is_refused(subject: Subject) -> None:
    prune = Prune(PruneSettings(macs=0.5))
    FoldTime(FoldTimeSettings()).run(subject)
    with pytest.raises(
        InputError, match=r"^passes: prune needs the flow's time MLP, which fold_time takes away: put prune"
    ):
        prune.run(subject)
    subject.quantized = QuantizedModel("elir")
    with pytest.raises(InputError, match=r"^passes: prune comes after a quantizing pass: put it before ptq$"):
        prune.run(subject)
