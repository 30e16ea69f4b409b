"""Measures of pyiqa, the optional extra ``elir-compress[iqa]``: FID, MUSIQ, DISTS and more, by pyiqa's own names.

pyiqa downloads a measure's weights when it is first asked for, and is licensed for noncommercial purposes only.
"""

import contextlib
import importlib
import importlib.util
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from compress.data.pictures import to_float
from compress.errors import InputError, Unavailable
from compress.quiet import quiet
from compress.recipe.library import did_you_mean
from compress.text import install_extra

SEED = 123
"""Seed of the measures that draw crops at random."""


class IqaMeasure:
    """One measure; ``key`` is its name in results. ``of_sets``: it compares folders, and has no value for a picture."""

    def __init__(self, name: str, metric: Any) -> None:
        self.name, self.key, self._metric = name, f"pyiqa_{name}", metric
        self.of_sets = "fid" in name or name == "inception_score"  # as pyiqa's InferenceModel.forward tells them

    def of_picture(self, output: np.ndarray, clean: np.ndarray | None) -> float | None:
        """Value of ``output`` (H, W, 3) uint8, against ``clean`` where the measure has a reference.

        None: not finite, or no clean picture for a measure that needs one.

        Raises InputError where pyiqa refuses the picture.
        """
        import torch

        pictures = [torch.from_numpy(to_float([output]))]
        if self._metric.metric_mode == "FR":
            if clean is None:
                return None
            pictures.append(torch.from_numpy(to_float([clean])))
        return self._value(*pictures)

    def of_folders(self, outputs: Path, clean: Path) -> float | None:
        """Value of a folder of pictures, against a folder of clean ones where the measure has a reference."""
        if self.name == "inception_score":
            return self._value(str(outputs))
        return self._value(str(outputs), str(clean), num_workers=0, verbose=False)

    def _value(self, *given: Any, **options: Any) -> float | None:
        import torch

        with quiet(), torch.random.fork_rng(devices=[]), _asked(self.name):
            torch.manual_seed(SEED)
            try:
                result = self._metric(*given, **options)
            except (AssertionError, ValueError, RuntimeError) as error:
                raise InputError(f"metric {self.name}: refused by pyiqa ({_line(error)}): leave it out") from None
        value = float(result[0] if isinstance(result, tuple) else result)
        return value if math.isfinite(value) else None


def open_measures(names: Iterable[str]) -> list[IqaMeasure]:
    """The measures called ``names``, on the CPU, each once.

    Raises InputError for a name that pyiqa does not know, Unavailable without pyiqa or a measure's weights.
    """
    return [_open(name) for name in dict.fromkeys(names)]


def _open(name: str) -> IqaMeasure:
    pyiqa = _package(name)
    known = pyiqa.list_models()
    if name not in known:
        hint = did_you_mean(name, known) or f", it is one of {len(known)}"
        raise InputError(f"metric {name}: unknown to pyiqa{hint}: pyiqa.list_models() names them")
    with quiet(), _asked(name):
        return IqaMeasure(name, pyiqa.create_metric(name, device="cpu"))


def _package(name: str) -> ModuleType:
    if importlib.util.find_spec("pyiqa") is None:
        raise Unavailable(f"metric {name}: pyiqa is not installed: {install_extra('iqa')}")
    try:
        with quiet():
            return importlib.import_module("pyiqa")
    except (ImportError, OSError, RuntimeError) as error:
        # RuntimeError is torchvision's, beside a torch that it was not built for.
        raise Unavailable(
            f"metric {name}: pyiqa cannot be imported ({_line(error)}): install it with a torch and torchvision "
            "of one build"
        ) from None


@contextlib.contextmanager
def _asked(name: str) -> Iterator[None]:
    """What measure ``name`` cannot fetch becomes Unavailable: which file, from where, to where."""
    import torch.hub
    from pyiqa.utils import download_util

    fetch = torch.hub.download_url_to_file

    def fetch_or_say(url: str, path: str, *args: Any, **options: Any) -> None:
        try:
            fetch(url, path, *args, **options)
        except OSError as error:
            file = Path(path)
            raise Unavailable(
                f"metric {name}: its weights {file.name} cannot be downloaded ({_line(error)}): "
                f"get {url} elsewhere and put it into {file.parent}"
            ) from None

    try:
        torch.hub.download_url_to_file = download_util.download_url_to_file = fetch_or_say
        yield
    except ImportError as error:
        raise Unavailable(f"metric {name}: pyiqa needs one more package ({_line(error)}): install it") from None
    except OSError as error:
        # From the Hugging Face hub, past torch.hub.
        from huggingface_hub.constants import HF_HUB_CACHE

        raise Unavailable(
            f"metric {name}: its weights {_address(error) or 'on the Hugging Face hub'} cannot be downloaded: "
            f"run the same command on a connected machine, and copy its {HF_HUB_CACHE} here"
        ) from None
    finally:
        torch.hub.download_url_to_file = download_util.download_url_to_file = fetch


def _address(error: BaseException | None) -> str | None:
    """The address that ``error``, or what it came from, was raised for."""
    while error is not None:
        url = getattr(getattr(error, "request", None), "url", None)
        if url is not None:
            return str(url)
        error = error.__cause__ or error.__context__
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
