"""What `compress doctor` reports, and what it says a lack of it means."""

import io
import tomllib
from pathlib import Path

import pytest

from compress.cli import doctor
from compress.cli.doctor import EXTRAS, RUNTIMES, Fact, Findings, saturation
from compress.cli.output import show
from compress.progress import Progress


def extras() -> set[str]:
    """Extras of pyproject.toml that a user would install."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"]) - {"dev"}


def test_every_extra_is_listed() -> None:
    assert {extra for _, extra in EXTRAS.values()} == extras()


@pytest.mark.parametrize(
    ("flags", "machine", "ok", "meaning"),
    [
        ({"avx2", "avx512_vnni"}, "x86_64", True, "int8 products are added in 32 bits"),
        ({"avx2"}, "x86_64", None, "weights that this program writes are chosen so that no pair saturates"),
        ({"sse2"}, "AMD64", False, "no AVX2: int8 runs slowly"),
        (set(), "x86_64", None, "not known here"),
        ({"asimddp"}, "aarch64", None, "without saturation"),
    ],
)
def test_what_the_cpu_means_for_int8(flags: set[str], machine: str, ok: bool | None, meaning: str) -> None:
    given, text = saturation(flags, machine)
    assert given is ok and meaning in text


def test_no_advice_against_the_default() -> None:
    """Recipes write 8-bit weights whose pairs do not saturate; nobody has to change them for an older CPU."""
    assert "7-bit" not in saturation({"avx2"}, "x86_64")[1]


def test_it_says_what_it_is_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "RUNTIMES", {"numpy": "numpy"})
    monkeypatch.setattr(doctor, "EXTRAS", {"nowhere-at-all": ("nowhere", "ray")})
    said = io.StringIO()
    facts = {fact.name: fact for fact in Findings.of_this_machine(Progress("lines", said)).facts}
    assert said.getvalue().startswith("try the runtimes, each in its own process ...\n")
    assert facts["numpy"].ok and facts["nowhere-at-all"].ok is None
    assert facts["nowhere-at-all"].meaning == (
        "optional: pip install 'elir-compress[ray]' (in a checkout: pip install '.[ray]')"
    )


def test_brackets_in_a_table_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show(Findings([Fact("ray", "not installed", None, "'.[ray]' :x: [bold]")]), as_json=False)
    assert "'.[ray]' :x: [bold]" in capsys.readouterr().out


def test_every_runtime_that_is_needed_is_a_dependency() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(RUNTIMES) <= {text.split(">")[0] for text in project["dependencies"]}
