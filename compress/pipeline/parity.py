"""Parity: torch against the artifacts, and where int8 errs."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import Artifact, by_own_rules
from compress.artifacts.writer import simulated
from compress.data.sets import PictureSet
from compress.errors import VerificationError
from compress.pipeline.models import Models
from compress.pipeline.quality import ArtifactOutputs, save_sample
from compress.pipeline.shapes import ShapeGroup
from compress.recipe.schema import QUANTIZED
from compress.results.parity import LayerError, Parity, StageError
from compress.results.section import Section

if TYPE_CHECKING:
    import torch

PICTURES = 2
FP32_GOAL_DB = 60.0  # torch fp32 against the fp32 artifact
INT8_GAP_DB = 1.0  # that the artifact's fidelity may be below the simulated model's


class ParityCheck(Section):
    """``parity``, ``stages``, ``layers`` and ``notes`` of results.json; ``simulated``: a file by int8 artifact."""

    parity: list[Parity]
    stages: list[StageError]
    layers: list[LayerError]
    simulated: dict[str, str]
    notes: list[str]


def check_parity(outputs: ArtifactOutputs, models: Models, groups: Sequence[ShapeGroup]) -> ParityCheck:
    """On the first pictures of the first set of each group; errors by stage and layer, on those of the first group.

    What the simulation of each int8 artifact makes of the first picture is kept as a file, for other machines.
    """
    from compress.elir.stage_errors import layer_errors, stage_errors

    planned, progress = models.context.planned, models.context.progress
    parity: list[Parity] = []
    simulations: dict[str, str] = {}
    pairs: list[Any] = []
    with progress.stage("parity", len(planned), even=False) as stage:
        for group in groups:
            check = _Check(outputs, models, group.sets[0])
            for artifact in group.artifacts:
                parity += check.artifact(artifact)
                stage.advance()
            pairs = pairs or check.pairs
            simulations |= check.simulated
    int8 = next((a for a in planned if a.precision == "int8" and not by_own_rules(a.id)), None)
    module: Any = simulated(models.quantized, int8) if int8 else None
    stages: list[StageError] = []
    layers: list[LayerError] = []
    if module is not None and hasattr(module, "stages"):
        with progress.stage("error by stage and layer"):
            stages = stage_errors(models.subject.model, module, pairs)
            layers = layer_errors(models.subject.model, module, pairs[0])
    return ParityCheck(parity=parity, stages=stages, layers=layers, simulated=simulations, notes=models.subject.notes)


class _Check:
    """Runs artifacts and the torch models that they were written from on the same pictures."""

    def __init__(self, outputs: ArtifactOutputs, models: Models, pictures: PictureSet) -> None:
        self.outputs, self.models = outputs, models
        self.items = list(islice(pictures, PICTURES))
        self.pairs = list(models.pairs(pictures, PICTURES))
        self.simulated: dict[str, str] = {}
        self._outputs: dict[Any, list[torch.Tensor]] = {}  # by the model, which it keeps

    def artifact(self, artifact: Artifact) -> list[Parity]:
        """The ``parity`` entry of one artifact; of one that does not run here, what its simulation says, if it is
        quantized."""
        if not artifact.not_run:
            return [self._of_outputs(artifact)]
        quantized = simulated(self.models.quantized, artifact) if artifact.precision in QUANTIZED else None
        if (module := self.models.float_model(artifact) if artifact.is_float else quantized) is None:
            return []
        from compress.elir.stage_errors import mean_psnr

        simulation = self._simulation(artifact, module)
        if artifact.is_float:
            return []
        fp32 = self._rounded(self._torch(self.models.float_model(artifact)))
        fidelity = mean_psnr(fp32, simulation)
        n = len(self.pairs)
        return [Parity(artifact=artifact.id, against="simulated-int8", n=n, fidelity_simulated_db=fidelity)]

    def _simulation(self, artifact: Artifact, module: Any) -> "list[torch.Tensor]":
        """What torch makes with the artifact's quantizers; the first picture is kept as a file."""
        from compress.data.pictures import to_uint8

        simulation = self._rounded(self._torch(module))
        picture, name = to_uint8(simulation[0][0].numpy()), self.items[0].name
        self.simulated[artifact.id] = save_sample(self.outputs.folder, name, f"simulated-{artifact.id}", picture)
        return simulation

    def _of_outputs(self, artifact: Artifact) -> Parity:
        from compress.elir.stage_errors import mean_psnr

        outputs = self._run(artifact)
        fp32 = self._rounded(self._torch(self.models.float_model(artifact)))
        psnr = mean_psnr(fp32, outputs)
        entry = partial(Parity, artifact=artifact.id)
        n = len(self.pairs)
        if artifact.precision == "fp32":
            return entry(against="torch-fp32", psnr_db=psnr, n=n, goal=FP32_GOAL_DB, met=psnr >= FP32_GOAL_DB)
        module = simulated(self.models.quantized, artifact) if artifact.precision in QUANTIZED else None
        if module is None:
            return entry(against="torch-fp32", psnr_db=psnr, n=n, goal=None)
        if artifact.precision == "weights":  # computed in float: no reason to differ
            same = mean_psnr(self._rounded(self._torch(module)), outputs)
            return entry(against="rounded-fp32", psnr_db=same, n=n, goal=FP32_GOAL_DB, met=same >= FP32_GOAL_DB)
        # A quantized network is chaotic in the last bit: an input changed by 1e-6 moves its output by as much as
        # quantization itself did. So the artifact must be as good as the simulation, not equal to it.
        simulation = self._simulation(artifact, module)
        fidelity = mean_psnr(fp32, simulation)
        return entry(
            against="simulated-int8",
            psnr_db=mean_psnr(simulation, outputs),
            n=n,
            fidelity_artifact_db=psnr,
            fidelity_simulated_db=fidelity,
            goal=INT8_GAP_DB,
            met=psnr >= fidelity - INT8_GAP_DB,
        )

    def _run(self, artifact: Artifact) -> "list[torch.Tensor]":
        import torch

        outputs = [torch.from_numpy(self.outputs.of(artifact, item, i))[None] for i, item in enumerate(self.items)]
        self.outputs.close()
        return outputs

    def _rounded(self, outputs: "list[torch.Tensor]") -> "list[torch.Tensor]":
        """As the artifacts give them: in steps of 1/255, rounded half up, where they give pictures of 8 bits."""
        if self.models.context.recipe.export.io == "float":
            return outputs
        return [(output.clamp(0, 1) * 255 + 0.5).floor() / 255 for output in outputs]

    def _torch(self, model: Any) -> "list[torch.Tensor]":
        import torch

        if model not in self._outputs:
            with torch.no_grad():
                outputs = [model(lq, noise) for lq, noise in self.pairs]
            self._outputs[model] = self._finite("the torch model", outputs, model)
        return self._outputs[model]

    def _finite(self, who: str, outputs: "list[torch.Tensor]", model: Any = None) -> "list[torch.Tensor]":
        """``outputs``. Raises VerificationError, naming picture and layer, where one holds NaN or Inf."""
        import torch

        from compress.elir.finite import first_not_finite

        for i, output in enumerate(outputs):
            if not torch.isfinite(output).all():
                layer = first_not_finite(model, *self.pairs[i]) if model is not None else None
                where = f", first in {layer}" if layer else ""
                raise VerificationError(
                    f"{who} gives NaN or Inf for validation picture {i + 1}{where}: check the weights and the passes"
                )
        return outputs
