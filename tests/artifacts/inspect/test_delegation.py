"""What of an ExecuTorch program its backend runs."""

from contextlib import suppress
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
import torch

from compress.artifacts.inspect.delegation import Coverage, _macs, coverage
from compress.errors import VerificationError
from compress.results.performance import Operator


class Mixed(torch.nn.Module):
    """Two convolutions with a group normalisation between, and an enlargement."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 3, 1)
        self.norm, self.up = torch.nn.GroupNorm(2, 8), torch.nn.Upsample(scale_factor=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.up(self.norm(self.first(x))))


def lower(path: Path, delegate: bool) -> Path:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(Mixed().eval(), (torch.rand(1, 3, 16, 16),))
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()] if delegate else [])
    path.write_bytes(lowered.to_executorch().buffer)
    return path


def test_what_xnnpack_does_not_take_is_named_with_its_reason(tmp_path: Path) -> None:
    result = coverage(lower(tmp_path / "m.pte", True))
    outside = {item.operator: (item.count, item.macs, item.why) for item in result.outside}
    assert outside["native_group_norm"] == (1, 0, "XNNPACK has no group normalisation")
    assert outside["upsample_nearest2d"] == (1, 0, "XNNPACK resizes bilinearly only")
    assert result.delegates == 2 and result.share(None) == 1.0


def test_convolutions_left_outside_are_counted_as_torch_counts(tmp_path: Path) -> None:
    result = coverage(lower(tmp_path / "m.pte", False))
    macs = 16 * 16 * 8 * 27 + 32 * 32 * 3 * 8
    assert result.delegates == 0
    assert [(item.operator, item.count, item.macs) for item in result.outside[:1]] == [("convolution", 2, macs)]
    assert result.share(macs) == 0.0 and result.share(4 * macs) == 0.75 and result.share(None) is None


def test_products_and_transposed_convolutions() -> None:
    def tensor(*sizes: int) -> SimpleNamespace:
        return SimpleNamespace(sizes=sizes)

    other = SimpleNamespace()
    flag = SimpleNamespace(bool_val=True)
    arguments = [tensor(1, 8, 4, 4), tensor(8, 3, 2, 2), other, other, other, other, flag, other, other]
    assert _macs("convolution", [*arguments, tensor(1, 3, 8, 8)]) == 8 * 16 * 3 * 4
    assert _macs("mm", [tensor(4, 5), tensor(5, 6), tensor(4, 6)]) == 4 * 5 * 6
    assert _macs("addmm", [tensor(6), tensor(4, 5), tensor(5, 6), other, other, tensor(4, 6)]) == 4 * 5 * 6
    assert _macs("relu", [tensor(4), tensor(4)]) == 0


def test_the_share_of_all() -> None:
    covered = Coverage(1, [Operator(operator="mm", count=1, macs=25, why="")])
    assert covered.share(100) == 0.75
    # As a stranger's results.json may say.
    assert covered.share(0) is None and covered.share(1) == 0.0


def test_a_damaged_program(tmp_path: Path) -> None:
    (tmp_path / "m.pte").write_bytes(b"not a program" * 10)
    with pytest.raises(VerificationError, match=r"m.pte: not a readable ExecuTorch program \(.*\): export it again"):
        coverage(tmp_path / "m.pte")


def test_a_program_with_any_bytes_changed_is_read_or_refused(tmp_path: Path) -> None:
    """What it says may lead anywhere: places of operators, of values, of shapes."""
    whole, random = lower(tmp_path / "m.pte", False).read_bytes(), Random(0)
    for _ in range(25):
        spoilt = bytearray(whole)
        for _ in range(random.choice([1, 8, 200])):
            spoilt[random.randrange(len(whole))] = random.choice([0, 1, 127, 255])
        (tmp_path / "m.pte").write_bytes(spoilt)
        with suppress(VerificationError):
            coverage(tmp_path / "m.pte")
    for side in (2**31 - 1, -1):
        (tmp_path / "m.pte").write_bytes(with_sides(whole, side))
        with pytest.raises(VerificationError, match=r"m.pte: not a readable ExecuTorch program \(.*macs"):
            coverage(tmp_path / "m.pte")


def with_sides(program: bytes, side: int) -> bytes:
    """The program, every side of whose tensors is said to be ``side``."""
    from executorch.exir._serialize._program import deserialize_pte_binary, serialize_pte_binary

    file = deserialize_pte_binary(program)
    for value in file.program.execution_plan[0].values:
        if hasattr(value.val, "sizes"):
            value.val.sizes = [side] * len(value.val.sizes)
    return bytes(serialize_pte_binary(file))
