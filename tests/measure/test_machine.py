"""Facts are read from what the system tells, and are absent where it does not."""

from pathlib import Path

import pytest

from compress.measure import machine

CORE = "processor\t: {0}\nmodel name\t: Some CPU\nphysical id\t: 0\ncore id\t: {1}\nflags\t: fpu avx2 avx512_vnni\n\n"


def test_hyper_threads_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("".join(CORE.format(i, i // 2) for i in range(8)))
    monkeypatch.setattr(machine, "CPUINFO", cpuinfo)
    monkeypatch.setattr(machine, "_usable", lambda: 8)
    facts = machine.machine_facts()
    assert (facts["cores"], facts["logical_cores"], facts["cpu"]) == (4, 8, "Some CPU")
    assert facts["features"] == ["avx2", "avx512_vnni"]


def test_no_more_cores_than_the_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("".join(CORE.format(i, i) for i in range(8)))
    monkeypatch.setattr(machine, "CPUINFO", cpuinfo)
    monkeypatch.setattr(machine, "_usable", lambda: 3)
    assert machine.physical_cores() == 3


def test_what_the_system_does_not_tell_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CPUINFO", "MEMINFO", "GOVERNOR"):
        monkeypatch.setattr(machine, name, tmp_path / "absent")
    facts = machine.machine_facts()
    assert (facts["memory_gb"], facts["governor"], facts["features"]) == (None, None, [])
    assert facts["cores"] >= 1
