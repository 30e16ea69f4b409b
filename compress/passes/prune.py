"""prune: fewer channels, or zeros among the weights."""

from dataclasses import replace
from typing import Any

from compress.elir.flow import FoldedFlow
from compress.elir.model import Elir, ElirConfig
from compress.errors import InputError
from compress.passes.base import Pass, Subject
from compress.passes.shrink.budget import STEP, macs, within
from compress.passes.shrink.channels import Scores, narrow, scored_channels
from compress.passes.shrink.importance import scores
from compress.passes.shrink.sparsity import two_of_four, unstructured, zeros
from compress.recipe.student import PruneSettings, Widths


class Prune(Pass):
    """Take channels out of the networks; what is left is a smaller Elir. Accuracy is restored by `distill`."""

    name = "prune"
    settings: PruneSettings

    def requires(self, subject: Subject) -> None:
        super().requires(subject)
        refuse_folded(self.name, subject)
        if subject.model.config.over_param:
            raise InputError("passes: prune needs the collapsed form: put collapse before it")

    def call(self, subject: Subject) -> None:
        subject.keep_reference()
        if self.settings.pattern != "channels":
            self._zero(subject)
            return
        before = subject.model
        score = scores(self.settings.importance, subject, self.settings.pictures)
        config = self._config(before, score)
        subject.model = narrow(before, config, score)
        ratio = macs(config) / macs(before.config)
        subject.notes.append(f"prune: {_change(before, subject.model)}, {ratio:.0%} of the multiplications")

    def _zero(self, subject: Subject) -> None:
        if self.settings.share is not None:
            unstructured(subject.model, self.settings.share)
        else:
            two_of_four(subject.model)
        subject.sparse = True
        subject.notes.append(
            f"prune: {zeros(subject.model):.0%} of the convolutions' weights are 0, shapes are as before"
        )

    def _config(self, model: Elir, score: Scores) -> ElirConfig:
        s = self.settings
        if s.macs is not None:
            try:
                return within(model, s.macs, scored_channels(model, score))
            except ValueError as error:
                raise InputError(f"passes.prune.macs: {error}: ask for more") from None
        if s.widths is not None:
            return named_widths(model.config, s.widths)
        assert s.ratios is not None
        ratios = {str(network): ratio for network, ratio in s.ratios.items()}
        config = by_ratio(model.config, ratios)
        if config == model.config and any(ratios.values()):
            raise InputError(
                f"passes.prune.ratios: {ratios} remove nothing: networks lose channels by {STEP}: give higher ratios"
            )
        return config


def named_widths(config: ElirConfig, widths: Widths) -> ElirConfig:
    """``config`` with the given widths. Raises InputError for one that is wider than before, or a missing one."""
    fields = {"enc": "enc_widths", "mmse": "c_hid", "fmir": "hid_channels", "dec": "dec_widths"}
    changes: dict[str, Any] = {}
    for network, wanted in widths.model_dump(exclude_none=True).items():
        has = getattr(config, fields[network])
        pairs = list(zip(wanted, has, strict=False)) if isinstance(wanted, list) else [(wanted, has)]
        if isinstance(wanted, list) and len(wanted) != len(has):
            raise InputError(
                f"passes.prune.widths.{network}: {len(wanted)} widths for {len(has)} resolutions: give one each"
            )
        for new, old in pairs:
            if not 0 < new <= old:
                raise InputError(f"passes.prune.widths.{network}: {new} of {old} channels: give 1 to {old}")
        changes[fields[network]] = tuple(wanted) if isinstance(wanted, list) else wanted
    return replace(config, **changes)


def by_ratio(config: ElirConfig, ratios: dict[str, float]) -> ElirConfig:
    """``config`` less a share of the channels of each network in ``ratios``, rounded to a step; at least one stays."""

    def less(width: int, ratio: float) -> int:
        return min(width, max(STEP, round(width * (1 - ratio) / STEP) * STEP)) if ratio else width

    enc, dec = (
        tuple(less(w, ratios.get(name, 0)) for w in getattr(config, f"{name}_widths")) for name in ("enc", "dec")
    )
    c_hid, hid = less(config.c_hid, ratios.get("mmse", 0)), less(config.hid_channels, ratios.get("fmir", 0))
    return replace(config, enc_widths=enc, dec_widths=dec, c_hid=c_hid, hid_channels=hid)


def refuse_folded(name: str, subject: Subject) -> None:
    """Raise InputError when the time is folded: the student's steps could not be trained."""
    if isinstance(subject.model.fmir, FoldedFlow):
        raise InputError(f"passes: {name} needs the flow's time MLP, which fold_time takes away: put {name} before it")


def _change(before: Elir, after: Elir) -> str:
    old, new = (sum(p.numel() for p in model.parameters()) / 1e6 for model in (before, after))
    return f"{old:.2f} to {new:.2f} M parameters"
