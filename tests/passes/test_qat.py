"""qat: nearer to the float model than ptq left it, over all schemes; on the grid; the same each time."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from compress.elir.hooks import convs_in_order
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.ptq import Ptq
from compress.passes.qat import Qat
from compress.passes.quantize import learner
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.learner import LearningPass, LearntWeight
from compress.passes.quantize.modules import QuantConv
from compress.passes.quantize.round_weights import quantize_weight
from compress.passes.reconstruct import Reconstruct
from compress.passes.shrink.sparsity import two_of_four
from compress.recipe.passes import PtqSettings, QatSettings, ReconstructSettings

pytestmark = pytest.mark.slow


@pytest.fixture()
def quantized(folded: Callable[..., Subject]) -> Callable[..., Subject]:
    def make(formats: tuple[str, ...] = ("openvino", "onnx")) -> Subject:
        subject = folded(formats)
        # A flow of random weights is chaotic in its last bit: what helps one picture there harms the next.
        settings = PtqSettings(rounding="nearest", bias_correction=False, keep_float=["mmse", "fmir"])
        Ptq(settings).run(subject)
        return subject

    return make


def integers(subject: Subject) -> dict[str, torch.Tensor]:
    """The weights that are the same in all schemes."""
    return {name: layer.weight.values for name, layer in subject.quantized.layers.items()}


def biases(subject: Subject) -> dict[str, torch.Tensor]:
    return {name: layer.bias for name, layer in subject.quantized.layers.items()}


def convs_of(module: torch.nn.Module) -> dict[str, QuantConv]:
    return {name: m for name, m in module.named_modules() if isinstance(m, QuantConv)}


def mean_closeness(subject: Subject, module: torch.nn.Module) -> float:
    """SQNR in dB over all calibration pictures."""
    with torch.no_grad():
        pairs = [(subject.model(*pair).clamp(0, 1), module(*pair).clamp(0, 1)) for pair in subject.calibration()]
    wanted, result = (torch.cat(outputs).double() for outputs in zip(*pairs, strict=True))
    return 10 * torch.log10(wanted.square().sum() / (wanted - result).square().sum()).item()


@pytest.mark.numerics
@pytest.mark.parametrize("settings", [{"weight_rate": 0}, {"weight_rate": 0.02, "bias_rate": 0}])
def test_the_worst_scheme_gains_and_none_gets_worse(
    quantized: Callable[..., Subject], settings: dict[str, float]
) -> None:
    subject = quantized()
    settled = subject.quantized
    before = {name: mean_closeness(subject, module) for name, module in settled.modules.items()}
    Qat(QatSettings(steps=30, crop=64, **settings)).run(subject)  # type: ignore[arg-type]
    modules = subject.quantized.modules
    after = {name: mean_closeness(subject, module) for name, module in modules.items()}
    assert min(after.values()) > min(before.values()) + 1, (before, after)
    assert all(after[name] > before[name] - 0.5 for name in after), (before, after)
    learner, old = integers(subject), {name: layer.weight.values for name, layer in settled.layers.items()}
    assert all(torch.equal(old[name], learner[name]) for name in old) is (settings["weight_rate"] == 0)
    assert "qat: 30 steps on 8 pictures" in subject.notes
    taken = [name for name in modules if modules[name] is not settled.modules[name]]
    for name in taken:
        for conv, quantized_conv in convs_of(modules[name]).items():
            assert torch.equal(quantized_conv.weight, learner[conv])  # type: ignore[arg-type]
    assert len([note for note in subject.notes if "stays as ptq left it" in note]) == len(modules) - len(taken)


def test_a_scheme_that_what_was_learnt_would_harm_stays_as_ptq_left_it(quantized: Callable[..., Subject]) -> None:
    subject = quantized()
    settled = dict(subject.quantized.modules)
    pair = next(iter(subject.calibration()))
    with torch.no_grad():  # what is best for a picture darkened by a twentieth is worse for the true one
        float_bias = subject.model.dec.layers[-1].bias
        wrong = {name: copy.deepcopy(module) for name, module in settled.items()}
        wrong["onnxruntime"].dec.layers[-1].bias = torch.nn.Parameter(float_bias - 0.05)  # type: ignore[union-attr]
        subject.quantized.modules = wrong
        Qat(QatSettings()).review(subject, QuantizedModel("elir", settled))
    assert subject.quantized.modules["onnxruntime"] is settled["onnxruntime"]
    assert subject.quantized.modules["openvino"] is wrong["openvino"]
    assert subject.notes[-1].startswith("qat: onnxruntime stays as ptq left it, ")
    assert settled["openvino"](*pair).equal(wrong["openvino"](*pair))


def test_two_runs_are_equal(quantized: Callable[..., Subject]) -> None:
    result = []
    for _ in range(2):
        subject = quantized()
        Qat(QatSettings(steps=2, crop=32)).run(subject)
        result.append(subject)
    for read in (integers, biases):
        first, second = (read(s) for s in result)
        assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "learning", [Qat(QatSettings(steps=4, crop=32)), Reconstruct(ReconstructSettings(steps=2, crops=1, crop=32))]
)
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    quantized: Callable[..., Subject], learning: LearningPass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner, "KEPT_EVERY_S", 0.0)
    whole, subject = quantized(("onnx",)), quantized(("onnx",))
    learning.run(whole)
    subject.underway = tmp_path.joinpath
    messages: list[int] = []

    def stop(what: str, done: int, total: int) -> None:
        messages.append(done)
        if done == 3:
            raise KeyboardInterrupt

    subject.advance = stop
    with pytest.raises(KeyboardInterrupt):
        learning.run(subject)
    assert (tmp_path / learning.name).is_file()
    assert messages.pop() == 3
    subject.advance = lambda what, done, total: messages.append(done)
    learning.run(subject)
    assert messages[:3] == [1, 2, 3] and messages.count(1) == 1 and not (tmp_path / learning.name).exists()
    for read in (integers, biases):
        wanted, result = (read(s) for s in (whole, subject))
        assert all(torch.equal(wanted[name], result[name]) for name in wanted)


def test_what_a_stopped_run_kept_is_damaged(quantized: Callable[..., Subject], tmp_path: Path) -> None:
    subject = quantized(("onnx",))
    subject.underway = tmp_path.joinpath
    (tmp_path / "qat").write_bytes(b"PK\x03\x04 none")
    with pytest.raises(InputError, match=r"qat: damaged: delete it, or start again \(resume=False\)$"):
        Qat(QatSettings(steps=2, crop=32)).run(subject)


def test_pairs_stay_limited_while_weights_learn() -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(4, 3, 3)
    learner = LearntWeight(conv, quantize_weight(conv, 8, pair_limit=True))
    assert torch.equal(learner.integers(), quantize_weight(conv, 8, pair_limit=True).values)
    with torch.no_grad():
        learner.steps += 40
    pairs = learner.quantized().values.int().unflatten(1, (-1, 2)).sum(2)
    assert pairs.abs().max() == 128
    learner().sum().backward()
    assert torch.equal(learner.steps.grad, learner.scale.expand_as(conv.weight))  # type: ignore[arg-type]


@pytest.mark.parametrize("learning", [Qat(QatSettings(steps=4, crop=32, weight_rate=1)), None])
def test_weights_that_were_pruned_to_0_stay_0(folded: Callable[..., Subject], learning: Qat | None) -> None:
    subject = folded(("onnx",))
    two_of_four(subject.model)
    subject.sparse = True
    zero = {name: conv.weight == 0 for name, conv in convs_in_order(subject.model).items()}
    Ptq(PtqSettings()).run(subject)
    before = integers(subject)
    if learning is not None:
        learning.run(subject)
        assert any(not torch.equal(before[name], value) for name, value in integers(subject).items())
    assert not any(value[zero[name]].any() for name, value in integers(subject).items())
    assert sum(int(z.sum()) for z in zero.values()) > 0.4 * sum(z.numel() for z in zero.values())


def test_it_comes_after_ptq_of_our_own_engine(folded: Callable[..., Subject]) -> None:
    subject = folded()
    with pytest.raises(InputError, match="qat starts from a quantized model: put ptq before it"):
        Qat(QatSettings()).run(subject)
    subject.quantized = QuantizedModel("nncf")
    with pytest.raises(InputError, match="qat cannot learn what engine nncf wrote: use engine elir"):
        Qat(QatSettings()).run(subject)
