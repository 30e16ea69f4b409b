"""Checkpoints of every form load; damaged, hostile and foreign ones are refused, each with its text and exit code."""

import os
import pickle
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from compress.elir import load_checkpoint
from compress.elir.checkpoint import infer_config, load_autoencoder, save_checkpoint
from compress.elir.convert import convert
from compress.elir.flow import FoldedFlow
from compress.elir.latent import noise_shape
from compress.elir.model import Elir, ElirConfig
from compress.elir.overparam import collapse
from compress.errors import CompressError, InputError, VerificationError
from compress.tensors import ALIGNMENT, compact_dtype
from tests.reliability.older_cpu import ENVIRONMENT

TINY = ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1)
PUBLISHED = {
    "face SR, denoise, inpaint": (ElirConfig(128, 1, 96, 3), 26.89),
    "blind SR": (ElirConfig(96, 1, 96, 3, sigma_s=0.04), 19.08),
    "blind face": (ElirConfig(128, 3, 96, 3, k_steps=5), 37.52),
}
State = dict[str, Tensor]


def refused(kind: type[CompressError], text: str, path: Path, **settings: float) -> None:
    """Loading fails with ``text``, on one line that names the file, and with the kind's exit code."""
    with pytest.raises(kind, match=re.escape(text)) as caught:
        load_checkpoint(path, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value) or "must be in" in str(caught.value)
    assert caught.value.exit_code == (2 if kind is InputError else 5)


def output(model: Elir) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    lq, noise = torch.rand(1, 3, 64, 64, generator=generator), torch.randn(noise_shape(64, 64), generator=generator)
    with torch.no_grad():
        return model(lq, noise)


@pytest.fixture()
def saved(tiny_elir: Elir, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(tiny_elir, path, {"task": "sr_x4"}, torch.float32)
    return path


# --- what loads -----------------------------------------------------------------------------------------------


@pytest.mark.numerics
def test_own_format_comes_back_as_it_was(tiny_elir: Elir, saved: Path) -> None:
    loaded = load_checkpoint(saved)
    assert torch.equal(output(loaded), output(tiny_elir))
    assert (loaded.k_steps, loaded.sigma_s, loaded.metadata["task"]) == (3, 0.1, "sr_x4")
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


PADDINGS = (0, 4, 12, 20, 36, 52)
OUTPUTS = """
import sys, hashlib, torch
from compress.elir.checkpoint import load_checkpoint
from compress.elir.latent import noise_shape

torch.set_num_threads(1)
lq, noise = torch.rand(1, 3, 64, 64), torch.randn(noise_shape(64, 64))
with torch.no_grad():
    outputs = [load_checkpoint(path)(lq, noise) for path in sys.argv[1:]]
print(torch.backends.cpu.get_cpu_capability(), *(torch.equal(outputs[0], other) for other in outputs))
"""


@pytest.mark.numerics
def test_outputs_do_not_depend_on_the_length_of_the_header(tiny_elir: Elir, tmp_path: Path) -> None:
    wanted = output(tiny_elir)
    for padding in PADDINGS:
        path = tmp_path / f"{padding}.safetensors"
        save_checkpoint(tiny_elir, path, {"padding": "x" * padding}, torch.float32)
        loaded = load_checkpoint(path)
        assert all(value.data_ptr() % ALIGNMENT == 0 for value in loaded.state_dict().values())
        assert torch.equal(output(loaded), wanted)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="an older x86 CPU is meant: this is another architecture")
def test_nor_do_they_on_an_older_cpu(tiny_elir: Elir, tmp_path: Path) -> None:
    paths = [tmp_path / f"{padding}.safetensors" for padding in PADDINGS]
    for padding, path in zip(PADDINGS, paths, strict=True):
        save_checkpoint(tiny_elir, path, {"padding": "x" * padding}, torch.float32)
    command = [sys.executable, "-c", OUTPUTS, *map(str, paths)]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["AVX2", *["True"] * len(paths)]


