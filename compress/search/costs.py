"""Bytes and milliseconds that predictions start from: files written and timed with whole stages in float."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compress.artifacts.artifact import Artifact
from compress.artifacts.writer import Writer
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.passes import FLOAT
from compress.search.choose import Option
from compress.search.groups import Group
from compress.search.lab import Lab
from compress.targets.bench import bench_target, check_target, runs
from compress.targets.entries import Bench

if TYPE_CHECKING:
    from torch import nn

FILES = ".files"  # hidden: removed whole, so that no folder of a person's may have its name
FLOAT_MODEL, OWN = "fp32", "int8"


@dataclass(frozen=True)
class Costs:
    """By variant, which is fp32, int8, or the name of a network that is float in an int8 file: bytes of the first two,
    median ms of all that the target runs; None: there is no target.
    """

    bytes: dict[str, int]
    ms: dict[str, float] | None


def measure_costs(lab: Lab, target: DeployTarget | None) -> Costs:
    """Costs of the fp32 file, of the recipe's own int8 file and, on ``target``, of files with one network in float.

    Raises Unavailable for a target that is not here.
    """
    if target is not None:
        check_target(target)
    timed = target is not None and FLOAT in lab.bits
    networks = list(dict.fromkeys(group.network for group in lab.groups)) if timed else []
    variants = [FLOAT_MODEL, OWN, *networks]
    mode = lab.models.context.recipe.measure
    extra = [lab.format, target and target.measurement_key(), mode, variants]
    return lab.models.context.stages.run_as(
        Costs, f"costs-{lab.format}", lambda: _measure(lab, target, variants), extra
    )


def _measure(lab: Lab, target: DeployTarget | None, variants: Sequence[str]) -> Costs:
    context = lab.models.context
    artifacts = {name: _written(lab, name) for name in variants}
    sizes = {name: sum((context.folder / f).stat().st_size for f in files) for name, files in artifacts.items()}
    ms = None
    if target is not None:
        from compress.data.pictures import to_uint8

        (lq, noise), *_ = lab.models.pairs(context.inputs.validation[0], 1)
        timed = {name: _artifact(lab, name) for name in variants}
        chosen = {timed[n]: context.folder / files[0] for n, files in artifacts.items() if runs(target, timed[n])}
        pictures = {"lq": to_uint8(lq[0].numpy())[None], "noise": noise.numpy()}
        image = next(iter(context.inputs.validation[0])).image
        if context.recipe.export.io == "uint8" and image is not None:
            pictures["image"] = image[None]
        entries = bench_target(Bench(chosen, target, pictures, context.recipe.measure, context.progress))
        medians = {entry.artifact: entry.latency_ms.p50 for entry in entries if entry.latency_ms}
        ms = {name: p50 for name in variants if (p50 := medians.get(timed[name].id)) is not None}
    shutil.rmtree(context.folder / FILES)
    return Costs({name: sizes[name] for name in (FLOAT_MODEL, OWN)}, ms)


def _artifact(lab: Lab, variant: str) -> Artifact:
    """A network's name becomes the artifact's variant."""
    if variant == FLOAT_MODEL:
        return Artifact(lab.format, "fp32")
    return Artifact(lab.format, "int8", "" if variant == OWN else variant.split()[0])


def _written(lab: Lab, variant: str) -> list[str]:
    """The files of a variant, entry first, relative to the search's folder."""
    stages = lab.models.context.stages
    artifact = Artifact(lab.format, "fp32" if variant == FLOAT_MODEL else "int8")
    folder = f"{FILES}/{_artifact(lab, variant).id}"
    files = [f"{folder}/{file}" for file in artifact.files]
    work = partial(_write, lab, artifact, variant, stages.folder / folder)
    stages.run(f"write-{_artifact(lab, variant).id}", work, files=files)
    return files


def _write(lab: Lab, artifact: Artifact, variant: str, folder: Path) -> None:
    from compress.passes.quantize.engines import QuantizedModel

    context = lab.models.context
    writer = Writer(context.recipe, folder)
    with context.progress.stage(f"write {_artifact(lab, variant).id}"):
        try:
            if variant != FLOAT_MODEL:
                writer.write_int8(QuantizedModel("elir", {lab.scheme_name: _module(lab, variant)}), artifact)
            elif artifact.format == "executorch":
                writer.lower(lab.models.reference, artifact)
            else:
                writer.write_float(lab.models.reference, artifact)
            if artifact.format == "executorch":
                writer.lowered(artifact)
        finally:
            writer.close()


def _module(lab: Lab, variant: str) -> "nn.Module":
    names = [name for group in lab.groups if group.network == variant for name in group.layers]
    return lab.module(dict.fromkeys(names, FLOAT))


def options_of(
    group: Group, errors: dict[int, float], costs: Costs, groups: Sequence[Group], format_: str
) -> list[Option]:
    """What each choice of bits for ``group`` costs. The time that its network's float kernels take longer is shared
    out by multiplications; 4-bit weights are unpacked when the file is loaded, and take no time."""
    ms = costs.ms or {}
    longer = max(0.0, ms[group.network] - ms[OWN]) if group.network in ms else 0.0
    share = group.macs / sum(g.macs for g in groups if g.network == group.network)
    return [
        Option(bits, error, group.bytes(bits, format_), longer * share if bits == FLOAT else 0.0)
        for bits, error in sorted(errors.items())
    ]
