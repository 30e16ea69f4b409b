"""The model card of a bundle on the Hugging Face Hub, made from its manifest and its results.

The head is the Hub's metadata (https://huggingface.co/docs/hub/model-cards): tags, and the measured quality of each
artifact as ``model-index``. Speed depends on the machine, so it stands in the table only, with that machine.
"""

from collections.abc import Sequence

from compress.bundle.schema import Manifest
from compress.results.artifact import ArtifactEntry
from compress.results.document import Results
from compress.results.performance import Performance
from compress.results.quality import Quality
from compress.text import flat, markdown

PAPER = "https://arxiv.org/abs/2502.03500"
METRICS = {"psnr": "psnr_db", "ssim": "ssim", "lpips": "lpips"}
"""The Hub's name of a metric -> its field in results.json."""
_LICENCES = {"Apache-2.0": "apache-2.0", "MIT": "mit"}
"""How a checkpoint's licence begins -> the Hub's identifier."""

_TEXT = """\
# {name}

[ELIR]({paper}) for `{task}`, compressed by elir-compress. The bundle is in `bundle/`. It holds artifacts for {formats},
the recipe that made them, every measured figure (`results.json`), a report (`report.html`) and a `README.md` with a few
lines of Python for each runtime.

```
compress restore hf://{id} photo.png -o restored.png
compress verify hf://{id}
```

To pin the version that you have tested, append `@` and a commit to `hf://{id}`.

## Measured

{rows}

PSNR (in dB) and LPIPS compare with the clean pictures of {dataset}. Drop is the PSNR lost against the fp32 artifact of
the same format.
{speed}
The model draws plausible detail, not the true detail: never take faces, text or number plates in its pictures as
evidence.

Licence, as recorded in the checkpoint: {licence}.
"""


def model_card(manifest: Manifest, results: Results, id: str) -> str:
    """Markdown with a YAML head. ``id``: OWNER/NAME of the repository."""
    formats = list(dict.fromkeys(artifact.format for artifact in manifest.artifacts))
    licence = (manifest.weights and manifest.weights.licence) or "not recorded"
    text = _TEXT.format(
        name=markdown(manifest.name or id),
        paper=PAPER,
        task=markdown(results.task or "an unknown task"),
        formats=_and(formats),
        id=id,
        rows="\n".join(_rows(results)),
        dataset=_set(results),
        speed=_machines(results),
        licence=markdown(licence),
    )
    return f"---\n{_metadata(manifest, results, formats, licence)}\n---\n\n{text}"


def _metadata(manifest: Manifest, results: Results, formats: Sequence[str], licence: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    known = next((code for begin, code in _LICENCES.items() if licence.startswith(begin)), None)
    evaluated = [
        EvalResult(
            task_type="image-to-image",
            task_name=flat(results.task) or None,
            dataset_type=flat(row.dataset),
            dataset_name=flat(row.dataset),
            metric_type=metric,
            metric_name=f"{metric.upper()} ({row.artifact})",
            metric_value=value,
        )
        for row in results.quality
        for metric, field in METRICS.items()
        if (value := getattr(row, field)) is not None
    ]
    data = ModelCardData(
        license=known or "other",
        license_name=None if known else "see-the-model-card",
        tags=["elir", "image-restoration", flat(results.task) or "unknown-task", "quantized", *formats],
        pipeline_tag="image-to-image",
        library_name="elir-compress",
        metrics=list(METRICS) if evaluated else None,
        model_name=flat(manifest.name or "") or "bundle",
        eval_results=evaluated or None,
    )
    return str(data.to_yaml()).strip()


def _rows(results: Results) -> list[str]:
    quality = {row.artifact: row for row in reversed(results.quality)}  # of the first set
    speed = {row.artifact: row for row in reversed(results.performance) if _ms(row) is not None}
    return [
        "| artifact | MB | PSNR | LPIPS | drop, dB | ms | target |",
        "|---|---|---|---|---|---|---|",
        *(_row(entry, quality.get(entry.id), speed.get(entry.id)) for entry in results.artifacts),
    ]


def _row(entry: ArtifactEntry, quality: Quality | None, timed: Performance | None) -> str:
    judged = quality or Quality(artifact=entry.id, dataset="")
    cells = [
        entry.id,
        _number(entry.bytes and entry.bytes / 1e6, 2),
        _number(judged.psnr_db, 2),
        _number(judged.lpips, 4),
        _number(judged.psnr_drop_db, 3),
        _number(_ms(timed) if timed else None, 1),
        markdown(f"{timed.target} ({timed.evidence_words})") if timed else "-",
    ]
    return f"| {' | '.join(cells)} |"


def _ms(timed: Performance) -> float | None:
    return timed.latency_ms.p50 if timed.latency_ms else None


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _set(results: Results) -> str:
    """The set of the table's figures, and how many pictures it has."""
    if not results.quality:
        return "no set"
    first = results.quality[0]
    return markdown(first.dataset) + (f" ({first.n} pictures)" if first.n is not None else "")


def _machines(results: Results) -> str:
    """Where the milliseconds were measured, as a line of its own."""
    timed = [row for row in results.performance if _ms(row) is not None]
    cpus = dict.fromkeys(row.machine.cpu for row in timed if row.machine and row.machine.cpu)
    return f"ms: median time of one picture's inference on {_and([markdown(cpu) for cpu in cpus])}.\n" if cpus else ""


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