def test_half_precision_halves_the_file_and_loads_as_float32(tiny_elir: Elir, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(tiny_elir, path, {})
    loaded = load_checkpoint(path)
    assert path.stat().st_size < 0.52 * saved.stat().st_size
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(output(loaded), output(tiny_elir), atol=5e-3, rtol=0)


def test_equal_models_have_equal_files(tiny_elir: Elir, tmp_path: Path) -> None:
    facts = {f"key {i}": f'välue "{i}"\n' for i in range(20)}
    for name in ("a", "b"):
        save_checkpoint(tiny_elir, tmp_path / f"{name}.safetensors", facts)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert facts.items() <= load_checkpoint(tmp_path / "a.safetensors").metadata.items()


def test_settings_given_stand_over_the_metadata(saved: Path) -> None:
    loaded = load_checkpoint(saved, k_steps=5, sigma_s=0.04)
    assert (loaded.k_steps, loaded.sigma_s, loaded.config.k_steps) == (5, 0.04, 5)


@pytest.mark.numerics
def test_published_flat_file(tiny_elir: Elir, tmp_path: Path) -> None:
    path = tmp_path / "elir.pth"
    torch.save(tiny_elir.state_dict(), path)
    assert torch.equal(output(load_checkpoint(path, 3, 0.1)), output(tiny_elir))


@pytest.mark.numerics
def test_published_training_file_is_four_dicts_over_parametrised(tmp_path: Path) -> None:
    torch.manual_seed(1)
    wide = Elir(replace(TINY, over_param=True)).eval()
    parts = {f"state_dict_{name}": getattr(wide, name).state_dict() for name in ("fmir", "mmse", "enc", "dec")}
    path = tmp_path / "elir.ckpt"
    torch.save({**parts, "epoch": 250, "optimizer": {"lr": 2e-4}, "note": "x", "step": torch.tensor(3)}, path)
    loaded = load_checkpoint(path, 3, 0.1)
    assert loaded.config == replace(TINY, over_param=True)
    assert torch.equal(output(loaded), output(wide))
    collapse(loaded)
    torch.testing.assert_close(output(loaded), output(wide), atol=1e-5, rtol=0)


@pytest.mark.parametrize("task", PUBLISHED)
@pytest.mark.parametrize("over_param", [False, True])
def test_published_widths_are_inferred(task: str, over_param: bool) -> None:
    config, millions = PUBLISHED[task]
    with torch.device("meta"):
        state = Elir(replace(config, over_param=over_param)).state_dict()
    inferred = infer_config(state, Path("x.pth"))
    assert replace(inferred, k_steps=config.k_steps, sigma_s=config.sigma_s) == replace(config, over_param=over_param)
    if not over_param:
        assert sum(value.numel() for value in state.values()) / 1e6 == pytest.approx(millions, abs=0.01)


# --- autoencoders ---------------------------------------------------------------------------------------------


def autoencoder_of(model: Elir) -> State:
    return {name: value for name, value in model.state_dict().items() if name.startswith(("enc.", "dec."))}


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_autoencoder_in_diffusers_naming(tiny_elir: Elir, tmp_path: Path) -> None:
    wanted = autoencoder_of(tiny_elir)
    names = {n: n.replace("enc.layers", "encoder.layers").replace("dec.layers", "decoder.layers") for n in wanted}
    path = tmp_path / "taesd3.safetensors"
    save_file({names[n]: v.clone() for n, v in wanted.items()} | {"latent_magnitude": torch.tensor(3)}, path)
    assert same(load_autoencoder(path), wanted)


def test_autoencoder_in_two_original_files(tiny_elir: Elir, tmp_path: Path) -> None:
    wanted = autoencoder_of(tiny_elir)
    encoder, decoder = {}, {}
    for name, value in wanted.items():
        part, _, index, *rest = name.split(".")
        if part == "enc":
            encoder[".".join([index, *rest])] = value
        else:  # the original decoder begins with a clamp, so every index is one higher
            decoder[".".join([str(int(index) + 1), *rest])] = value
    torch.save(encoder, tmp_path / "taesd3_encoder.pth")
    torch.save(decoder, tmp_path / "taesd3_decoder.pth")
    assert same(load_autoencoder(tmp_path / "taesd3_encoder.pth", tmp_path / "taesd3_decoder.pth"), wanted)


def test_autoencoder_of_a_whole_checkpoint(tiny_elir: Elir, saved: Path) -> None:
    assert same(load_autoencoder(saved), autoencoder_of(tiny_elir))


def test_autoencoder_of_four_latent_channels_is_refused(tiny_elir: Elir, tmp_path: Path) -> None:
    state = autoencoder_of(tiny_elir)
    state["dec.layers.0.weight"] = torch.zeros(64, 4, 3, 3)
    path = tmp_path / "taesd.safetensors"
    save_file({name: value.clone() for name, value in state.items()}, path)
    with pytest.raises(
        VerificationError, match=r"dec\.layers\.0\.weight is \(64, 4, 3, 3\) instead of \(64, 16, 3, 3\)"
    ):
        load_autoencoder(path)


# --- what is refused ------------------------------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    refused(InputError, "no such checkpoint: check the path", tmp_path / "none.safetensors")


def test_unknown_suffix(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"x")
    refused(InputError, "unknown checkpoint suffix: use .safetensors, .pth or .ckpt", path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".ckpt"])
