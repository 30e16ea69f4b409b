"""compress: trained ELIR restorers -> int8 OpenVINO, ONNX and ExecuTorch artifacts, measured in their runtimes."""

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m compress`: modules of the current folder stand before the standard library, and before the next line.
    del sys.path[0]

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack, overload

if TYPE_CHECKING:
    from compress.pipeline.dry_run import Plan
    from compress.pipeline.result import ApplyResult
    from compress.progress import Progress
    from compress.recipe.schema import Recipe
    from compress.recipe.task import Task
    from compress.restore.source import Source

__all__ = ["__version__", "apply", "open"]
__version__ = "0.1.0"

# OpenVINO and nncf report each use over the network unless their user has said no; without this package neither does.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


class _Options(TypedDict, total=False):
    """Those of ``apply`` that have no part in what it returns."""

    overrides: Iterable[str]
    targets: Iterable[str]
    resume: bool
    reuse: bool
    progress: "Progress | None"


@overload
def apply(
    recipe: "str | Path | Recipe",
    out: str | Path | None = None,
    *,
    dry_run: Literal[False] = False,
    **options: Unpack[_Options],
) -> "ApplyResult": ...


@overload
def apply(
    recipe: "str | Path | Recipe",
    out: str | Path | None = None,
    *,
    dry_run: Literal[True],
    **options: Unpack[_Options],
) -> "Plan": ...


@overload
def apply(
    recipe: "str | Path | Recipe", out: str | Path | None = None, *, dry_run: bool, **options: Unpack[_Options]
) -> "ApplyResult | Plan": ...


def apply(
    recipe: "str | Path | Recipe",
    out: str | Path | None = None,
    *,
    overrides: Iterable[str] = (),
    targets: Iterable[str] = (),
    resume: bool = True,
    dry_run: bool = False,
    reuse: bool = False,
    progress: "Progress | None" = None,
) -> "ApplyResult | Plan":
    """Run a recipe: a built-in name, a path, or a ``Recipe``; returns its results, or the plan of a ``dry_run``.

    ``out``: the bundle's folder, ``runs/<recipe name>`` by default. ``overrides`` (``a.b=c``) and ``targets`` are for
    a name or a path. ``resume=False`` repeats every stage. ``reuse`` takes the recipe's finished student instead of
    training it. Raises the errors of ``compress.errors``.

    >>> import compress
    >>> compress.apply("int8_sr", "runs/planned", targets=["x86-openvino"], dry_run=True)
    <Plan of int8_sr in runs/planned: 10 artifacts>
    """
    from compress.caller import path_text, place_errors, texts
    from compress.errors import InputError
    from compress.progress import Progress
    from compress.recipe.load import load_recipe
    from compress.recipe.schema import Recipe

    with place_errors():
        source, settings, asked = None, texts("overrides", overrides), texts("targets", targets)
        if out is not None:
            path_text(out)
        if not isinstance(recipe, Recipe):
            source = path_text(recipe)
            recipe = load_recipe(source, settings, asked)
        elif [*settings, *asked]:
            raise InputError("overrides and targets are for a recipe's name or path: change the Recipe itself")
        # After the recipe: a mistake in it is reported at once, not seconds later.
        from compress.pipeline.apply import apply as run
        from compress.pipeline.apply import plan
        from compress.pipeline.context import RunContext

        folder = Path("runs", recipe.name) if out is None else Path(out)
        context = RunContext(recipe, folder, progress or Progress(), resume=resume, reuse=reuse)
        planned = plan(context, source, settings, dry_run=dry_run)
        return planned if dry_run else run(planned)


def open(
    source: str | Path,
    *,
    task: "Task | None" = None,
    scale: int | None = None,
    k_steps: int | None = None,
    sigma_s: float | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    seed: int = 0,
) -> "Source":
    """Open a bundled model by its name, or a checkpoint, an artifact or a bundle by its path or ``hf://OWNER/NAME``.

    A bundle restores with its best artifact that has an installed runtime: int8 before fp16 and fp32. Give ``task``,
    ``k_steps`` and ``sigma_s`` for a file that does not record them; ``scale`` enlarges by another factor than the
    task's. ``tile`` is the side in px of a tile of the output (by default 256, or the artifact's own; 0: the whole
    picture), ``overlap`` the width in px that neighbouring tiles share, and ``seed`` the seed of the sampling noise.

    Raises the errors of ``compress.errors``.

    >>> import compress
    >>> compress.open("runs/int8_sr")
    <Source runs/int8_sr: sr_x4, enlarges 4 times>
    >>> compress.open("photo.jpg")
    Traceback (most recent call last):
    ...
    compress.errors.InputError: photo.jpg: ...
    """
    from compress.caller import place_errors
    from compress.restore.open import Settings
    from compress.restore.source import open_source

    with place_errors():
        return open_source(source, Settings(tile, overlap, seed, scale, k_steps, sigma_s, task))
