"""Pictures without figures, and shards: however a set is cut, whoever measures it, the figures are the same."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.elir.checkpoint import save_checkpoint
from compress.elir.model import Elir
from compress.errors import InputError
from compress.progress import Progress
from compress.restore.evaluate import evaluate
from compress.restore.figures import Judge, JudgeOptions, Pixels, picture_list

SILENT = Progress("silent")


@pytest.fixture()
def model(tiny_elir: Elir, tmp_path: Path) -> str:
    save_checkpoint(tiny_elir, tmp_path / "tiny.safetensors", {"task": "sr_x4"})
    return str(tmp_path / "tiny.safetensors")


@pytest.fixture()
def pictures(photo: np.ndarray, tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.fromarray(photo[40 * i : 40 * i + 64, : 64 + 8 * i]).save(folder / f"{i}.png")
    return folder


def test_shards_give_the_same_digits(model: str, pictures: Path) -> None:
    whole = evaluate(model, [str(pictures)], JudgeOptions(), SILENT)
    for shards in (2, 3, 9):
        assert evaluate(model, [str(pictures)], JudgeOptions(), SILENT, shards=shards) == whole


def test_every_picture_is_in_one_shard(pictures: Path) -> None:
    listed = picture_list(str(pictures), "sr_x4")
    names = [name for name, _ in listed.read()]
    assert (listed.count, names) == (5, [f"{i}.png" for i in range(5)])
    parts = [[name for name, _ in listed.read(i, 2)] for i in range(2)]
    assert parts == [names[::2], names[1::2]]
    crops = picture_list("photos_validation", "sr_x4")
    assert [name for name, _ in crops.read(1, 12)] == [name for name, _ in crops.read()][1::12]


def test_a_measure_of_whole_sets_has_no_shards(model: str, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compress.measure.iqa import IqaMeasure
    from compress.restore import figures

    fid = IqaMeasure("fid", None)
    monkeypatch.setattr(figures, "_asked_for", lambda metrics: [fid] if metrics else [])
    with pytest.raises(InputError, match=r"^metric fid: compares whole sets, not pictures: leave shards out"):
        evaluate(model, [str(pictures)], JudgeOptions(metrics=("fid",)), SILENT, shards=2)


# --- pictures without figures ----------------------------------------------------------------------------------


@pytest.fixture()
def some_bad(pictures: Path, photo: np.ndarray) -> Path:
    """Of seven pictures, the last is too small and one is cut off; two have one name, in two folders."""
    (pictures / "below").mkdir()
    Image.fromarray(photo[100:164, :64]).save(pictures / "below/0.png")
    Image.fromarray(photo[:20, :20]).save(pictures / "z_icon.png")
    (pictures / "2.png").write_bytes((pictures / "3.png").read_bytes()[:3000])
    return pictures


@pytest.mark.parametrize("shards", [1, 3])
def test_pictures_without_figures_cost_no_others(model: str, some_bad: Path, shards: int) -> None:
    actual = evaluate(model, [str(some_bad)], JudgeOptions(), SILENT, shards=shards)
    (result,) = actual.results
    assert [name for name, _ in result.pictures] == ["0.png", "1.png", "3.png", "4.png", "below/0.png"]
    assert [(left.name, left.failed) for left in result.left_out] == [("2.png", True), ("z_icon.png", False)]
    assert result.scores["model"].n == 5
    figures = actual.to_json()["results"][0]
    assert [left["picture"] for left in figures["left_out"]] == ["2.png", "z_icon.png"]
    assert f"left out: {some_bad / 'z_icon.png'}: 20 x 20 px, LPIPS needs 32 px a side" in figures["notes"]
    with pytest.raises(InputError, match=r"^1 pictures were not measured, the figures are of the others: .*2\.png"):
        actual.raise_failed()


def test_the_others_figures_are_those_without_it(model: str, pictures: Path, photo: np.ndarray) -> None:
    alone = evaluate(model, [str(pictures)], JudgeOptions(), SILENT).results[0]
    Image.fromarray(photo[:20, :20]).save(pictures / "0_icon.png")
    actual = evaluate(model, [str(pictures)], JudgeOptions(), SILENT)
    assert actual.results[0].scores == alone.scores
    actual.raise_failed()  # too small is not a failure


def test_a_model_that_fails_on_one_picture(model: str, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Judge.picture

    def picture(self: Judge, pixels: Pixels) -> object:
        if pixels.degraded.shape[1] == 72:
            raise MemoryError
        return whole(self, pixels)

    monkeypatch.setattr(Judge, "picture", picture)
    (result,) = evaluate(model, [str(pictures)], JudgeOptions(), SILENT).results
    assert [left.why for left in result.left_out] == ["1.png: 72 x 64 px do not fit in memory"]
    assert len(result.pictures) == 4


def test_sets_are_checked_before_any_is_measured(
    model: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later set without pictures, or one whose last picture is too small for its crop."""

    def measure(*args: object) -> None:
        raise AssertionError("measured all the same")

    monkeypatch.setattr(Judge, "picture", measure)
    (tmp_path / "empty").mkdir()
    (tmp_path / "set.yaml").write_text(f"version: 1\nname: s\nsource: {{kind: folder, path: {pictures}}}\ncrop: 96\n")
    with pytest.raises(InputError, match=r"empty: no pictures in this folder"):
        evaluate(model, [str(pictures), str(tmp_path / "empty")], JudgeOptions(), SILENT)
    with pytest.raises(InputError, match=r"64 x 64 px, smaller than the crop of 96 px"):
        evaluate(model, [str(pictures), str(tmp_path / "set.yaml")], JudgeOptions(), SILENT)


def test_rows_are_told_apart(model: str, pictures: Path, tmp_path: Path) -> None:
    """Pictures of one name by their path, sets of one name by what was given."""
    (pictures / "below").mkdir()
    (pictures / "0.png").rename(pictures / "below/1.png")
    other = tmp_path / "other/pictures"
    other.mkdir(parents=True)
    (pictures / "4.png").rename(other / "1.png")
    actual = evaluate(model, [str(pictures), str(other)], JudgeOptions(), SILENT)
    actual.write_csv(tmp_path / "x.csv")
    rows = [tuple(line.split(",")[:3]) for line in (tmp_path / "x.csv").read_text().splitlines()[1:]]
    assert len(set(rows)) == len(rows) == 10
    assert {row[:2] for row in rows} >= {
        (f"{tmp_path.name}-pictures", "below/1.png"),
        (f"{tmp_path.name}-pictures", "1.png"),
        ("other-pictures", "1.png"),
    }


def test_the_command_shows_what_it_has_and_says_what_failed(model: str, some_bad: Path, tmp_path: Path) -> None:
    actual = CliRunner().invoke(
        app, ["evaluate", model, "--data", str(some_bad), "--csv", str(tmp_path / "x.csv"), "--json"]
    )
    assert actual.exit_code == 2
    assert json.loads(actual.stdout)["results"][0]["model"]["n"] == 5
    assert "2.png" in actual.stderr and len((tmp_path / "x.csv").read_text().splitlines()) == 11
    (tmp_path / "folder").mkdir()
    refused = CliRunner().invoke(app, ["evaluate", model, "--data", str(some_bad), "--csv", str(tmp_path / "folder")])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "folder: is a folder: name a file to write" in refused.stderr