def test_empty_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"empty{suffix}"
    path.touch()
    refused(VerificationError, "refused, the file is empty: get an undamaged file", path)


@pytest.mark.parametrize("part", [0.001, 0.5, 0.999])
def test_truncated_safetensors(saved: Path, part: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * part)])
    refused(VerificationError, "refused, damaged safetensors", saved)


@pytest.mark.parametrize("part", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_pickled_file(tiny_elir: Elir, tmp_path: Path, part: float, zipped: bool) -> None:
    path = tmp_path / "elir.pth"
    torch.save(tiny_elir.state_dict(), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    refused(VerificationError, "refused, not loadable as plain tensors", path, k_steps=3, sigma_s=0.1)


class Payload:
    """Unpickling it creates ``file``."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable, tuple]:
        return open, (str(self.file), "w")


def write_plain_pickle(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))


def write_zip(value: object, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value, protocol=2))
        archive.writestr("archive/version", "3\n")


@pytest.mark.parametrize("write", [write_plain_pickle, write_zip, torch.save])
def test_hostile_pickle_does_not_run(write: Callable[[object, Path], None], tiny_elir: Elir, tmp_path: Path) -> None:
    path, proof = tmp_path / "elir.pth", tmp_path / "ran"
    write({**tiny_elir.state_dict(), "epoch": Payload(proof)}, path)
    refused(VerificationError, "refused, not loadable as plain tensors", path, k_steps=3, sigma_s=0.1)
    assert not proof.exists()


def test_refusal_names_the_code_and_gives_no_unsafe_advice(tmp_path: Path) -> None:
    path = tmp_path / "elir.pth"
    torch.save({"epoch": Payload(tmp_path / "ran")}, path)
    with pytest.raises(VerificationError, match=r"\(it needs \w+\.open, which could run code\)") as caught:
        load_checkpoint(path, 3, 0.1)
    assert "weights_only" not in str(caught.value)


def test_file_that_holds_no_dict(tmp_path: Path) -> None:
    path = tmp_path / "list.pth"
    torch.save([torch.zeros(1)], path)
    refused(VerificationError, "refused, holds a list, not a dict of tensors", path)


def test_file_that_is_no_elir(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(1)}, path)
    text = "not an ELIR checkpoint, it has no convolution mmse.lrm.0.RDB1.conv1.block.0.weight: check the file"
    refused(VerificationError, text, path)


def changed(tiny_elir: Elir, tmp_path: Path, change: Callable[[State], object]) -> Path:
    state = {name: value.clone() for name, value in tiny_elir.state_dict().items()}
    change(state)
    path = tmp_path / "changed.pth"
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: s.pop("fmir.time_mlp.linear1.bias"), "lacks fmir.time_mlp.linear1.bias"),
        (lambda s: s.update({"enc.extra.weight": torch.zeros(2)}), "has unknown enc.extra.weight"),
        (
            lambda s: s.update({"dec.layers.0.weight": torch.zeros(64, 4, 3, 3)}),
            "dec.layers.0.weight is (64, 4, 3, 3) instead of (64, 16, 3, 3)",
        ),
        (
            lambda s: s.update({"fmir.first_proj.weight": torch.zeros(36, 16, 1, 1)}),
            "hid_channels (=36) must be a multiple of 8, c_hid (=8) at least 1",
        ),
        (lambda s: [s.pop(n) for n in list(s) if n.startswith("enc.")], "; and 64 more"),
    ],
)
def test_other_architecture_says_what_differs(
    tiny_elir: Elir, tmp_path: Path, change: Callable[[State], object], text: str
) -> None:
    path = changed(tiny_elir, tmp_path, change)
    refused(VerificationError, "checkpoint of another architecture: ", path, k_steps=3, sigma_s=0.1)
    refused(VerificationError, text, path, k_steps=3, sigma_s=0.1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite(tiny_elir: Elir, tmp_path: Path, value: float) -> None:
    path = changed(tiny_elir, tmp_path, lambda s: s["fmir.final_proj.weight"].view(-1)[-1:].fill_(value))
    text = "fmir.final_proj.weight holds NaN or Inf: the checkpoint is damaged, get another"
    refused(VerificationError, text, path, k_steps=3, sigma_s=0.1)


def test_doubles_too_large_for_float32(tiny_elir: Elir, tmp_path: Path) -> None:
    name = "enc.layers.0.bias"
    path = changed(tiny_elir, tmp_path, lambda s: s.update({name: s[name].double() + 1e300}))
    refused(VerificationError, "enc.layers.0.bias holds NaN or Inf", path, k_steps=3, sigma_s=0.1)


@pytest.mark.parametrize(
    ("convert", "kind"),
    [
        (lambda v: v.to(torch.int64), "int64"),
        (lambda v: v.to(torch.complex64), "complex64"),
        (lambda v: v.to_sparse(), "sparse_coo"),
    ],
)
def test_weights_that_are_no_floats(
    tiny_elir: Elir, tmp_path: Path, convert: Callable[[Tensor], Tensor], kind: str
) -> None:
    name = "dec.layers.0.bias"
    path = changed(tiny_elir, tmp_path, lambda s: s.update({name: convert(s[name])}))
    text = f"{name} holds {kind}, not floats: get a float checkpoint"
    refused(VerificationError, text, path, k_steps=3, sigma_s=0.1)


# --- K and sigma_s --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"k_steps": 3}, {"sigma_s": 0.1}])
def test_k_and_sigma_unknown(tiny_elir: Elir, tmp_path: Path, settings: dict[str, float]) -> None:
    path = changed(tiny_elir, tmp_path, lambda s: None)
    refused(InputError, "holds no k_steps or sigma_s: give k_steps and sigma_s (--k-steps, --sigma-s", path, **settings)
    refused(InputError, "or record them and the task once, by `compress convert`", path, **settings)


@pytest.mark.parametrize(
    ("key", "value", "bounds"),
    [
        ("k_steps", "abc", "[1, 64]"),
        ("k_steps", "3.5", "[1, 64]"),
        ("k_steps", "0", "[1, 64]"),
        ("k_steps", "100000000", "[1, 64]"),
        ("sigma_s", "", "[0, 10.0]"),
        ("sigma_s", "nan", "[0, 10.0]"),
        ("sigma_s", "-0.1", "[0, 10.0]"),
    ],
)
def test_garbage_in_the_metadata(saved: Path, key: str, value: str, bounds: str) -> None:
    save_file(load_file(saved), saved, {"k_steps": "3", "sigma_s": "0.1", key: value})
    text = f"metadata {key} is {value!r}, must be a number in {bounds}: get an undamaged file"
    refused(VerificationError, text, saved)


@pytest.mark.parametrize(("key", "value"), [("k_steps", 0), ("k_steps", 65), ("sigma_s", -1), ("sigma_s", 11)])
def test_impossible_settings(saved: Path, key: str, value: int) -> None:
    refused(InputError, f"{key} must be in [", saved, **{key: value})


# --- what is not saved ----------------------------------------------------------------------------------------


def test_values_too_large_for_half_precision_are_not_saved(tiny_elir: Elir, tmp_path: Path) -> None:
    tiny_elir.enc.layers[0].bias.data[0] = 1e6  # type: ignore[union-attr, operator, index]
    path = tmp_path / "big.safetensors"
    with pytest.raises(InputError, match=r"enc\.layers\.0\.bias reaches 1e\+06, float16 ends at 65504: write it in"):
        save_checkpoint(tiny_elir, path, {})
    assert list(tmp_path.iterdir()) == []


def test_folded_model_is_not_saved(tiny_elir: Elir, tmp_path: Path) -> None:
    tiny_elir.fmir = FoldedFlow(tiny_elir.fmir, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="save the model before `fold_time`"):
        save_checkpoint(tiny_elir, tmp_path / "folded.safetensors", {})


def test_a_weight_that_float16_cannot_hold(tiny_elir: Elir, tmp_path: Path) -> None:
    tiny_elir.fmir.final_proj.weight.data[0, 0] = 1.2e5
    save_checkpoint(tiny_elir, tmp_path / "whole.safetensors", {}, torch.float32)
    with pytest.raises(InputError) as caught:
        convert(tmp_path / "whole.safetensors", tmp_path / "half.safetensors")
    message = "fmir.final_proj.weight reaches 1.2e+05, float16 ends at 65504: write it in float32 (--float32)"
    assert str(caught.value) == f"{tmp_path / 'half.safetensors'}: {message}"
    assert not (tmp_path / "half.safetensors").exists()
    convert(tmp_path / "whole.safetensors", tmp_path / "again.safetensors", half=False)
    assert compact_dtype(tiny_elir.state_dict()) == torch.float32
    tiny_elir.fmir.final_proj.weight.data[0, 0] = 65504.0
    assert compact_dtype(tiny_elir.state_dict()) == torch.float16
