"""The processes that train one model together, started by `accelerate launch` or `torchrun`; without them, one."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from compress.errors import CompressError, InputError, Unavailable


class Processes:
    """This process among those that train together, on the engine of Hugging Face's accelerate.

    ``count`` processes, of which this is number ``index``; the ``first`` alone writes files and talks. ``device`` is
    the accelerator that this process has for itself, else the CPU.
    """

    def __init__(self) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs

        self._settings = DistributedDataParallelKwargs()
        # Precision is each stage's own setting. Without cpu=True, accelerate ignores torchrun where there is no
        # accelerator: every process would train alone, and write the same files.
        alone = not torch.accelerator.is_available()
        self._engine = Accelerator(cpu=alone, mixed_precision="no", kwargs_handlers=[self._settings])
        self.index, self.count = self._engine.process_index, self._engine.num_processes
        self.device: torch.device = self._engine.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.index == 0

    def share(self, batch: int, name: str) -> slice:
        """This process's part of ``batch`` items. Raises InputError, naming ``name``, when equal parts do not exist."""
        if batch % self.count:
            raise InputError(f"{name} is {batch}, for {self.count} processes: give a multiple of {self.count}")
        size = batch // self.count
        return slice(self.index * size, (self.index + 1) * size)

    def together(self, module: nn.Module, *, untaught: bool) -> nn.Module:
        """``module``, whose gradients are averaged over the processes as they come; itself where there is one.

        Which parameters learn must be settled before; ``untaught``: some of them never have a gradient.
        """
        self._settings.find_unused_parameters = untaught
        return self._engine.prepare_model(module) if self.count > 1 else module

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes, in all of them. Raises Unavailable where another has stopped."""
        if self.count == 1:
            return values
        try:
            return self._engine.reduce(values, "mean")
        except RuntimeError:
            raise Unavailable("another process of this training stopped: its own message says why") from None

    def agree(self, number: int, what: str) -> None:
        """Raise InputError unless ``number`` is the same in all processes."""
        if self.mean(torch.tensor(number, dtype=torch.float64, device=self.device)).item() != number:
            raise InputError(f"the processes do not see the same {what}: give --out a folder that all of them share")

    @contextmanager
    def one_voice(self) -> Iterator[None]:
        """The first process reports what stops them all; the others end silently, with the same exit code."""
        try:
            yield
        except CompressError as error:
            if self.first:
                raise
            raise SystemExit(error.exit_code) from None

    def wait(self) -> None:
        """Go on when every process has come here."""
        self._engine.wait_for_everyone()
