"""Between the published formats and ours, both ways, over-parametrised and collapsed."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from compress.elir.checkpoint import load_checkpoint, save_checkpoint
from compress.elir.convert import convert
from compress.elir.latent import noise_shape
from compress.elir.metadata import read_metadata
from compress.elir.model import Elir, ElirConfig
from compress.errors import InputError, VerificationError
from compress.recipe.published import PUBLISHED, ReleaseFile

FACTS = {"task": "sr_x4", "licence": "MIT"}


@pytest.fixture()
def ours(tiny_elir: Elir, tmp_path: Path) -> Path:
    save_checkpoint(tiny_elir, tmp_path / "ours.safetensors", FACTS, torch.float32)
    return tmp_path / "ours.safetensors"


def output(model: Elir) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return model(torch.rand(1, 3, 64, 64, generator=generator), torch.randn(noise_shape(64, 64), generator=generator))


def test_flat_published_and_back_is_the_same_to_the_bit(ours: Path, tiny_elir: Elir, tmp_path: Path) -> None:
    convert(ours, tmp_path / "flat.pth")
    state = torch.load(tmp_path / "flat.pth", weights_only=True)
    assert {name.split(".")[0] for name in state} == {"fmir", "mmse", "enc", "dec"}
    assert state.keys() == tiny_elir.state_dict().keys()
    convert(tmp_path / "flat.pth", tmp_path / "back.safetensors", 3, 0.1, "sr_x4", half=False)
    back = load_checkpoint(tmp_path / "back.safetensors")
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in tiny_elir.state_dict().items())
    assert (back.k_steps, back.sigma_s, back.metadata["task"]) == (3, 0.1, "sr_x4")


def test_training_s_four_dicts_and_back_compute_the_same(ours: Path, tiny_elir: Elir, tmp_path: Path) -> None:
    convert(ours, tmp_path / "wide.ckpt")
    parts = torch.load(tmp_path / "wide.ckpt", weights_only=True)
    assert parts.keys() == {f"state_dict_{name}" for name in ("fmir", "mmse", "enc", "dec")}
    assert "lrm.0.RDB1.conv1.block.1.weight" in parts["state_dict_mmse"]
    assert "final_block.block.3.weight" in parts["state_dict_fmir"]
    wide = load_checkpoint(tmp_path / "wide.ckpt", 3, 0.1)
    assert wide.config.over_param
    torch.testing.assert_close(output(wide), output(tiny_elir), atol=1e-5, rtol=0)
    convert(tmp_path / "wide.ckpt", tmp_path / "back.safetensors", 3, 0.1, half=False)
    back = load_checkpoint(tmp_path / "back.safetensors")
    assert not back.config.over_param
    torch.testing.assert_close(output(back), output(tiny_elir), atol=1e-5, rtol=0)


def test_same_source_gives_the_same_bytes(ours: Path, tmp_path: Path) -> None:
    for suffix in ("pth", "ckpt", "safetensors"):
        for name in ("a", "b"):
            convert(ours, tmp_path / f"{name}.{suffix}")
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes(), suffix


def test_tied_tensors_and_views_are_written_each_for_itself(tiny_elir: Elir, tmp_path: Path) -> None:
    state = tiny_elir.state_dict()
    state["dec.layers.3.conv.2.weight"] = state["dec.layers.3.conv.0.weight"]
    state["dec.layers.3.conv.2.bias"] = state["dec.layers.3.conv.0.weight"].flatten()[1:65]
    state["dec.layers.3.conv.4.weight"] = state["dec.layers.3.conv.0.weight"].transpose(0, 1)
    torch.save(state, tmp_path / "tied.pth")
    convert(tmp_path / "tied.pth", tmp_path / "own.safetensors", 3, 0.1, half=False)
    back = load_checkpoint(tmp_path / "own.safetensors").state_dict()
    assert all(torch.equal(value, back[name]) for name, value in state.items())


def test_half_is_half_the_size_and_keeps_the_metadata(ours: Path, tmp_path: Path) -> None:
    convert(ours, tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.55 * ours.stat().st_size
    assert read_metadata(tmp_path / "half.safetensors") == read_metadata(ours)


def test_what_the_published_formats_lack_must_be_given(ours: Path, tmp_path: Path) -> None:
    convert(ours, tmp_path / "flat.pth")
    with pytest.raises(
        InputError,
        match=r"flat\.pth: holds no k_steps, sigma_s or task: give all three \(--k-steps, --sigma-s, --task\)",
    ):
        convert(tmp_path / "flat.pth", tmp_path / "back.safetensors")
    assert not (tmp_path / "back.safetensors").exists()


def test_what_the_source_records_and_the_new_file_does_not_is_said(ours: Path, tmp_path: Path) -> None:
    assert convert(ours, tmp_path / "same.safetensors", 3, 0.1, "sr_x4") == ""
    assert convert(ours, tmp_path / "other.safetensors", 5, task="denoise") == (
        f"{ours}: records task sr_x4, the new file denoise; k_steps 3, the new file 5, as was asked"
    )


@pytest.mark.parametrize("suffix", ["pth", "ckpt"])
def test_what_a_published_format_does_not_hold_is_said(ours: Path, tmp_path: Path, suffix: str) -> None:
    model = load_checkpoint(ours)
    save_checkpoint(model, tmp_path / "mine.safetensors", {**model.metadata, "licence": "MIT", "data": "photographs"})
    target = tmp_path / f"mine.{suffix}"
    assert convert(tmp_path / "mine.safetensors", target) == (
        f"{target}: this format does not hold task sr_x4, K 3, sigma_s 0.1, data, licence: keep them elsewhere"
    )


@pytest.fixture(scope="module")
def authors(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A file with the names and shapes of one of the authors' checkpoints, float16 to be quick."""

    @cache
    def make(file: str) -> Path:
        like = next(model for model in PUBLISHED if model.file == file)
        with torch.device("meta"):
            shapes = Elir(ElirConfig(*like.widths)).state_dict()
        path = tmp_path_factory.mktemp("authors") / "mine.pth"
        torch.save({name: torch.zeros(value.shape, dtype=torch.float16) for name, value in shapes.items()}, path)
        return path

    return make


