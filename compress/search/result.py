"""What a search found: the combinations that no other beats, as a table, JSON, a plot, and a recipe each."""

from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import GoalMissed
from compress.files import read_plain, real_path, write_text
from compress.measure.decibels import decibels
from compress.recipe.library import MAX_BYTES
from compress.recipe.passes import FLOAT
from compress.recipe.paths import move_paths, relative_to
from compress.recipe.schema import Recipe
from compress.recipe.search_and_fallback import Constraints
from compress.search.choose import Problem, Trial
from compress.search.costs import FLOAT_MODEL, OWN, Costs
from compress.search.groups import Group, prefixes
from compress.surroundings import expanded

if TYPE_CHECKING:
    from rich.console import Group as Lines

WRITTEN_BY = "# Written by `compress search"


@dataclass(frozen=True)
class SearchResult:
    """``tried``: the recipe's own bits first. ``pareto``: the unbeaten of those that keep the constraints, or of all
    where none does. ``costs``: measured, of the fp32 file and of the recipe's own. ``layers``: all that ptq quantizes.

    ``recipes``: files, one a point of ``pareto``, when they are written.
    """

    recipe: str
    format: str
    target: str | None
    dataset: str
    pictures: int
    constraints: Constraints
    costs: Costs
    groups: list[Group]
    problem: Problem
    tried: list[Trial]
    pareto: list[Trial]
    layers: tuple[str, ...]
    usual: int
    recipes: tuple[Path, ...] = ()

    @property
    def exit_code(self) -> int:
        """3: no combination that was measured keeps the constraints."""
        return 0 if any(t.met for t in self.pareto) else GoalMissed.exit_code

    def to_json(self) -> dict[str, Any]:
        """One JSON document: what is measured, and what is predicted, is in the fields' names."""
        files = dict(zip(map(id, self.pareto), map(str, self.recipes), strict=False))
        trials = [{**self._point(t), "pareto": t in self.pareto, "recipe": files.get(id(t))} for t in self.tried]
        return {
            "recipe": self.recipe,
            "format": self.format,
            "target": self.target,
            "dataset": self.dataset,
            "pictures": self.pictures,
            "constraints": self.constraints.model_dump(exclude_none=True),
            "constraints_met": self.exit_code == 0,
            "bytes_measured": self.costs.bytes,
            "latency_ms_measured": self.costs.ms,
            "layers": [self._alone(group) for group in self.groups],
            "trials": trials,
        }

    def _alone(self, group: Group) -> dict[str, Any]:
        options = {o.bits: o for o in self.problem.options[group.name] if o.bits < FLOAT}
        fidelity = {str(bits): round(decibels(o.error), 2) for bits, o in options.items()}
        return {**asdict(group), "network": group.network, "fidelity_db_alone": fidelity}

    def _point(self, tried: Trial) -> dict[str, Any]:
        error, size, ms = self.problem.cost(tried.bits)
        return {
            "layer_bits": prefixes(self.by_layer(tried), self.usual),
            "weights": self._shares(tried),
            "bytes_predicted": round(size),
            "size_ratio_predicted": round(self.ratio(tried), 4),
            "latency_ms_predicted": None if ms is None else round(ms, 3),
            "fidelity_db_predicted": round(decibels(error), 2),
            "quality_simulated": asdict(tried.quality),
            "met": tried.met,
        }

    def ratio(self, tried: Trial) -> float:
        """Predicted bytes, of the fp32 file's."""
        return float(tried.bytes / self.costs.bytes[FLOAT_MODEL])

    def by_layer(self, tried: Trial) -> dict[str, int]:
        """Bits of every layer, the recipe's own where this format leaves no choice."""
        chosen = {layer: tried.bits[group.name] for group in self.groups for layer in group.layers}
        return dict.fromkeys(self.layers, self.usual) | chosen

    def _shares(self, tried: Trial) -> dict[str, float]:
        """Share of the weights with each number of bits, in percent."""
        counts: Counter[int] = Counter()
        for group in self.groups:
            counts[tried.bits[group.name]] += group.parameters
        return {str(bits): round(100 * n / counts.total(), 1) for bits, n in sorted(counts.items())}

    def write_plot(self, path: Path) -> None:
        """An SVG picture: size and fidelity of everything tried."""
        from compress.report.scatter import Dot, draw_scatter

        dots = []
        for i, t in enumerate(self.tried):
            text = f"{100 * self.ratio(t):.1f} %, {t.fidelity_db:.2f} dB" + (f", {t.ms:.1f} ms" if t.ms else "")
            kind = "own" if i == 0 else "best" if t in self.pareto else "other"
            dots.append(Dot(100 * self.ratio(t), t.fidelity_db, kind, text))
        title = f"{self.recipe}, {self.format}: simulated fidelity and predicted size of {len(dots)} combinations"
        axes = "size predicted, % of fp32", "fidelity simulated, dB"
        names = {"own": "the recipe's own bits", "best": "nothing beats it", "other": "beaten"}
        write_text(path, draw_scatter(title, axes, dots, names))

    def table(self) -> "Lines":
        """A table for a terminal: the combinations that nothing beats, the smallest first, after the recipe's own."""
        from rich.console import Group as Lines
        from rich.table import Table
        from rich.text import Text

        title = f"{self.recipe}: {self.format}, {len(self.tried)} combinations measured, {len(self.pareto)} unbeaten"
        caption = (
            f"drop, rise, fidelity: simulated in torch, {self.dataset}, n = {self.pictures}; size and ms: predicted"
        )
        table = Table(title=title, title_justify="left", caption=caption)
        names = ("", "% of fp32", "ms", "drop dB", "LPIPS rise", "fidelity dB", "% of weights by bits", "constraints")
        for name in names:
            table.add_column(name, justify="left" if name in ("", names[-2], names[-1]) else "right", no_wrap=True)
        table.add_row("own", *self._row(self.tried[0]))
        table.add_section()
        for number, tried in enumerate(self.pareto, 1):
            table.add_row(str(number), *self._row(tried))
        return Lines(table, Text("\n".join(self._lines())))

    def _row(self, tried: Trial) -> list[str]:
        quality = tried.quality
        shares = ", ".join(f"{bits}: {share:g}" for bits, share in self._shares(tried).items())
        state = ("met" if tried.met else "MISSED") if self.constraints.model_dump(exclude_none=True) else "-"
        return [
            f"{100 * self.ratio(tried):.1f}",
            "-" if tried.ms is None else f"{tried.ms:.1f}",
            f"{quality.psnr_drop_db:+.3f}",
            f"{quality.lpips_rise:+.4f}",
            f"{quality.fidelity_db:.2f}",
            shares,
            state,
        ]

    def _lines(self) -> list[str]:
        sizes, ms = self.costs.bytes, self.costs.ms
        measured = f"measured: fp32 {sizes[FLOAT_MODEL] / 1e6:.1f} MB, own {sizes[OWN] / 1e6:.1f} MB"
        if ms is not None:
            measured += f"; on {self.target} fp32 {ms[FLOAT_MODEL]:.1f} ms, own {ms[OWN]:.1f} ms"
        lines = [measured]
        for number, (tried, path) in enumerate(zip(self.pareto, self.recipes, strict=False), 1):
            if tried.met:
                lines.append(f"{number}: compress apply {path}")
        return lines


