"""What to try after a goal was missed, by the goal's name in results.json."""

from collections.abc import Iterable

from compress.recipe.schema import Recipe

QUALITY = (
    "see which layers lose most (`compress sensitivity RECIPE`) and give those more bits (ptq.layer_bits), or add "
    "the pass qat, as the recipe qat_int8_sr does"
)
SPEED = (
    "measure again when the machine is idle (`compress bench BUNDLE`); CPUs without VNNI gain less from int8, so give "
    "goals.speedup a bound per CPU feature, as int8_sr does; for more speed, take a student, as the recipe fast_sr does"
)
ADVICE = {
    **dict.fromkeys(("psnr_drop_db", "ssim_drop", "lpips_rise", "fidelity_db", "color_shift", "histogram"), QUALITY),
    "size_ratio": "give weights fewer bits, as the recipes small_sr and mixed_sr do",
    **dict.fromkeys(("speedup_vs_fp32", "speedup_vs_best_float"), SPEED),
    "instructions_ratio": "compare the artifacts' instructions by class in results.json (performance, instructions)",
    "estimated_speedup": "see which engine the compiler's estimate keeps busy in results.json (performance, estimate)",
    "breaches": "read in results.json (performance, lint and why) what the target's compiler or parser refuses",
    "delegated": "read in results.json (performance, delegated.outside) which operators run outside the backend",
}

OF_TARGETS = ("speedup", "instructions_ratio", "estimated_speedup", "breaches")
"""Goals that only a target's figures can meet."""


def goals_without_target(recipe: Recipe) -> str:
    """One line on the goals that nothing will measure, since the recipe names no target; "" where there are none."""
    names = [f"goals.{name}" for name in OF_TARGETS if getattr(recipe.goals, name) is not None]
    if recipe.targets or not names:
        return ""
    return (
        f"{', '.join(names)}: the recipe has no target that measures it, so the run would end with exit code 3: name "
        "one (targets, --target), or set it to null"
    )


def advice(missed: Iterable[str], unmeasured: Iterable[str] = ()) -> list[str]:
    """One line per different piece of advice, with the missed goals that it is for; the last is for ``unmeasured``."""
    goals: dict[str, list[str]] = {}
    for name in dict.fromkeys(missed):
        if name in ADVICE:  # a bundle's results may name any goal
            goals.setdefault(ADVICE[name], []).append(name)
    lines = [f"{', '.join(names)} missed: {text}" for text, names in goals.items()]
    if names := list(dict.fromkeys(unmeasured)):
        lines.append(
            f"{', '.join(names)} not measured: name a target that does (targets, --target), or leave the goal out"
        )
    return lines
