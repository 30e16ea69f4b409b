"""collapse: exact, and only for what is over-parametrised."""

from collections.abc import Callable

import pytest
import torch

from compress.elir.model import Elir, ElirConfig
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.collapse import Collapse
from compress.passes.quantize.engines import QuantizedModel
from compress.recipe.passes import CollapseSettings


@pytest.fixture()
def wide() -> Elir:
    torch.manual_seed(0)
    return Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1, over_param=True)).eval()


def test_output_stays_and_pairs_are_gone(wide: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(wide)
    before, count = subject.probe(), sum(p.numel() for p in wide.parameters())
    Collapse(CollapseSettings()).run(subject)
    torch.testing.assert_close(subject.probe(), before, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in subject.model.parameters()) < count
    assert not subject.model.config.over_param
    assert not any(p.requires_grad for p in subject.model.parameters())
    assert subject.notes == ["collapse: 34 pairs"]  # 15 of the RRDB, 2 of each of 9 blocks, 1 of the flow net's end


def test_plain_form_is_left_as_it_is(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(tiny_elir)
    before = subject.probe()
    Collapse(CollapseSettings()).run(subject)
    assert torch.equal(subject.probe(), before)
    assert subject.notes == ["collapse: the checkpoint is in plain form already"]


def test_after_quantization_is_refused(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(tiny_elir)
    subject.quantized = QuantizedModel("elir")
    with pytest.raises(InputError, match=r"^passes: collapse comes after a quantizing pass: put it before ptq$"):
        Collapse(CollapseSettings()).run(subject)
