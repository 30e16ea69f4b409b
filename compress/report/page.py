"""``report.html``: one file that opens from disk and loads nothing."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.bundle.manifest import MANIFEST
from compress.bundle.open import open_bundle
from compress.bundle.schema import Facts
from compress.files import write_text
from compress.report import sheets
from compress.report.fallback import fallback
from compress.report.gaps import gaps
from compress.report.headline import headline, missed_goals
from compress.report.pictures import Read, gallery, unlisted
from compress.report.plot import plots
from compress.report.rows import targets
from compress.report.showcase import showcase
from compress.report.text import goal_state, visible
from compress.results.document import Results
from compress.results.file import read_results
from compress.results.machine import Machine

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
LONG_LIST = 4
SCRIPTS = ("common.js", "viewer.js", "report.js")
LEFT_OUT = ("files", "artifacts", "recipe", "schema_version")


def write_report(bundle: Path, facts: Facts | None = None) -> Path:
    """Write ``bundle/report.html``, whole, from results.json, samples/*.png and the manifest; give its path.

    ``facts``: what manifest.json will say, for a bundle whose manifest is still to be written; none: what it says.
    Raises InputError without results.json; VerificationError for a file that is damaged, of another version, differs
    from its hash, or names a picture outside the bundle.
    """
    if facts is None and (bundle / MANIFEST).exists():
        opened = open_bundle(bundle)
        page = _render(opened.read, opened.results(), opened.manifest)
    else:
        page = _render(unlisted(bundle), read_results(bundle), facts or Facts(artifacts=[]))
    path = bundle / "report.html"
    write_text(path, page)
    return path


def environment() -> "Environment":
    """The templates: every value is visible and escaped, but a page's own ``style`` and ``script``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """A text as it may be shown; anything else as it is, since templates reckon with it."""
    return visible(value) if isinstance(value, str) else value


def _render(read: Read, results: Results, facts: Facts) -> str:
    missed = sum(goal_state(goal) != "met" for goal in results.goals)
    machine_facts = {key: value for key, value in facts.to_json().items() if key not in LEFT_OUT}
    first = results.first_shape
    answer, pictures = headline(first), gallery(read, first)
    shown = {sample.name: [picture.label for picture in sample.pictures] for sample in pictures.samples}
    return (
        environment()
        .get_template("report.html")
        .render(
            style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
            script="\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS),
            name=results.name,
            facts=_facts(results, facts),
            goal_count=len(results.goals),
            missed=missed,
            missed_goals=missed_goals(results),
            headline=answer,
            showcase=showcase(first, answer.artifact if answer else None, shown),
            sheets={
                "glance": sheets.glance(first),
                "goals": sheets.goals(results),
                "fallback": fallback(results),
                "artifacts": sheets.artifacts(results),
                "quality": sheets.quality(results),
                "performance": sheets.performance(results),
                "parity": sheets.parity(results),
                "stages": sheets.stages(results),
                "layers": sheets.layers(results),
            },
            plots=plots(first),
            gallery=pictures,
            gaps=gaps(results),
            hashes=[(f"{item.id}: {item.entry}", item.sha256 or "-") for item in results.artifacts],
            versions=list(_flat(machine_facts)) or list(_flat({"versions": results.versions})),
            recipe=json.dumps(facts.recipe.to_json(), indent=2, ensure_ascii=False) if facts.recipe else "",
        )
    )


def _facts(results: Results, facts: Facts) -> list[tuple[str, str]]:
    """The head of the page; what is not known is left out."""
    model = facts.recipe.model if facts.recipe else {}
    settings = {"image_size": "{} px", "k_steps": "K = {}", "sigma_s": "sigma_s = {}", "seed": "seed {}"}
    model = model | {"image_size": _size(model.get("image_size"))}
    known = [text.format(model[key]) for key, text in settings.items() if model.get(key) is not None]
    shown = {
        "Task": results.task,
        "Model": ", ".join([str(model["weights"]), *known]) if model.get("weights") else None,
        "Machine": _machine(results.machine),
        "Targets": ", ".join(targets(results)),
        "Date": _date(results.created or facts.created),
    }
    return [(key, value) for key, value in shown.items() if value]


def _size(image_size: Any) -> Any:
    """[384, 640] as 384x640."""
    return "x".join(map(str, image_size)) if isinstance(image_size, list) else image_size


def _machine(machine: Machine) -> str:
    texts = {"cpu": "{}", "cores": "{} cores", "memory_gb": "{:g} GB", "os": "{}"}
    facts = [(text, getattr(machine, name)) for name, text in texts.items()]
    return ", ".join([*(text.format(value) for text, value in facts if value is not None), *machine.features])


def _date(created: str | None) -> str | None:
    """ISO 8601 to the minute, with its zone."""
    if not created:
        return None
    text = created.replace("T", " ")
    zone = " UTC" if text.endswith(("Z", "+00:00")) else ""
    return text[:16] + zone


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as (dotted path, text); long lists as their number of entries."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and (len(value) > LONG_LIST or any(isinstance(item, dict | list) for item in value)):
        yield path, f"{len(value)} entries"
    else:
        yield path, ", ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)
