"""fold_time: the time MLP's K constant outputs become biases of the K Euler steps, exactly."""

from compress.elir.flow import FoldedFlow
from compress.errors import InputError
from compress.passes.base import Pass, Subject


class FoldTime(Pass):
    """Unroll the flow into K time-free steps that share their weights."""

    name = "fold_time"
    exact = True

    def requires(self, subject: Subject) -> None:
        super().requires(subject)
        if isinstance(subject.model.fmir, FoldedFlow):
            raise InputError("passes: fold_time comes twice: remove one")
        if subject.model.config.over_param:
            raise InputError("passes: fold_time needs the collapsed form: put collapse before it")

    def call(self, subject: Subject) -> None:
        model = subject.model
        before = sum(p.numel() for p in model.parameters())
        model.fmir = FoldedFlow(model.fmir, model.k_steps).requires_grad_(False)  # type: ignore[arg-type]
        after = sum(p.numel() for p in model.parameters())
        subject.notes.append(f"fold_time: {model.k_steps} steps, {before - after} parameters fewer")
