"""One item of a recipe's ``passes``: its settings, validated once, and as they were written."""

from typing import Any, ClassVar

from pydantic import ConfigDict, ModelWrapValidatorHandler, model_serializer, model_validator

from compress.recipe.passes import (
    CollapseSettings,
    EqualizeSettings,
    FoldTimeSettings,
    PtqSettings,
    QatSettings,
    ReconstructSettings,
    SmoothSettings,
    WeightsSettings,
)
from compress.recipe.strict import Strict
from compress.recipe.student import DistillSettings, PruneSettings


class PassItem(Strict):
    """One item of `passes`: exactly one of these keys. A key with no value runs the pass with its defaults."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})
    key_noun: ClassVar[str] = "pass"

    collapse: CollapseSettings | None = None
    prune: PruneSettings | None = None
    distill: DistillSettings | None = None
    fold_time: FoldTimeSettings | None = None
    equalize: EqualizeSettings | None = None
    smooth: SmoothSettings | None = None
    ptq: PtqSettings | None = None
    reconstruct: ReconstructSettings | None = None
    qat: QatSettings | None = None
    weights: WeightsSettings | None = None

    _given: dict[str, dict[str, Any]]

    @property
    def name(self) -> str:
        """The pass's."""
        return next(iter(self._given))

    @property
    def settings(self) -> Strict:
        """Settings of the pass, each with its value."""
        settings: Strict = getattr(self, self.name)
        return settings

    def changed(self, **settings: Any) -> "PassItem":
        """The same pass with other settings; None takes one away."""
        given = {key: value for key, value in {**self._given[self.name], **settings}.items() if value is not None}
        return PassItem.model_validate({self.name: given})

    @model_validator(mode="wrap")
    @classmethod
    def _keep_given(cls, data: Any, handler: ModelWrapValidatorHandler["PassItem"]) -> "PassItem":
        if not isinstance(data, dict):
            return handler(data)
        given = {name: {} if settings is None else settings for name, settings in data.items()}
        item = handler(given)
        if len(given) != 1:
            raise ValueError(f"must be a mapping of one pass name to its settings, got {len(given)} keys")
        item._given = given
        return item

    # With every default in it, the hash of a recipe would change with each setting that a release adds.
    @model_serializer
    def _as_given(self) -> dict[str, dict[str, Any]]:
        return self._given
