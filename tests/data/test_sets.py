import hashlib
import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.data.degradations import degrade
from compress.data.sets import NO_TRUTH, PictureSet, check_disjoint, load_set, pixels_sha256
from compress.errors import InputError
from compress.recipe import library
from compress.recipe.degradation import SuperResolution


@pytest.fixture()
def folder(tmp_path: Path, photo: np.ndarray) -> Path:
    """Four different pictures of 128 x 160 px."""
    for i in range(4):
        Image.fromarray(np.roll(photo, 37 * i, axis=1)[:160, :128]).save(tmp_path / f"p{i}.png")
    return tmp_path


def write_set(path: Path, **settings: object) -> str:
    facts = {"version": 1, "name": "mine", "source": "{kind: folder, path: .}", **settings}
    path.write_text("".join(f"{key}: {value}\n" for key, value in facts.items()))
    return str(path)


def test_bundled_sets_are_whole_and_disjoint() -> None:
    calibration, validation = (load_set(f"photos_{side}", "sr_x4") for side in ("calibration", "validation"))
    assert len(calibration) >= 36 and len(validation) >= 20
    check_disjoint(calibration, [validation])
    hashes = [seen.sha256 for seen in calibration.seen + validation.seen]
    assert len(set(hashes)) == len(hashes) == len(calibration) + len(validation)


