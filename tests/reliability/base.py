"""What every section starts from: the tiny inputs and a finished bundle of them, made once in a work folder."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.process import command, forked
from tests.reliability.tiny import write_inputs, write_recipe

APPLY_LIMIT_S = 1800.0


@dataclass(frozen=True)
class Base:
    """``folder`` holds inputs/ (checkpoint, pictures, recipes) and, once asked for, bundle/."""

    folder: Path

    @property
    def inputs(self) -> Path:
        return self.folder / "inputs"

    @property
    def checkpoint(self) -> Path:
        return self.inputs / "tiny.safetensors"

    @property
    def recipe(self) -> Path:
        return self.inputs / "recipe.yaml"

    @property
    def picture(self) -> Path:
        return self.inputs / "validation" / "validation0.png"

    def bundle(self, kind: str = "openvino") -> Path:
        """A finished bundle of the tiny recipe of ``kind``; not to be changed: see ``copy_bundle``."""
        out = self.folder / f"bundle-{kind}"
        if not (out / "manifest.json").is_file():
            recipe = write_recipe(self.inputs, f"tiny-{kind}", kind=kind)
            arguments = ["apply", str(recipe), "--out", str(out)]
            ended = forked(command(arguments, self.folder, watched=False), self.folder / "log", APPLY_LIMIT_S)
            if ended.code:
                raise RuntimeError(f"the tiny recipe itself failed with {ended.code}: {ended.err[-2000:]}")
        return out

    def copy_bundle(self, to: Path, kind: str = "openvino") -> Path:
        """A copy to spoil: files are hard links, so replace a file, never write into it."""
        source = self.bundle(kind)
        for path in source.rglob("*"):
            if path.is_file() and ".stages" not in path.parts and path.name not in (".lock", ".compress.json"):
                target = to / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, target)
        return to


def make_base(folder: Path) -> Base:
    """The tiny inputs in ``folder``, which may be an earlier run's."""
    base = Base(folder)
    if not base.recipe.is_file():
        write_inputs(base.inputs)
    return base


def replace(path: Path, data: bytes) -> None:
    """Write ``data`` to a file of a copied bundle without touching the original that it is linked to."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def emptied(folder: Path) -> Path:
    """``folder``, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
