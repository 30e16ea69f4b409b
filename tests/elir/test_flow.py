"""Time embedding, and the folding of the time MLP into K biases."""

import math

import pytest
import torch

from compress.elir.flow import FoldedFlow, LUnet, Norm, ResnetBlock, time_embedding


@pytest.fixture()
def flow() -> LUnet:
    torch.manual_seed(1)
    return LUnet(hid_channels=32, n_mid_blocks=1).eval().requires_grad_(False)


def test_time_embedding_is_cosines_then_sines() -> None:
    emb = time_embedding(torch.tensor([0.0, 0.5]), dim=4)
    assert emb[0].tolist() == [1, 1, 0, 0]
    wanted = [math.cos(500), math.cos(0.05), math.sin(500), math.sin(0.05)]
    torch.testing.assert_close(emb[1], torch.tensor(wanted), atol=1e-4, rtol=0)


@pytest.mark.parametrize("k_steps", [1, 3, 5])
def test_folded_flow_is_exact_at_every_step(flow: LUnet, k_steps: int) -> None:
    z = torch.randn(2, 16, 8, 12)
    folded = FoldedFlow(flow, k_steps)
    for k in range(k_steps):
        torch.testing.assert_close(folded.velocity(z, k, k_steps), flow.velocity(z, k, k_steps), atol=1e-5, rtol=0)


def test_folded_steps_share_all_but_the_biases(flow: LUnet) -> None:
    folded = FoldedFlow(flow, 3)
    names = [{name: p.data_ptr() for name, p in step.named_parameters()} for step in folded.steps]
    own = {name for name in names[0] if names[0][name] != names[1][name]}
    assert own and all(name.endswith("block1.block.2.bias") for name in own)
    blocks = [m for m in flow.modules() if isinstance(m, ResnetBlock)]
    assert len(own) == len(blocks)
    assert not any("mlp" in name for name in names[0])


def test_folding_leaves_the_flow_as_it_was(flow: LUnet) -> None:
    before = {name: value.clone() for name, value in flow.state_dict().items()}
    FoldedFlow(flow, 2)
    assert before.keys() == flow.state_dict().keys()
    assert all(torch.equal(before[name], value) for name, value in flow.state_dict().items())


def test_folded_parameters_are_frozen_as_before(flow: LUnet) -> None:
    assert not any(p.requires_grad for p in FoldedFlow(flow, 2).parameters())


def test_folding_twice_is_refused(flow: LUnet) -> None:
    step = FoldedFlow(flow, 2).steps[0]
    assert isinstance(step, LUnet)
    with pytest.raises(ValueError, match="the flow's time is folded already: run `fold_time` once"):
        FoldedFlow(step, 2)


def test_folding_before_collapse_is_refused() -> None:
    with pytest.raises(ValueError, match="run `collapse` before `fold_time`"):
        FoldedFlow(LUnet(32, 1, over_param=True), 2)


def test_other_number_of_steps_is_refused(flow: LUnet) -> None:
    with pytest.raises(ValueError, match=r"k_steps \(=4\) differs from the 2 steps folded: fold again"):
        FoldedFlow(flow, 2).velocity(torch.zeros(1, 16, 4, 4), 0, 4)


def test_norm_is_torchs() -> None:
    x = torch.randn(2, 12, 3, 5)
    torch.testing.assert_close(Norm(4, 12)(x), torch.nn.GroupNorm(4, 12)(x), atol=0, rtol=0)


def test_norm_of_one_value_a_group_is_its_bias() -> None:
    norm = Norm(8, 8)
    torch.nn.init.normal_(norm.bias)
    torch.testing.assert_close(norm(torch.randn(1, 8, 1, 1)).flatten(), norm.bias.detach(), atol=1e-4, rtol=0)


def test_latent_of_the_smallest_picture(flow: LUnet) -> None:
    """4x4, 32 px: one pixel in the deepest level, where torch's own GroupNorm refuses 32 channels."""
    assert FoldedFlow(flow, 1).velocity(torch.randn(1, 16, 4, 4), 0, 1).isfinite().all()
