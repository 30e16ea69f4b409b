"""What every backend of ExecuTorch is asked for."""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from compress.errors import Unavailable

if TYPE_CHECKING:
    from torch import nn


class Backend(ABC):
    """One backend. Files of this folder import nothing heavy: results are read by their names, too."""

    title: ClassVar[str]
    """The backend's name, spelt as its maker spells it."""
    delegate: ClassVar[str]
    """Its name inside a .pte."""
    scheme: ClassVar[str] = "xnnpack"
    """How its int8 kernels take activations, of ``passes.quantize.schemes``."""
    own_float16: ClassVar[bool] = False
    """Whether it computes a float32 graph in float16 when it is asked to; else the graph itself is made float16."""
    packages: ClassVar[Mapping[str, str]] = {}
    """Modules that its compiler needs beyond ExecuTorch -> what to do where one is missing."""
    why: ClassVar[Mapping[str, str]] = {}
    """Operator -> why it is left outside of the delegate."""

    @property
    def not_run(self) -> str:
        """Why no artifact of it runs on this machine; "": it runs."""
        return ""

    @property
    def otherwise(self) -> str:
        """Why any other operator is left outside."""
        return f"{self.title}'s partitioner did not take it"

    def require(self) -> None:
        """Raise Unavailable, naming what to install, where its compiler is not here."""
        for module, advice in self.packages.items():
            if importlib.util.find_spec(module) is None:
                raise Unavailable(f"export.executorch.backend: {self.title} needs {module}, not installed: {advice}")

    def rewrite(self, model: "nn.Module", *, float16: bool) -> None:
        """Write, in place, what it would leave outside as what it takes; exact but for rounding."""
        return

    def graph(self, module: "nn.Module") -> "nn.Module":
        """What is exported of a deployed model."""
        return module

    def passes(self) -> AbstractContextManager[None]:
        """Its own passes, as they are run inside."""
        return nullcontext()

    @abstractmethod
    def partitioner(self, *, float16: bool) -> Any:
        """ExecuTorch's partitioner, which takes its share of a graph and compiles it."""
