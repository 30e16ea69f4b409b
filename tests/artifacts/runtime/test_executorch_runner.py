"""ExecuTorch: threads in force, kernels for quantized operators at hand, one input order."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compress.artifacts.runtime.open import open_runner
from compress.errors import InputError

only = pytest.mark.parametrize("format", ["executorch"], indirect=True)


@only
def test_threads_reach_the_runtime(artifact: Path, example) -> None:
    from executorch.extension.pybindings import portable_lib

    for threads in (1, 2):
        runner = open_runner(artifact, "executorch", threads)
        assert portable_lib._threadpool_get_thread_count() == threads
        assert np.abs(runner.run(example.lq, example.noise) - example.hq).max() < 1e-5


WITHOUT_COMPILER = """
import importlib.util, sys
from pathlib import Path
from compress.artifacts.runtime.open import open_runner
runner = open_runner(Path(sys.argv[1]), "executorch", 1)
heavy = ("executorch.exir", "torch._dynamo", "torch._inductor", "torchao", "sympy")
compiler = importlib.util.find_spec("executorch.exir")
print([name for name in sys.modules if name.startswith(heavy)], Path(compiler.origin).name)
"""


@only
def test_a_process_that_runs_a_program_does_not_import_the_compiler(artifact: Path) -> None:
    """It would cost more time and memory than the artifact; and afterwards the compiler can still be imported."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_COMPILER, str(artifact)], capture_output=True, text=True)
    assert done.stdout == "[] __init__.py\n", done.stderr


@only
def test_options_are_refused(artifact: Path) -> None:
    with pytest.raises(InputError, match=r"option threads: ExecuTorch takes none: remove it"):
        open_runner(artifact, "executorch", 1, {"threads": 2})


def test_quantized_operators_outside_xnnpack_run(tmp_path: Path, example) -> None:
    """Quantize and dequantize around an operator that XNNPACK does not take."""
    import torch.ao.quantization.fx._decomposed
    from executorch.exir import EdgeCompileConfig, to_edge

    class Rounded(torch.nn.Module):
        def forward(self, lq: torch.Tensor) -> torch.Tensor:
            ops, scale = torch.ops.quantized_decomposed, 1 / 255
            q = ops.quantize_per_tensor.default(lq, scale, -128, -128, 127, torch.int8)
            return ops.dequantize_per_tensor.default(q, scale, -128, -128, 127, torch.int8)

    exported = torch.export.export(Rounded(), (torch.from_numpy(example.lq),))
    path = tmp_path / "model.pte"
    path.write_bytes(
        to_edge(exported, compile_config=EdgeCompileConfig(_check_ir_validity=False)).to_executorch().buffer
    )
    hq = open_runner(path, "executorch", 1).run(example.lq, None)
    assert 0 < np.abs(hq - example.lq).max() <= 0.5 / 255 + 1e-6
