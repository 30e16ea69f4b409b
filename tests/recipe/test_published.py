"""The authors' checkpoints: their numbers, and the bundled recipes that wait for them."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.errors import InputError
from compress.recipe.library import find
from compress.recipe.load import load_recipe
from compress.recipe.published import PUBLISHED, ReleaseFile, by_task, by_widths, to_fill_in

RECIPES = {
    "published_sr": "elir_sr.pth",
    "published_denoise": "elir_denoising.pth",
    "published_inpaint": "elir_inpainting.pth",
    "published_bsr": "elir_bsr.pth",
    "published_bfr": "elir_bfr.pth",
}
ASKED = (
    "no such weights file: download elir_sr.pth from release v1.0 of github.com/eladc-git/ELIR, and put it there or "
    "give its path (model.weights=PATH)"
)


def of(file: str) -> ReleaseFile:
    return next(model for model in PUBLISHED if model.file == file)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_its_models_numbers(name: str) -> None:
    model, like = load_recipe(name).model, of(RECIPES[name])
    assert (model.weights, model.task) == (like.file, like.task)
    assert (model.k_steps, model.sigma_s, model.image_size) == (like.k_steps, like.sigma_s, like.image_size)


def test_every_published_file_has_a_recipe() -> None:
    assert sorted(RECIPES.values()) == sorted(model.file for model in PUBLISHED)


def test_published_numbers() -> None:
    """As the authors' configurations have them: five segments in training, three steps when shipped."""
    assert {m.task: (m.k_trained, m.k_steps, m.sigma_s) for m in PUBLISHED} == {
        "sr_x8_published": (5, 3, 0.1),
        "denoise_published": (5, 3, 0.025),
        "inpaint_published": (5, 3, 0.1),
        "blind_sr_x4_published": (3, 3, 0.04),
        "blind_face_published": (5, 5, 0.1),
    }
    assert by_task("sr_x4") is None and len(by_widths((128, 1, 96, 3), None)) == 3


def test_a_recipe_is_valid_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["validate", "published_sr"])
    assert (done.exit_code, done.stdout) == (0, "published_sr: valid\n")
    assert done.stderr == f"model.weights is to be filled in: elir_sr.pth: {ASKED}\n"
    Path("elir_sr.pth").touch()
    assert CliRunner().invoke(app, ["validate", "published_sr"]).stderr == ""


@pytest.mark.parametrize("command", [["apply"], ["apply", "--dry-run"], ["sensitivity"]])
def test_commands_ask_for_the_file_of_the_release(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*command, "published_sr"])
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"elir_sr.pth: {ASKED}\n")
    assert not list(tmp_path.rglob("*.json"))


def test_another_place_is_asked_for_at_that_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(f'{tmp_path}/elir_sr.pth: {ASKED}')}$"):
        find("weights", f"{tmp_path}/elir_sr.pth")
    with pytest.raises(InputError, match=r"no such weights file \(looked for /.*/other\.pth\): check the path"):
        load_recipe("published_sr", ["model.weights=./other.pth"])
    assert to_fill_in("elir_sr_x4") == to_fill_in(None) == ""