def write_recipes(result: SearchResult, recipe: Recipe, source: str, folder: Path) -> SearchResult:
    """A recipe that extends ``source`` for each unbeaten combination, ``<name>_<number>.yaml``; those of an earlier
    search go."""
    for old in folder.glob(f"{recipe.name}_*.yaml"):
        with suppress(OSError, ValueError):  # a folder, a pipe, a large file: none of ours
            if read_plain(old, MAX_BYTES).startswith(WRITTEN_BY.encode()):
                old.unlink()
    paths = []
    for number, tried in enumerate(result.pareto, 1):
        path = folder / f"{recipe.name}_{number}.yaml"
        write_text(path, _yaml(result, tried, recipe, source, folder, number))
        paths.append(path)
    return replace(result, recipes=tuple(paths))


def _yaml(result: SearchResult, tried: Trial, recipe: Recipe, source: str, folder: Path, number: int) -> str:
    import yaml

    from compress.recipe.library import is_path
    from compress.recipe.load import load_recipe

    bits = prefixes(result.by_layer(tried), result.usual)
    # What --set changed is in ``recipe`` alone.
    recipes = recipe, load_recipe(source), recipe.with_ptq(layer_bits=bits)
    own, base, best = (r.model_dump(mode="json") for r in recipes)
    changed = {key: value for key, value in own.items() if value != base[key] and key != "search"}
    where = str(real_path(expanded(source))) if is_path(source) else source
    shares = ", ".join(f"{share:g} % in {bits} bits" for bits, share in result._shares(tried).items())
    description = f"{recipe.name} with weights {shares}, chosen by compress search"
    head = {"extends": where, "name": f"{recipe.name}_{number}", "description": description}
    ratio = 100 * result.ratio(tried)
    about = [
        f"{WRITTEN_BY} {source}`, format {result.format}: predicted {ratio:.1f} % of the fp32 file;",
        f"# simulated on {result.pictures} pictures of {result.dataset}: fidelity {tried.fidelity_db:.2f} dB, "
        f"drop {tried.quality.psnr_drop_db:+.3f} dB, LPIPS {tried.quality.lpips_rise:+.4f}.",
    ]
    data = {**changed, **head, "passes": best["passes"]}
    move_paths(data, partial(relative_to, folder))
    body = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    return "\n".join([*about, body])
