"""The model card: what is in the file, and every figure as it was measured."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compress.elir.checkpoint import save_checkpoint
from compress.elir.model import Elir, ElirConfig
from compress.progress import Progress
from compress.restore.card import model_card
from compress.restore.evaluate import cells, evaluate
from compress.restore.figures import JudgeOptions
from compress.restore.open import Settings

SILENT = Progress("silent")
TRAINING = "5 steps of 2 on pixel crops of 64 px, dec learning, 1 l1 + 0.3 lpips, lr 0.0002"
FACTS = {"training": TRAINING, "data": "2 pictures", "licence": "MIT", "notes": "for tests"}
FACTS |= {"recipe": "r", "recipe_hash": "0123456789abcdef" * 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photo: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("card") / "pictures"
    folder.mkdir()
    Image.fromarray(photo[:70, :99]).save(folder / "a.png")
    Image.fromarray(photo[100:167, 50:115]).save(folder / "b.png")
    return folder


def checkpoint(folder: Path, task: str) -> Path:
    torch.manual_seed(0)
    path = folder.parent / f"tiny_{task}.safetensors"
    save_checkpoint(Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1)), path, {**FACTS, "task": task})
    return path


@pytest.fixture(scope="module")
def card(folder: Path) -> str:
    return model_card(checkpoint(folder, "sr_x4"), [str(folder)], Settings(), SILENT)


def row(card: str, who: str) -> list[str]:
    """The figures of one row of the card's table."""
    match = re.search(rf"^\| pictures \| 2 \| {who} \| (.*) \|$", card, re.MULTILINE)
    assert match, card
    return match[1].split(" | ")


def test_card_tells_what_is_in_the_file(card: str) -> None:
    assert card.startswith(
        "# tiny_sr_x4\n\nELIR ([arXiv 2502.03500](https://arxiv.org/abs/2502.03500)) for super-resolution x4"
    )
    for text in ("widths | hid 32, n_mid 1, c_hid 8, n_rrdb 1", "Euler steps K | 3", "sigma_s | 0.1", "- Licence: MIT"):
        assert text in card
    for text in (TRAINING, "- Data: 2 pictures", "- Notes: for tests", "hash 0123456789abcdef\n"):
        assert text in card


def test_card_holds_what_was_measured(card: str, folder: Path) -> None:
    result = evaluate(str(checkpoint(folder, "sr_x4")), [str(folder)], JudgeOptions(), SILENT).results[0]
    for who, name in (("model", "model"), ("input", "bicubic")):
        niqe = result.scores[who].others["niqe"]
        assert row(card, name) == [*cells(result.scores[who]), "-" if niqe is None else f"{niqe:.2f}"]
    assert f"| pictures | {result.lpips_below_input:.1%} | {result.psnr_against_input_db:+.2f} dB |" in card
    assert "The same LPIPS was a training loss" in card


def test_card_shows_the_autoencoder_s_ceiling(card: str) -> None:
    assert float(row(card, "autoencoder")[3]) < 0.5 * float(row(card, "bicubic")[3])


def test_card_s_command_names_no_place(card: str, folder: Path) -> None:
    assert "compress card path/to/tiny_sr_x4.safetensors --data path/to/pictures\n" in card
    assert str(folder.parent) not in card


def test_card_of_a_denoiser_names_its_noise(folder: Path) -> None:
    card = model_card(checkpoint(folder, "denoise"), [str(folder)], Settings(), SILENT)
    assert "for denoising of photographs (white Gaussian noise of sigma 25/255" in card
    assert "| set | LPIPS below noisy input | PSNR against noisy input |" in card
    assert "bicubic" not in card.lower()


def test_card_of_pictures_that_reducing_does_not_change(tmp_path: Path) -> None:
    """Bicubic loses nothing of a flat picture: no share of its LPIPS, 0, can be told."""
    folder = tmp_path / "flat"
    folder.mkdir()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "grey.png")
    card = model_card(checkpoint(folder, "sr_x4"), [str(folder)], Settings(), SILENT)
    assert re.search(r"^\| flat \| - \| .* dB \|$", card, re.MULTILINE)
    assert "its LPIPS falls" not in card