@pytest.mark.parametrize("like", PUBLISHED, ids=lambda like: like.file)
def test_what_the_authors_files_lack_is_known(
    like: ReleaseFile, authors: Callable[[str], Path], tmp_path: Path
) -> None:
    note = convert(authors(like.file), tmp_path / "known.safetensors", task=like.task)
    result = read_metadata(tmp_path / "known.safetensors")
    keys = ("task", "k_trained", "k_steps", "sigma_s")
    assert [result[key] for key in keys] == [like.task, *map(str, (like.k_trained, like.k_steps, like.sigma_s))]
    assert f"taken for the published {like.file} by its widths: task {like.task}, K {like.k_steps}, " in note


def test_widths_alone_tell_blind_models_apart(authors: Callable[[str], Path], tmp_path: Path) -> None:
    convert(authors("elir_bsr.pth"), tmp_path / "bsr.safetensors")
    result = read_metadata(tmp_path / "bsr.safetensors")
    assert (result["task"], result["sigma_s"]) == ("blind_sr_x4_published", "0.04")


def test_three_published_models_have_the_same_widths(authors: Callable[[str], Path], tmp_path: Path) -> None:
    message = (
        r"mine.pth: holds no k_steps, sigma_s or task: give all three \(--k-steps, --sigma-s, --task\); "
        "of a published one, task alone: sr_x8_published or denoise_published or inpaint_published$"
    )
    with pytest.raises(InputError, match=message):
        convert(authors("elir_sr.pth"), tmp_path / "sr.safetensors")
    with pytest.raises(InputError, match=r"give both \(--k-steps, --sigma-s\)$"):  # of these widths, but not published
        convert(authors("elir_sr.pth"), tmp_path / "sr.safetensors", task="sr_x4")


def test_numbers_that_are_given_stay(authors: Callable[[str], Path], tmp_path: Path) -> None:
    assert "taken for" not in convert(authors("elir_sr.pth"), tmp_path / "a.safetensors", 5, 0.2)
    result = read_metadata(tmp_path / "a.safetensors")
    assert (result["k_steps"], result["sigma_s"], result.get("k_trained")) == ("5", "0.2", None)
    convert(authors("elir_sr.pth"), tmp_path / "b.safetensors", 5, task="denoise_published")
    result = read_metadata(tmp_path / "b.safetensors")
    assert (result["k_steps"], result["sigma_s"], result["k_trained"]) == ("5", "0.025", "5")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("x.bin", "x.bin: unknown checkpoint suffix: use .safetensors, .pth, .ckpt"),
        ("ours.safetensors", "is what is read"),
    ],
)
def test_targets_that_are_refused(ours: Path, tmp_path: Path, target: str, text: str) -> None:
    before = ours.read_bytes()
    with pytest.raises(InputError, match=text.replace(".", r"\.")):
        convert(ours, tmp_path / target)
    assert ours.read_bytes() == before


def test_damaged_source_leaves_nothing(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(ours.read_bytes()[:1000])
    with pytest.raises(VerificationError, match="damaged safetensors"):
        convert(tmp_path / "cut.safetensors", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


def test_unknown_task(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sharpen: unknown task: use one of sr_x2, sr_x4, "):
        convert(ours, tmp_path / "out.safetensors", task="sharpen")


WORDS = "x\n\x1b]0;title\x07\x1b[2J\u202e\x85\u2028y"


@pytest.mark.parametrize("target", ["x.pth", "x.ckpt", "x.safetensors"])
@pytest.mark.parametrize("key", ["task", WORDS])
def test_words_of_a_file_forge_no_line_of_what_is_said(tiny_elir: Elir, tmp_path: Path, key: str, target: str) -> None:
    save_checkpoint(tiny_elir, tmp_path / "ours.safetensors", {"data": "", key: WORDS})
    said = convert(tmp_path / "ours.safetensors", tmp_path / target, task="denoise")
    assert len(said.split("\n")) == 1 and said.isprintable()


def test_of_many_facts_that_are_lost_some_are_named(tiny_elir: Elir, tmp_path: Path) -> None:
    save_checkpoint(tiny_elir, tmp_path / "ours.safetensors", {f"fact{i:04}": "" for i in range(5000)})
    said = convert(tmp_path / "ours.safetensors", tmp_path / "x.pth")
    assert "fact0009, 4990 more: keep them elsewhere" in said
