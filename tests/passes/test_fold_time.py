"""fold_time: exact over the whole trajectory, weights shared, in its order."""

from collections.abc import Callable

import pytest
import torch

from compress.elir.flow import FoldedFlow
from compress.elir.model import Elir, ElirConfig
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.fold_time import FoldTime
from compress.recipe.passes import FoldTimeSettings


def test_every_stage_stays(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(tiny_elir)
    lq, noise = next(iter(subject.calibration()))
    before = tiny_elir.stages(lq, noise)
    FoldTime(FoldTimeSettings()).run(subject)
    after = subject.model.stages(lq, noise)
    assert list(after) == list(before)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_steps_share_weights_but_not_the_biases_that_carry_time(
    tiny_elir: Elir, make_subject: Callable[..., Subject]
) -> None:
    subject = make_subject(tiny_elir)
    FoldTime(FoldTimeSettings()).run(subject)
    flow = subject.model.fmir
    assert isinstance(flow, FoldedFlow) and len(flow.steps) == 3
    first, second = (step.mid_blocks[0].block1.block[2] for step in list(flow.steps)[:2])  # type: ignore[union-attr]
    assert first.weight is second.weight
    assert not torch.allclose(first.bias, second.bias)
    assert subject.notes[0].startswith("fold_time: 3 steps, ")


def test_twice_is_refused(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(tiny_elir)
    FoldTime(FoldTimeSettings()).run(subject)
    with pytest.raises(InputError, match=r"^passes: fold_time comes twice: remove one$"):
        FoldTime(FoldTimeSettings()).run(subject)


def test_before_collapse_is_refused(make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1, over_param=True)).eval())
    with pytest.raises(InputError, match=r"^passes: fold_time needs the collapsed form: put collapse before it$"):
        FoldTime(FoldTimeSettings()).run(subject)
