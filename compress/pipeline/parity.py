"""Parity: torch against the artifacts, and where int8 errs."""

from itertools import islice
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import Artifact
from compress.artifacts.writer import simulated
from compress.data.sets import PictureSet
from compress.errors import VerificationError
from compress.pipeline.models import Models
from compress.pipeline.quality import ArtifactOutputs, save_sample
from compress.recipe.schema import QUANTIZED

if TYPE_CHECKING:
    import torch

PICTURES = 2
FP32_GOAL_DB = 60.0  # torch fp32 against the fp32 artifact
INT8_GAP_DB = 1.0  # that the artifact's fidelity may be below the simulated model's


def check_parity(outputs: ArtifactOutputs, models: Models) -> dict[str, Any]:
    """``parity``, ``stages``, ``layers`` and ``notes`` of results.json, on the first pictures of the first set.

    ``simulated``: what the simulation of each int8 artifact makes of the first, a file each, for other machines.
    """
    from compress.elir.stage_errors import layer_errors, stage_errors

    planned, progress = models.context.planned, models.context.progress
    check = _Check(outputs, models, models.context.inputs.validation[0])
    found: dict[str, Any] = {"parity": [], "stages": [], "layers": []}
    with progress.stage("parity", len(planned)) as stage:
        for artifact in planned:
            found["parity"].append(check.artifact(artifact))
            stage.advance()
    int8 = next((a for a in planned if a.precision == "int8" and not a.variant), None)
    module: Any = simulated(models.quantized, int8) if int8 else None
    if module is not None and hasattr(module, "stages"):
        with progress.stage("error by stage and layer"):
            found["stages"] = stage_errors(models.subject.model, module, check.pairs)
            found["layers"] = layer_errors(models.subject.model, module, check.pairs[0])
    return {**found, "simulated": check.simulated, "notes": models.subject.notes}


class _Check:
    """Runs artifacts and the torch models that they were written from on the same pictures."""

    def __init__(self, outputs: ArtifactOutputs, models: Models, pictures: PictureSet) -> None:
        self.outputs, self.models = outputs, models
        self.items = list(islice(pictures, PICTURES))
        self.pairs = list(models.pairs(pictures, PICTURES))
        self.simulated: dict[str, str] = {}
        self._outputs: dict[Any, list[torch.Tensor]] = {}  # by the model, which it keeps

    def artifact(self, artifact: Artifact) -> dict[str, Any]:
        """The ``parity`` entry of one artifact."""
        from compress.data.pictures import to_uint8
        from compress.elir.stage_errors import mean_psnr

        outputs = self._run(artifact)
        fp32 = self._torch(self.models.float_model(artifact))
        psnr = mean_psnr(fp32, outputs)
        entry = {"artifact": artifact.id, "against": "torch-fp32", "psnr_db": psnr, "n": len(self.pairs)}
        if artifact.precision == "fp32":
            return {**entry, "goal": FP32_GOAL_DB, "met": psnr >= FP32_GOAL_DB}
        module = simulated(self.models.quantized, artifact) if artifact.precision in QUANTIZED else None
        if module is None:
            return {**entry, "goal": None}
        if artifact.precision == "weights":  # computed in float: no reason to differ
            same = mean_psnr(self._torch(module), outputs)
            goal = {"goal": FP32_GOAL_DB, "met": same >= FP32_GOAL_DB}
            return {**entry, "against": "rounded-fp32", "psnr_db": same, **goal}
        # A quantized network is chaotic in the last bit: an input changed by 1e-6 moves its output by as much as
        # quantization itself did. So the artifact must be as good as the simulation, not equal to it.
        simulation = self._torch(module)
        fidelity = mean_psnr(fp32, simulation)
        picture = to_uint8(simulation[0][0].numpy())
        name = self.items[0].name
        self.simulated[artifact.id] = save_sample(self.outputs.folder, name, f"simulated-{artifact.id}", picture)
        return {
            **entry,
            "against": "simulated-int8",
            "psnr_db": mean_psnr(simulation, outputs),
            "fidelity_artifact_db": psnr,
            "fidelity_simulated_db": fidelity,
            "goal": INT8_GAP_DB,
            "met": psnr >= fidelity - INT8_GAP_DB,
        }

    def _run(self, artifact: Artifact) -> "list[torch.Tensor]":
        import torch

        outputs = [torch.from_numpy(self.outputs.of(artifact, item, i))[None] for i, item in enumerate(self.items)]
        self.outputs.close()
        return outputs

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
