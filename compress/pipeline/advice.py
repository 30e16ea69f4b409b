"""What to try after a goal was missed, by the goal's name in results.json."""

from collections.abc import Iterable

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


def advice(missed: Iterable[str]) -> list[str]:
    """One line per different piece of advice, with the missed goals that it is for."""
    goals: dict[str, list[str]] = {}
    for name in dict.fromkeys(missed):
        goals.setdefault(ADVICE[name], []).append(name)
    return [f"{', '.join(names)} missed: {text}" for text, names in goals.items()]
