"""collapse: the over-parametrised training form becomes plain 3x3 convolutions, exactly."""

from dataclasses import replace

from compress.elir.overparam import collapse
from compress.passes.base import Pass, Subject


class Collapse(Pass):
    """Multiply each pair of convolutions into one; a model in plain form is left as it is."""

    name = "collapse"
    exact = True

    def call(self, subject: Subject) -> None:
        count = collapse(subject.model)
        subject.model.config = replace(subject.model.config, over_param=False)
        subject.model.requires_grad_(False)
        what = f"{count} pairs" if count else "the checkpoint is in plain form already"
        subject.notes.append(f"collapse: {what}")
