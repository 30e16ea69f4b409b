"""The training recipe's schema."""

import pytest
from pydantic import ValidationError

from compress.recipe import train
from compress.recipe.strict import Strict
from compress.recipe.train import StreamSource, TrainData, TrainRecipe, TrainStage


def test_json_schema_is_strict_at_the_top() -> None:
    described = TrainRecipe.model_json_schema()
    assert described["additionalProperties"] is False
    assert {"version", "name", "data", "stages"} <= set(described["required"])


def test_every_model_of_the_file_refuses_unknown_keys() -> None:
    models = [m for m in vars(train).values() if isinstance(m, type) and issubclass(m, Strict)]
    assert len(models) > 4
    assert all(m.model_config["extra"] == "forbid" for m in models)


def test_values_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainStage(space="latents", steps=3).steps = 4  # type: ignore[misc]


def test_schedule_is_cosine_unless_asked() -> None:
    assert TrainStage(space="latents", steps=3).schedule == "cosine"
    with pytest.raises(ValidationError, match="'cosine' or 'constant'"):
        TrainStage.model_validate({"space": "latents", "steps": 3, "schedule": "linear"})


def test_training_data_are_folders_and_hub_data_sets() -> None:
    given = TrainData.model_validate({"train": ["photos", {"name": "owner/set"}]})
    assert given.train == [
        "photos",
        StreamSource(name="owner/set", split="train", column="image", pool=256, renew=1),
    ]
    for wrong in ([], [3], [{"name": "owner/set", "pool": 0}], [{"path": "photos"}]):
        with pytest.raises(ValidationError):
            TrainData.model_validate({"train": wrong})
