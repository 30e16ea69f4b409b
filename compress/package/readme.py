"""README.md of a package: how it is run, and what the bundle measured of its artifact."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from compress.bundle.open import Bundle
from compress.package.facts import PackageFacts
from compress.results.document import Results
from compress.results.performance import Performance
from compress.results.quality import Quality
from compress.text import markdown

README = "README.md"
TEMPLATES = Path(__file__).parent / "templates"
# Name and licence of each runtime, by its package.
RUNTIMES = {
    "openvino": ("OpenVINO", "Apache License 2.0"),
    "onnxruntime": ("ONNX Runtime", "MIT License"),
    "executorch": ("ExecuTorch", "BSD 3-Clause License"),
}


def readme(bundle: Bundle, facts: PackageFacts) -> str:
    """Markdown. ``facts``: what compress.json says. Raises VerificationError for damaged results."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["markdown"] = lambda text: markdown(str(text))
    results, (title, licence) = bundle.results(), RUNTIMES[facts.runtime]
    speed = _speed(results, facts)
    text = environment.get_template(README).render(
        **asdict(facts),
        title=title,
        runtime_licence=licence,
        quality=[_quality(row) for row in results.quality if row.artifact == facts.artifact],
        speed=[_cells(row) for row in speed],
        timed=any(row.target == facts.target and row.latency_ms for row in speed),
        missed=list(_missed(results, facts.artifact)),
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def _speed(results: Results, facts: PackageFacts) -> list[Performance]:
    """What targets gave of the artifact, this one's first."""
    rows = [r for r in results.performance if r.artifact == facts.artifact and r.evidence != "unavailable"]
    return sorted(rows, key=lambda row: row.target != facts.target)


def _quality(row: Quality) -> list[str]:
    return [
        markdown(row.dataset),
        _number(row.n, 0),
        _number(row.psnr_db, 2),
        _number(row.ssim, 4),
        _number(row.lpips, 4),
        _number(row.psnr_drop_db, 3),
        _number(row.fidelity_db, 1),
    ]


def _cells(row: Performance) -> list[str]:
    against = row.speedup_vs.fp32 if row.speedup_vs else None
    device = row.machine and (row.machine.model or row.machine.cpu)
    return [
        markdown(row.target or "-"),
        markdown(row.evidence_words),
        _number(row.latency_ms.p50 if row.latency_ms else None, 2),
        _number(row.threads, 0),
        _number(against.value if against else None, 2),
        _number(row.load_ms, 0),
        _number(row.peak_rss_mb, 0),
        markdown(device or "-"),
    ]


def _missed(results: Results, artifact: str) -> Iterator[str]:
    for goal in results.goals:
        if goal.artifact == artifact and not goal.met:
            where = f" on {goal.dataset}" if goal.dataset else ""
            yield markdown(f"{goal.goal}{where}: {goal.value if goal.value is not None else goal.reason}")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
