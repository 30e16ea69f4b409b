"""A bundle whose artifact does not run here: what every command makes of it, after one lowering."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import compress
from compress.bundle.open import open_bundle
from compress.bundle.picture import read_picture
from compress.bundle.schema import Port
from compress.bundle.verify import verify
from compress.errors import Unavailable
from compress.package.write import package
from compress.pipeline.bench import bench, samples_to_run
from compress.pipeline.result import ApplyResult
from compress.progress import Progress
from compress.recipe.schema import Recipe
from compress.restore.open import Settings, open_restorer
from compress.results.document import Results

ID, FP32 = "executorch-int8-vulkan", "executorch-fp32-vulkan"


@pytest.fixture(scope="module")
def made(tiny_recipe: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory) -> ApplyResult:
    recipe = tiny_recipe(
        export={"executorch": {"backend": "vulkan", "precisions": ["fp32", "int8"]}},
        targets=["android-vulkan"],
        goals={"fidelity_db": 20},
    )
    return compress.apply(recipe, tmp_path_factory.mktemp("vulkan") / "tiny")


@pytest.fixture()
def results(made: ApplyResult) -> Results:
    return made.document


def test_it_is_compiled_and_nothing_is_said_of_its_pictures_and_its_speed(results: Results) -> None:
    (_, artifact), (_, row) = results.artifacts, results.performance
    assert (artifact.id, artifact.backend, artifact.entry) == (ID, "vulkan", "int8/executorch/model_vulkan.pte")
    assert artifact.not_run and "not its runtime" in artifact.not_run
    assert (row.target, row.evidence, row.why, row.latency_ms) == ("android-vulkan", "compiled", artifact.not_run, None)
    assert row.delegated and (row.delegated.share, row.delegated.met, row.delegated.delegates) == (1.0, True, 1)
    assert results.quality == [] and all(sample.outputs == {} for sample in results.samples)
    (parity,) = results.parity
    assert parity.psnr_db is None and parity.met is None and (parity.fidelity_simulated_db or 0) > 20
    simulated = results.samples[0].simulated
    assert simulated.keys() == {FP32, ID}, "what a device's picture of each is compared with"


def test_a_goal_for_what_was_not_measured_counts_as_missed(made: ApplyResult, results: Results) -> None:
    (goal,) = [goal for goal in results.goals if goal.goal == "fidelity_db"]
    assert (
        (goal.value, goal.met) == (None, False) and goal.reason and goal.reason.startswith("not measured: ExecuTorch")
    )
    assert made.exit_code == 3 and "not measured: ExecuTorch" in (made.folder / "report.html").read_text()


def test_it_is_verified_by_its_hashes_and_measured_by_nobody(made: ApplyResult) -> None:
    verified = verify(made.folder, Progress("silent"))
    assert verified.parity == [] and verified.to_json()["not_run"].keys() == {FP32, ID}
    again: list[Any] = []
    measured = bench(made.folder, "android-vulkan", Progress("silent"), record=lambda *row: again.append(row))
    assert (measured.exit_code, [row.evidence for row in measured.performance]) == (0, ["compiled", "compiled"])


def test_a_target_that_runs_them_is_given_the_samples(made: ApplyResult) -> None:
    bundle = open_bundle(made.folder)
    taken = samples_to_run(bundle, bundle.artifact(ID), partial(read_picture, bundle))
    assert taken == bundle.samples()
    larger = bundle.artifact(ID).model_copy(update={"inputs": [Port(name="lq", shape=[1, 3, 96, 96])]})
    assert samples_to_run(bundle, larger, partial(read_picture, bundle)) == []


@pytest.mark.parametrize("source", ["", "int8/executorch/model_vulkan.pte"])
def test_it_restores_nothing_here(source: str, made: ApplyResult) -> None:
    with pytest.raises(Unavailable, match="not run here: ExecuTorch's Python wheel has Vulkan's compiler") as told:
        open_restorer(str(made.folder / source), Settings())
    assert told.value.exit_code == 4 and "\n" not in str(told.value)


def test_no_package_is_made_of_it(made: ApplyResult, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"take fp32/executorch/model_vulkan\.pte itself"):
        package(made.folder, "android-vulkan", tmp_path / "package")
    assert not (tmp_path / "package").exists()
    assert ID in (made.folder / "README.md").read_text() and "```python" not in (made.folder / "README.md").read_text()
