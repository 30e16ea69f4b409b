"""Facts are read from what the system tells, and are absent where it does not."""

from pathlib import Path

import pytest

from compress.measure import machine

CORE = "processor\t: {0}\nmodel name\t: Some CPU\nphysical id\t: 0\ncore id\t: {1}\nflags\t: fpu avx2 avx512_vnni\n\n"


def test_hyper_threads_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("".join(CORE.format(i, i // 2) for i in range(8)))
    monkeypatch.setattr(machine, "CPUINFO", cpuinfo)
    monkeypatch.setattr(machine, "_usable", lambda: set(range(8)))
    facts = machine.machine_facts()
    assert (facts.cores, facts.logical_cores, facts.cpu) == (4, 8, "Some CPU")
    assert facts.features == ["avx2", "avx512_vnni"]


def test_no_more_cores_than_the_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("".join(CORE.format(i, i) for i in range(8)))
    monkeypatch.setattr(machine, "CPUINFO", cpuinfo)
    monkeypatch.setattr(machine, "_usable", lambda: {0, 1, 2})
    assert machine.physical_cores() == 3


@pytest.mark.parametrize(("usable", "cores"), [({0, 1}, 1), ({0, 1, 2, 3}, 2), ({1, 2}, 2), ({5}, 1)])
def test_hyper_threads_count_once_under_a_mask_of_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usable: set[int], cores: int
) -> None:
    """``taskset -c 0,1`` leaves one core of a machine whose neighbours are hyper-threads, not two."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("".join(CORE.format(i, i // 2) for i in range(8)))
    monkeypatch.setattr(machine, "CPUINFO", cpuinfo)
    monkeypatch.setattr(machine, "_usable", lambda: usable)
    assert machine.physical_cores() == cores


def test_what_the_system_does_not_tell_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CPUINFO", "GOVERNOR"):
        monkeypatch.setattr(machine, name, tmp_path / "absent")
    facts = machine.machine_facts()
    assert (facts.governor, facts.features) == (None, [])
    assert 1 <= facts.cores <= facts.logical_cores
