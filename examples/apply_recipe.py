"""Compress a model from Python, and read what came of it.

python examples/apply_recipe.py int8_sr runs/from_python
"""

import json
import sys
from pathlib import Path

from compress import apply


def main(recipe: str, out: str) -> int:
    result = apply(recipe, Path(out))
    results = json.loads((Path(out) / "results.json").read_text(encoding="utf-8"))
    drops = {entry["artifact"]: entry["psnr_drop_db"] for entry in results["quality"]}
    for artifact in results["artifacts"]:
        drop = drops.get(artifact["id"])
        lost = "-" if drop is None else f"{drop:+.3f} dB"
        print(f"{artifact['id']:24} {artifact['bytes'] / 1e6:6.2f} MB  {lost:>10}  {Path(out) / artifact['entry']}")
    return result.exit_code  # 3 if a goal was missed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
