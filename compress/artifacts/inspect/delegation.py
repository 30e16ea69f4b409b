"""How much of an ExecuTorch program its backend runs, read from the .pte file."""

from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from compress.artifacts.backends import backend_in
from compress.errors import VerificationError
from compress.quiet import quiet
from compress.results.performance import Operator

TRANSPOSED = 6  # place among the arguments of aten::convolution


@dataclass(frozen=True)
class Coverage:
    """What of a program is delegated. ``delegates``: calls of the backend; ``outside``: most first."""

    delegates: int
    outside: list[Operator]

    def share(self, macs: int | None) -> float | None:
        """Share of the program's multiply-accumulates that the backend runs, from 0 to 1; None where their number is
        not known."""
        lost = sum(item.macs for item in self.outside)
        if not lost:
            return 1.0
        return round(max(0.0, 1 - lost / macs), 6) if macs else None


def coverage(*programs: Path) -> Coverage:
    """What the backend runs of the programs' ``forward``. Raises VerificationError when one cannot be read."""
    with quiet():
        from executorch.exir._serialize._program import deserialize_pte_binary
    calls, macs, delegates = Counter[str](), Counter[str](), 0
    outside: list[Operator] = []
    for path in programs:
        try:
            content = path.read_bytes()
            backend = backend_in(content)
            plan = deserialize_pte_binary(content).program.execution_plan[0]
            delegates += _count(plan, calls, macs)
            reasons = {name: backend.why.get(name, backend.otherwise) for name in calls}
            outside = [Operator(operator=n, count=calls[n], macs=macs[n], why=reasons[n]) for n in calls]
        except (OSError, MemoryError):
            raise
        except Exception as error:  # of flatc, which reads the file, and of every class that is made of what it says
            why = " ".join(str(error).split())[:200]
            raise VerificationError(f"{path}: not a readable ExecuTorch program ({why}): export it again") from None
    return Coverage(delegates, sorted(outside, key=lambda item: (-item.macs, -item.count)))


def _count(plan: Any, calls: Counter[str], macs: Counter[str]) -> int:
    """Add the plan's calls of operators to ``calls`` and ``macs``; its calls of delegates."""
    delegates = 0
    for instruction in (i.instr_args for chain in plan.chains for i in chain.instructions):
        if hasattr(instruction, "delegate_index"):
            delegates += 1
        elif hasattr(instruction, "op_index"):
            name = plan.operators[instruction.op_index].name.split("::")[-1]
            calls[name] += 1
            macs[name] += _macs(name, [plan.values[k].val for k in instruction.args])
    return delegates


def _macs(name: str, arguments: list[Any]) -> int:
    """Multiply-accumulates of a convolution or matrix product; 0 of anything else, as torch counts."""
    shapes = [tuple(value.sizes) for value in arguments if hasattr(value, "sizes")]
    if "conv" in name:
        transposed = name.endswith("convolution") and len(arguments) > TRANSPOSED
        transposed = transposed and bool(getattr(arguments[TRANSPOSED], "bool_val", False))
        return prod(shapes[0] if transposed else shapes[-1]) * prod(shapes[1][1:])
    if name in ("mm", "bmm", "linear"):
        return prod(shapes[-1]) * shapes[0][-1]
    return prod(shapes[-1]) * shapes[1][-1] if name == "addmm" else 0
