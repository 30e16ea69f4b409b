"""``report.html``: one file that opens from disk and loads nothing."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import InputError, VerificationError
from compress.files import write_text
from compress.report import sheets
from compress.report.fallback import fallback
from compress.report.gaps import gaps
from compress.report.pictures import gallery
from compress.report.plot import plots
from compress.report.rows import Results, listed, targets
from compress.report.text import get, goal_state
from compress.results.file import read_results

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
LONG_LIST = 4
SCRIPTS = ("common.js", "viewer.js", "report.js")
LEFT_OUT = ("files", "artifacts", "recipe", "schema_version")


def write_report(bundle: Path, manifest: Mapping[str, Any] | None = None) -> Path:
    """Write ``bundle/report.html``, whole, from results.json, samples/*.png and the manifest; give its path.

    ``manifest``: what manifest.json will say, for a bundle whose manifest is still to be written; none: the file's
    text where there is one.
    Raises InputError without results.json; VerificationError for a file that is damaged, of another version, or
    names a picture outside the bundle.
    """
    results = read_results(bundle).to_json()
    if manifest is None:
        manifest = _read(bundle / "manifest.json") if (bundle / "manifest.json").exists() else {}
    path = bundle / "report.html"
    write_text(path, _render(bundle, results, manifest))
    return path


def _read(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not there, a bundle must hold it: run compress apply first") from None
    except (OSError, ValueError) as error:
        raise VerificationError(f"{path}: must be whole JSON ({error}): run apply again") from None
    if not isinstance(data, dict):
        raise VerificationError(f"{path}: must be a JSON object, got {type(data).__name__}: run apply again")
    return data


def environment() -> "Environment":
    """The templates: every value is escaped, but a page's own ``style`` and ``script``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(bundle: Path, results: Results, manifest: Mapping[str, Any]) -> str:
    missed = sum(goal_state(goal) != "met" for goal in listed(results, "goals"))
    return (
        environment()
        .get_template("report.html")
        .render(
            style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
            script="\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS),
            name=str(results.get("name")),
            facts=_facts(results, manifest),
            goal_count=len(listed(results, "goals")),
            missed=missed,
            sheets={
                "goals": sheets.goals(results),
                "fallback": fallback(results),
                "artifacts": sheets.artifacts(results),
                "quality": sheets.quality(results),
                "performance": sheets.performance(results),
                "parity": sheets.parity(results),
                "stages": sheets.stages(results),
                "layers": sheets.layers(results),
            },
            plots=plots(results),
            gallery=gallery(bundle, results),
            gaps=gaps(results),
            hashes=[
                (f"{item.get('id')}: {item.get('entry')}", str(item.get("sha256") or "-")) for item in _files(results)
            ],
            versions=list(_flat({key: value for key, value in manifest.items() if key not in LEFT_OUT}))
            or list(_flat({"versions": results.get("versions") or {}})),
            recipe=_recipe(manifest),
        )
    )


def _files(results: Results) -> list[Mapping[str, Any]]:
    return listed(results, "artifacts")


def _facts(results: Results, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The head of the page; what is not known is left out."""
    model = get(manifest, "recipe", "model") or manifest.get("model") or {}
    machine = results.get("machine") or {}
    settings = {"image_size": "{} px", "k_steps": "K = {}", "sigma_s": "sigma_s = {}", "seed": "seed {}"}
    known = [text.format(get(model, key)) for key, text in settings.items() if get(model, key) is not None]
    facts = {
        "Task": results.get("task"),
        "Model": ", ".join([str(get(model, "weights")), *known]) if get(model, "weights") else None,
        "Machine": _machine(machine),
        "Targets": ", ".join(targets(results)),
        "Date": _date(results.get("created") or manifest.get("created")),
    }
    return [(key, str(value)) for key, value in facts.items() if value]


def _machine(machine: Mapping[str, Any]) -> str:
    features = get(machine, "features")
    told = ", ".join(map(str, features)) if isinstance(features, list) else features
    texts = {"cpu": "{}", "cores": "{} cores", "memory_gb": "{} GB", "os": "{}"}
    parts = [text.format(get(machine, key)) for key, text in texts.items() if get(machine, key) is not None]
    return ", ".join([*parts, str(told)] if told else parts)


def _date(created: Any) -> str | None:
    """ISO 8601 to the minute, with its zone."""
    if not created:
        return None
    text = str(created).replace("T", " ")
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


def _recipe(manifest: Mapping[str, Any]) -> str:
    recipe = manifest.get("recipe")
    return json.dumps(recipe, indent=2, ensure_ascii=False) if isinstance(recipe, Mapping) else ""
