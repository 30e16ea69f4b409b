"""Where a quantized model errs: measured layer by layer, and remembered by the attempt that asks."""

from compress.passes.quantize.schemes import SCHEME_OF
from compress.pipeline.fallback.steps import Errors
from compress.pipeline.models import Models
from compress.pipeline.probe import Probe, network, settled

PICTURES = 2  # of the calibration set


def measure_errors(models: Models, format_: str) -> Errors:
    """Squared errors of each layer, and of each network, quantized alone by the scheme of ``format_``."""

    def measure() -> dict[str, list[tuple[list[str], float]]]:
        probe = Probe(models, SCHEME_OF[format_], models.context.inputs.calibration, PICTURES, settled(models))
        shared: dict[int, list[str]] = {}
        networks: dict[str, list[str]] = {}
        for name, conv in probe.convs.items():
            shared.setdefault(id(conv.weight), []).append(name)
            networks.setdefault(network(name), []).append(name)
        parts = {"layers": list(shared.values()), "networks": list(networks.values())}
        errors: dict[str, list[tuple[list[str], float]]] = {}
        with models.context.progress.stage("the worst layers", sum(map(len, parts.values()))) as stage:
            for kind, groups in parts.items():
                errors[kind] = []
                for names in groups:
                    errors[kind].append((names, probe.loss(names).error))
                    stage.advance()
        return errors

    kept = models.context.stages.run(f"errors-{format_}", measure, files=())
    return Errors(
        {tuple(names): error for names, error in kept["layers"]},
        {network(names[0]): error for names, error in kept["networks"]},
    )