def test_bundled_photographs_hold_detail_and_are_credited() -> None:
    photos = library.data_folder("calibration") / "photos"
    credits = (photos / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for side in ("calibration", "validation"):
        for item in load_set(f"photos_{side}", "sr_x4"):
            assert item.clean.shape == (256, 256, 3)
            assert np.abs(np.diff(item.clean.astype(int), axis=0)).mean() > 1, item.name
            assert f"`{item.name.rsplit('_', 1)[0]}`" in credits
    assert sum(path.stat().st_size for path in photos.rglob("*")) < 12_000_000


def test_items_hold_the_clean_crop_and_the_tasks_degradation() -> None:
    item = next(iter(load_set("photos_validation", "sr_x4")))
    assert (item.degraded == degrade(item.clean, [SuperResolution(scale=4)], seed=0)).all()
    assert item.sha256 == item.crop_sha256 == pixels_sha256(item.clean)


def test_a_folder_is_a_set_of_centre_crops(folder: Path, photo: np.ndarray) -> None:
    pictures = load_set(str(folder), "sr_x4", crop=(64, 64))
    items = list(pictures)
    assert [item.name for item in items] == ["p0", "p1", "p2", "p3"]
    assert (items[0].clean == photo[48:112, 32:96]).all()
    assert items[0].sha256 == pixels_sha256(photo[:160, :128]) != items[0].crop_sha256


def test_a_relative_path_starts_at_the_set_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_set(folder / "set.yaml", crop=64)
    monkeypatch.chdir("/")
    assert len(load_set(file, "sr_x4")) == 4


def test_crop_stands_in_for_the_sets_own(folder: Path) -> None:
    file = write_set(folder / "set.yaml", crop=64)
    assert next(iter(load_set(file, "sr_x4"))).clean.shape[0] == 64
    assert next(iter(load_set(file, "sr_x4", crop=(96, 96)))).clean.shape[0] == 96


def test_random_crops_are_seeded(folder: Path) -> None:
    def clean(seed: int) -> list[np.ndarray]:
        file = write_set(folder / "set.yaml", crop=64, crop_at="random", seed=seed)
        return [item.clean for item in load_set(file, "sr_x4")]

    first, again, other = clean(1), clean(1), clean(2)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_noise_is_seeded_and_each_pictures_own(folder: Path) -> None:
    def noises(pictures: PictureSet) -> dict[str, np.ndarray]:
        return {item.name: item.degraded.astype(int) - item.clean for item in pictures}

    steps = "[{kind: noise, sigma: 5}]"
    every = noises(load_set(write_set(folder / "a.yaml", crop=64, degradation=steps), "sr_x4"))
    two = noises(load_set(write_set(folder / "b.yaml", crop=64, degradation=steps, count=2), "sr_x4"))
    reseeded = noises(load_set(write_set(folder / "c.yaml", crop=64, degradation=steps, seed=7), "sr_x4"))
    assert (every["p0"] != every["p1"]).any()
    assert all((every[name] == two[name]).all() for name in ("p0", "p2"))
    assert (every["p0"] != reseeded["p0"]).any()


def test_iterating_twice_gives_the_same_items(folder: Path) -> None:
    pictures = load_set(str(folder), "sr_x4", crop=(64, 64))
    for a, b in zip(pictures, pictures, strict=True):
        assert (a.degraded == b.degraded).all() and a.crop_sha256 == b.crop_sha256


def test_hash_follows_content_and_settings_not_place(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = load_set(str(folder), "sr_x4", crop=(64, 64)).hash
    moved = tmp_path_factory.mktemp("elsewhere")
    for path in folder.glob("*.png"):
        Image.open(path).save(moved / path.with_suffix(".bmp").name)
    assert load_set(str(moved), "sr_x4", crop=(64, 64)).hash == first
    assert load_set(str(folder), "sr_x2", crop=(64, 64)).hash != first
    assert load_set(str(folder), "sr_x4", crop=(96, 96)).hash != first
    assert load_set(write_set(folder / "set.yaml", crop=64, seed=1), "sr_x4").hash != first
    (folder / "p3.png").unlink()
    assert load_set(str(folder), "sr_x4", crop=(64, 64)).hash != first


def test_memory_is_flat_in_the_number_of_pictures(tmp_path: Path, photo: np.ndarray) -> None:
    for i in range(48):
        Image.fromarray(np.roll(photo, i, axis=0)).save(tmp_path / f"{i:02d}.bmp")

    def peak(count: int) -> int:
        file = write_set(tmp_path / "set.yaml", count=count)
        tracemalloc.start()
        for _ in load_set(file, "sr_x4"):
            pass
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak_bytes

    peak(2)
    assert peak(48) < peak(4) + photo.nbytes


def test_a_picture_smaller_than_the_crop_is_named(folder: Path) -> None:
    message = (
        f"{folder / 'p0.png'}: 128 x 160 px, smaller than the crop of 256 px: "
        "leave the picture out, or lower the crop (a recipe's image_size)"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        list(load_set(str(folder), "sr_x4"))


def test_too_few_pictures_are_refused_at_once(folder: Path) -> None:
    file = write_set(folder / "set.yaml", count=32)
    with pytest.raises(InputError, match="has 4 pictures, count asks for 32"):
        load_set(file, "sr_x4")


def test_an_unreadable_picture_is_named(folder: Path) -> None:
    (folder / "p2.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"p2\.png: not a readable picture \(the file is empty\)"):
        _ = load_set(str(folder), "sr_x4", crop=(64, 64)).hash


def test_a_hub_set_must_say_count(tmp_path: Path) -> None:
    file = write_set(tmp_path / "set.yaml", source="{kind: hub, name: someone/photos}")
    with pytest.raises(InputError, match="mine: a hub set must say how many pictures to take: add count"):
        load_set(file, "sr_x4")


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'photos_calibraton'.*did you mean photos_calibration"):
        load_set("photos_calibraton", "sr_x4")


def test_an_unknown_key_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="corp"):
        load_set(write_set(folder / "set.yaml", corp=64), "sr_x4")


def test_the_examples_are_valid() -> None:
    assert [item.clean.shape for item in load_set("example_folder", "sr_x4")] == [(128, 128, 3)] * 8
    assert len(load_set("example_hub", "sr_x4")) == 32


def test_a_shared_picture_is_refused_by_both_names(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same pixels in another file of another format, under another name."""
    other = tmp_path_factory.mktemp("validation")
    Image.open(folder / "p1.png").save(other / "copy.bmp")
    sets = load_set(str(folder), "sr_x4", crop=(64, 64)), load_set(str(other), "sr_x4", crop=(96, 96))
    message = f"{folder / 'p1.png'} and {other / 'copy.bmp'} hold the same pixels: take it out of one of them"
    with pytest.raises(InputError, match=re.escape(message)):
        check_disjoint(sets[0], [sets[1]])


def test_a_crop_of_a_calibration_picture_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("validation")
    Image.open(folder / "p1.png").crop((32, 48, 96, 112)).save(other / "crop.png")
    whole, part = load_set(str(folder), "sr_x4", crop=(64, 64)), load_set(str(other), "sr_x4", crop=(64, 64))
    with pytest.raises(InputError, match=r"p1\.png and .*crop\.png hold the same pixels"):
        check_disjoint(whole, [part])
    with pytest.raises(InputError, match=r"crop\.png and .*p1\.png hold the same pixels"):
        check_disjoint(part, [whole])


def test_whole_squares_are_resized_to_the_crop(folder: Path) -> None:
    """What published models see of a face: all of it, by Pillow's bicubic, enlarged where it is small."""
    pictures = load_set(write_set(folder / "set.yaml", crop_at="whole"), "sr_x4", crop=(96, 96))
    for item, path in zip(pictures, sorted(folder.glob("*.png")), strict=True):
        image = Image.open(path).convert("RGB")
        side, (width, height) = min(image.size), image.size
        box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
        wanted = image.resize((96, 96), Image.Resampling.BICUBIC, box=box)
        assert (item.clean == np.asarray(wanted)).all()


def test_a_set_at_another_crop_leaves_small_pictures_out(folder: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo[:200, :210]).save(folder / "large.png")
    pictures = load_set(str(folder), "sr_x4", crop=(64, 64))
    larger, largest = pictures.at((160, 192)), pictures.at((256, 256))
    assert (len(pictures), len(larger), len(largest)) == (5, 1, 0)
    (item,) = larger
    assert item.name == "large" and item.truth.shape == (160, 192, 3)
    assert larger.hash != pictures.hash and list(largest) == []


def test_crops_of_a_rectangle(folder: Path, photo: np.ndarray) -> None:
    center = next(iter(load_set(str(folder), "sr_x4", crop=(128, 96))))
    assert (center.clean == photo[16:144, 16:112]).all() and center.degraded.shape == (128, 96, 3)
    random = load_set(write_set(folder / "random.yaml", crop_at="random"), "sr_x4", crop=(160, 64))
    whole = load_set(write_set(folder / "whole.yaml", crop_at="whole"), "sr_x4", crop=(64, 96))
    assert {item.truth.shape for item in random} == {(160, 64, 3)}
    assert {item.truth.shape for item in whole} == {(64, 96, 3)}
    with pytest.raises(InputError, match="128 x 160 px, smaller than the crop of 160 x 96 px: leave"):
        list(load_set(str(folder), "sr_x4", crop=(96, 160)))


@pytest.mark.parametrize("side", ["calibration", "validation"])
def test_bundled_pictures_serve_any_size_when_taken_whole(side: str) -> None:
    pictures = load_set(f"photos_whole_{side}", "sr_x4", crop=(320, 320))
    assert next(iter(pictures)).clean.shape == (320, 320, 3) and len(pictures) == len(
        load_set(f"photos_{side}", "sr_x4")
    )


@pytest.fixture()
def pairs(tmp_path: Path, photo: np.ndarray) -> Path:
    """low/ and high/, two pictures each: 96 x 128 px, and darkened to a half."""
    for i in range(2):
        high = np.roll(photo, 60 * i, axis=1)[:128, :96]
        for name, picture in (("high", high), ("low", high // 2)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / name / f"p{i}.png")
    return tmp_path


@pytest.mark.parametrize("crop_at", ["center", "random"])
def test_pairs_are_cropped_at_one_place_and_stay_as_they_are(pairs: Path, crop_at: str) -> None:
    path = write_set(pairs / "set.yaml", source="null", pairs="{low: low, high: high}", crop_at=crop_at)
    items = list(load_set(path, "denoise", crop=(64, 64)))
    assert len(items) == 2
    for item in items:
        assert (item.degraded == item.truth // 2).all() and item.truth.max() > 100


def test_low_alone_has_no_truth(pairs: Path) -> None:
    path = write_set(pairs / "set.yaml", source="null", pairs="{low: low}")
    pictures = load_set(path, "denoise", crop=(64, 64))
    assert not pictures.has_truth and [item.clean for item in pictures] == [None, None]
    assert pictures.notes == [f"mine: {NO_TRUTH}"]
    message = "mine: has no true pictures, and x does: give pairs.high in its file, or name another set"
    with pytest.raises(InputError, match=message):
        pictures.require_truth("x does")


def test_a_pairs_hash_is_over_both(pairs: Path) -> None:
    path = write_set(pairs / "set.yaml", source="null", pairs="{low: low, high: high}")
    first = load_set(path, "denoise", crop=(64, 64)).hash
    assert load_set(path, "deblur", crop=(64, 64)).hash == first  # nothing is made: the task changes nothing
    low = np.asarray(Image.open(pairs / "low/p1.png")).copy()
    low[64, 48] += 1
    Image.fromarray(low).save(pairs / "low/p1.png")
    assert load_set(path, "denoise", crop=(64, 64)).hash != first


def test_hashes_of_sets_stay_what_releases_recorded(folder: Path) -> None:
    """Ledgers and bundles hold them: another value would make known data unknown."""
    steps = "[{kind: sr, scale: 4}, {kind: blind_sr}, {kind: blind_face}, {kind: mask}]"
    pictures = load_set(write_set(folder / "set.yaml", crop=64, degradation=steps), "sr_x4")
    facts = {
        "items": [(seen.sha256, seen.crop_sha256) for seen in pictures.seen],
        "steps": [
            {"kind": "sr", "scale": 4},
            {"kind": "blind_sr", "scale": 4},
            {
                "kind": "blind_face",
                "blur_sigma": [0.1, 10.0],
                "downsample": [0.8, 8.0],
                "noise": [0.0, 20.0],
                "jpeg": [60.0, 100.0],
            },
            {"kind": "mask", "pattern": "pixels", "share": None, "fill": 0},
        ],
        "seed": 0,
    }
    assert pictures.hash == hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("side", ["low", "high"])
def test_a_pair_shares_either_of_its_pictures(pairs: Path, side: str) -> None:
    both = write_set(pairs / "set.yaml", source="null", pairs="{low: low, high: high}")
    paired = load_set(both, "denoise", crop=(64, 64))
    alone = load_set(str(pairs / side), "denoise", crop=(64, 64))
    with pytest.raises(InputError, match=f"share a picture: .*{side}/p0.png"):
        check_disjoint(alone, [paired])
    with pytest.raises(InputError, match="share a picture"):
        check_disjoint(paired, [alone])
