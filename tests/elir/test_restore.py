"""Pictures of any size come back at their size, the same however they are tiled, as far as GroupNorm allows."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from compress.elir.checkpoint import load_checkpoint
from compress.elir.model import Elir
from compress.elir.noise import noise_field
from compress.elir.noise_torus import tile_seed
from compress.elir.restore import TorchNetworks, drawn_noise, enlarge, restore, restore_staged, tile_seeds
from compress.elir.tiles import Tiling
from compress.errors import InputError
from compress.recipe.library import find

SIZES = [(1, 1), (1, 40), (33, 17), (64, 64), (70, 100)]


def torch_run(model: Elir) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """``model`` as ``restore`` runs an artifact, its output clipped to [0, 1]."""

    def run(lq: np.ndarray, noise: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(lq), torch.from_numpy(noise)).clamp(0, 1).numpy()

    return run


def shrunk(photo: np.ndarray, side: int) -> np.ndarray:
    return np.ascontiguousarray(photo[:side, :side])


def same(lq: np.ndarray, noise: np.ndarray) -> np.ndarray:
    assert noise.shape == (1, 16, lq.shape[2] // 8, lq.shape[3] // 8)
    return lq


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("fixed", [False, True])
def test_any_size_comes_back_enlarged(photo: np.ndarray, height: int, width: int, scale: int, fixed: bool) -> None:
    picture = photo[:height, :width]
    out = restore(picture, same, Tiling(scale, (64, 96), 32, fixed))
    assert out.shape == (scale * height, scale * width, 3)
    assert np.array_equal(out, enlarge(picture, scale))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (70, 33)])
def test_any_size_comes_back_enlarged_staged(tiny_elir: Elir, photo: np.ndarray, height: int, width: int) -> None:
    out = restore_staged(photo[:height, :width], TorchNetworks(tiny_elir), Tiling(1, (64, 64), 32))
    assert out.shape == (height, width, 3)
    assert out.dtype == np.uint8


def test_one_tile_is_the_model_itself(tiny_elir: Elir, photo: np.ndarray) -> None:
    picture = photo[:64, :96]
    noise = torch.from_numpy(noise_field(64, 96, seed=5)[None])
    lq = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    wanted = (tiny_elir(lq, noise).clamp(0, 1)[0] * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(restore(picture, torch_run(tiny_elir), noise=drawn_noise(5)), wanted)
    assert np.array_equal(restore_staged(picture, TorchNetworks(tiny_elir), seed=5), wanted)


def test_tiles_of_a_model_without_group_norm_do_not_show(photo: np.ndarray) -> None:
    """A blur and its noise: sight of 4 px, less than the outer quarter of the overlap."""
    kernel = torch.full((3, 1, 9, 9), 1 / 81)

    def run(lq: np.ndarray, noise: np.ndarray) -> np.ndarray:
        blurred = torch.nn.functional.conv2d(torch.from_numpy(lq), kernel, padding=4, groups=3)
        return (blurred + 0.05 * torch.from_numpy(noise[:, :3]).repeat_interleave(8, 2).repeat_interleave(8, 3)).numpy()

    whole = restore(photo, run, Tiling(tile=(0, 0))).astype(int)
    apart = np.abs(restore(photo, run, Tiling(tile=(96, 128), overlap=32)) - whole)
    assert apart.max() <= 1  # rounding
    assert apart.mean() < 0.001


def test_tiles_of_the_bundled_model_do_not_show(photo: np.ndarray) -> None:
    """Encoder and decoder by tiles, the flow on the whole latent: below half an 8-bit step on average."""
    model = load_checkpoint(find("weights", "elir_sr_x4"))
    picture = photo[::2, ::2][:56, :56]
    whole = restore_staged(picture, TorchNetworks(model), Tiling(4, (0, 0))).astype(float)
    tiled = restore_staged(picture, TorchNetworks(model), Tiling(4, (160, 160), 64)).astype(float)
    assert 0 < np.abs(tiled - whole).mean() < 0.5


def test_the_same_seed_gives_the_same_picture_and_another_does_not(tiny_elir: Elir, photo: np.ndarray) -> None:
    picture, run = shrunk(photo, 32), torch_run(tiny_elir)
    first, again, other = (restore(picture, run, noise=drawn_noise(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_neighbouring_tiles_see_the_same_noise(photo: np.ndarray) -> None:
    seen: dict[bytes, np.ndarray] = {}
    field = noise_field(96, 96, seed=3)

    def run(lq: np.ndarray, noise: np.ndarray) -> np.ndarray:
        seen[noise.tobytes()] = noise
        return lq

    restore(shrunk(photo, 96), run, Tiling(tile=(64, 64), overlap=32), noise=drawn_noise(3))
    windows = {field[:, y : y + 8, x : x + 8].tobytes() for y in (0, 4) for x in (0, 4)}
    assert set(seen) == windows


def test_a_model_that_holds_its_noise_gets_the_seed_of_each_tile(photo: np.ndarray) -> None:
    seeds: list[int] = []

    def run(lq: np.ndarray, seed: np.ndarray) -> np.ndarray:
        assert seed.dtype == np.int64 and seed.shape == (1,)
        seeds.append(int(seed[0]))
        return lq

    restore(shrunk(photo, 96), run, Tiling(tile=(64, 64), overlap=32), noise=tile_seeds(3))
    assert seeds == [int(tile_seed(3, y, x)[0]) for y in (0, 32) for x in (0, 32)] and len(set(seeds)) == 4
    with pytest.raises(InputError, match=r"seed \(=16777216\) must be in \[0, 16777215\]"):
        tile_seeds(2**24)


def test_every_tile_is_announced(tiny_elir: Elir, photo: np.ndarray) -> None:
    calls: list[int] = []
    restore(shrunk(photo, 96), same, Tiling(tile=(64, 64), overlap=32), on_tile=lambda: calls.append(1))
    assert len(calls) == 4
    restore_staged(
        photo[:32, :96], TorchNetworks(tiny_elir), Tiling(tile=(64, 64), overlap=32), on_tile=lambda: calls.append(1)
    )
    assert len(calls) == 4 + 2 * 2 + 1


def test_output_is_clipped_and_rounded(photo: np.ndarray) -> None:
    picture = shrunk(photo, 32)
    out = restore(picture, lambda lq, noise: np.full_like(lq, 100.6 / 255), Tiling(tile=(32, 32)))
    assert set(out.ravel()) == {101}
    assert set(restore(picture, lambda lq, noise: lq * 0 + 7, Tiling(tile=(32, 32))).ravel()) == {255}


def test_enlarging_is_bicubic_as_in_training(photo: np.ndarray) -> None:
    from PIL import Image

    wanted = Image.fromarray(photo).resize((512, 512), Image.Resampling.BICUBIC)
    assert np.array_equal(enlarge(photo, 2), np.asarray(wanted))
