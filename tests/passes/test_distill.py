"""distill: where the student starts, what it ends as, its place among the passes, and --reuse's finished student."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from compress.elir.checkpoint import load_checkpoint
from compress.elir.model import Elir, ElirConfig
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.distill import STUDENT, Distill
from compress.passes.fold_time import FoldTime
from compress.passes.prune import Prune
from compress.passes.shrink.student import coarse_encoder, residual_decoder
from compress.recipe.passes import FoldTimeSettings
from compress.recipe.student import DistillSettings, PruneSettings

STAGE = {"steps": 2, "batch": 1, "crop": 64, "warmup": 0, "weights": {"latent": 1.0, "l1": 1.0}}


@pytest.fixture()
def pictures(photo: np.ndarray, tmp_path: Path) -> Path:
    folder = tmp_path / "train"
    folder.mkdir()
    Image.fromarray(photo).save(folder / "photo.png")
    return folder


@pytest.fixture()
def subject(make_subject: Callable[..., Subject], tmp_path: Path) -> Subject:
    torch.manual_seed(0)
    config = ElirConfig(hid_channels=8, c_hid=8, n_rrdb=1, k_steps=2, enc_widths=(8,) * 4, dec_widths=(8,) * 4)
    subject = make_subject(Elir(config).eval().requires_grad_(False))
    subject.folder = tmp_path / "distill"
    return subject


def settings(pictures: Path, **changed: Any) -> DistillSettings:
    given = {"k_steps": 1, "encoder_scale": 4, "encoder_blocks": [1, 3], "data": [str(pictures)], "stages": [STAGE]}
    return DistillSettings.model_validate(given | changed)


def test_the_student_has_its_steps_entry_and_blocks(subject: Subject, pictures: Path) -> None:
    teacher = subject.model
    Distill(settings(pictures)).run(subject)
    config = subject.model.config
    assert (config.k_steps, config.enc_scale, config.enc_blocks, config.enc_widths) == (1, 4, (1, 3), (8, 8))
    assert subject.reference is not None and subject.reference.k_steps == teacher.k_steps == 2
    assert subject.probe().isfinite().all()
    assert subject.notes == ["distill: K 2 to 1, encoder on a grid 4 times coarser, 2 training steps"]
    assert all(p.is_contiguous() for p in subject.model.parameters()), "as training has them; a run resumed has not"


def test_the_finished_student_is_a_checkpoint(subject: Subject, pictures: Path) -> None:
    subject.model.metadata = {"recipe": "of_the_teacher", "steps": "4400"}
    Distill(settings(pictures)).run(subject)
    loaded = load_checkpoint(subject.folder / STUDENT)
    assert loaded.config == subject.model.config
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), subject.model.parameters(), strict=True))
    assert loaded.metadata["task"] == "sr_x4"
    assert loaded.metadata["steps"] == "2" and "recipe" not in loaded.metadata
    assert loaded.metadata["training"].startswith(
        "2 steps of 1 on crops of 64 px, each network on the student's inputs, "
    )
    assert (subject.folder / "log.jsonl").read_text().count("\n") >= 2


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("pruned", [{"pattern": "2:4"}, {"pattern": "unstructured", "share": 0.5}])
def test_weights_that_were_pruned_to_0_stay_0(
    subject: Subject, pictures: Path, pruned: dict[str, Any], scale: int
) -> None:
    """Layers of a coarser encoder are renumbered: each keeps its own zeros."""
    Prune(PruneSettings.model_validate(pruned)).run(subject)
    distill = Distill(settings(pictures, encoder_scale=scale, encoder_blocks=None))
    start, state = distill._start(copy.deepcopy(subject)), {}
    before = {name: value.clone() for name, value in start.state_dict().items()}
    distill.run(subject)
    state = subject.model.state_dict()
    zero = {name: value == 0 for name, value in before.items() if value.ndim == 4}
    assert sum(int(z.sum()) for z in zero.values()) > 0.3 * sum(z.numel() for z in zero.values())
    assert all((state[name][z] == 0).all() for name, z in zero.items())
    assert not torch.equal(before["enc.layers.0.weight"], state["enc.layers.0.weight"])


def test_a_student_begun_on_other_pictures_is_refused(subject: Subject, pictures: Path, tmp_path: Path) -> None:
    first = subject.model

    def stop(what: str, done: int, total: int) -> None:
        if (subject.folder / "checkpoint.pt").is_file():
            raise KeyboardInterrupt

    subject.advance = stop
    with pytest.raises(KeyboardInterrupt):
        Distill(settings(pictures, checkpoint_minutes=1e-9)).run(subject)
    other = pictures.rename(tmp_path / "other")
    subject.model, subject.advance = first, lambda what, done, total: None
    with pytest.raises(InputError, match=r"belongs to another recipe \(data was \[.*train\], is \[.*other\]\)"):
        Distill(settings(other, checkpoint_minutes=1e-9)).run(subject)


def test_a_kept_student_is_not_trained_again(subject: Subject, pictures: Path) -> None:
    kept: dict[str, Any] = {}
    subject.keep = lambda name, make: kept.setdefault(name, None) or kept.update({name: make()}) or kept[name]  # type: ignore[func-returns-value]
    first = subject.model
    Distill(settings(pictures)).run(subject)
    result, subject.model = subject.model, first
    (pictures / "photo.png").unlink()
    Distill(settings(pictures)).run(subject)
    assert all(torch.equal(a, b) for a, b in zip(result.parameters(), subject.model.parameters(), strict=True))


def test_the_coarse_entry_is_fitted_to_what_was_there(make_subject: Callable[..., Subject]) -> None:
    """Pictures enlarged by 4 hold nothing finer: an entry on the coarse grid starts nearer than chance."""
    torch.manual_seed(0)
    model = Elir(ElirConfig(hid_channels=8, c_hid=8, n_rrdb=1)).eval().requires_grad_(False)
    pairs = make_subject(model).calibration
    lq, _ = next(iter(pairs()))
    wanted = model.enc(lq)
    coarse_encoder(model, 4, (3, 3), pairs)
    error = (model.enc(lq) - wanted).square().mean()
    assert error < 0.2 * wanted.var()


def test_a_residual_decoder_starts_at_the_teacher_s_picture(make_subject: Callable[..., Subject]) -> None:
    torch.manual_seed(0)
    teacher = Elir(ElirConfig(hid_channels=8, c_hid=8, n_rrdb=1)).eval().requires_grad_(False)
    student, pairs = copy.deepcopy(teacher), make_subject(teacher).calibration
    residual_decoder(student, teacher, pairs)
    lq, noise = next(iter(pairs()))
    given, wanted = student(lq, noise), teacher(lq, noise)
    assert student.config.residual
    assert (given - wanted).square().mean() < 0.3 * (wanted - lq).square().mean()


# --- refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"encoder_scale": 8}, "passes.distill.encoder_scale: 8, but sr_x4 enlarges 4 times: a grid that coarse would"),
        ({"encoder_blocks": [1]}, r"passes.distill.encoder_blocks: \[1\]: give 2 numbers of at most \[3, 3\]"),
        ({"encoder_blocks": [1, 4]}, r"passes.distill.encoder_blocks: \[1, 4\]: give 2 numbers of at most"),
        ({"encoder_scale": 1}, "passes.distill.encoder_blocks: has no effect without encoder_scale"),
        ({"stages": [{**STAGE, "weights": {}}]}, r"passes.distill.stages\[0\]: nothing to learn"),
    ],
)
def test_settings_that_cannot_be(subject: Subject, pictures: Path, changed: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        Distill(settings(pictures, **changed)).run(subject)


def test_no_pictures_point_to_reuse(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"none: no such folder of training pictures: .* finished student \(--reuse\)$"
    ):
        Distill(settings(tmp_path / "none")).run(subject)


def test_a_picture_held_back_is_refused(subject: Subject, pictures: Path, photo: np.ndarray) -> None:
    from compress.data.sets import pixels_sha256

    subject.held_back = {pixels_sha256(photo): "validation/photo.png"}
    with pytest.raises(InputError, match=r"training and validation share a picture: .* and validation/photo.png hold"):
        Distill(settings(pictures)).run(subject)


def test_a_kept_student_is_not_validated_on_what_it_learnt_from(
    subject: Subject, pictures: Path, photo: np.ndarray
) -> None:
    from compress.data.sets import pixels_sha256

    first = subject.model
    Distill(settings(pictures)).run(subject)
    kept, subject.model = subject.model.state_dict(), first
    subject.keep = lambda name, make: kept
    subject.held_back = {pixels_sha256(photo): "validation/photo.png"}
    with pytest.raises(InputError, match="training and validation share a picture"):
        Distill(settings(pictures)).run(subject)


def test_after_fold_time_is_refused(subject: Subject, pictures: Path) -> None:
    FoldTime(FoldTimeSettings()).run(subject)
    with pytest.raises(InputError, match=r"^passes: distill needs the flow's time MLP, which fold_time takes away"):
        Distill(settings(pictures)).run(subject)
