"""The optional measures: what is said where pyiqa, a package or a file is not here."""

import subprocess
import sys

import pytest

from compress.measure import iqa


def test_without_pyiqa_one_line_says_what_to_install() -> None:
    """In a process whose pyiqa cannot be found, installed or not."""
    code = (
        "import sys, importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'pyiqa' else found(name, *rest)\n"
        "from compress.cli.commands import main\n"
        "sys.argv = ['compress', 'evaluate', 'elir_sr_x4', '--data', 'photos_validation', '--metric', 'fid']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.splitlines() == [
        "metric fid: pyiqa is not installed: pip install 'elir-compress[iqa]' (in a checkout: pip install '.[iqa]')"
    ]


@pytest.mark.parametrize(
    ("name", "of_sets"), [("fid", True), ("sfid", True), ("inception_score", True), ("musiq", False)]
)
def test_measures_of_sets_are_told_apart(name: str, of_sets: bool) -> None:
    measure = iqa.IqaMeasure(name, metric=None)
    assert (measure.key, measure.of_sets) == (f"pyiqa_{name}", of_sets)


def test_the_address_is_found_behind_other_errors() -> None:
    class Request:
        url = "https://example.org/model.safetensors"

    inner = ConnectionError("no route")
    inner.request = Request()  # type: ignore[attr-defined]
    try:
        try:
            raise inner
        except ConnectionError as error:
            raise FileNotFoundError("not in the cache") from error
    except FileNotFoundError as outer:
        assert iqa._address(outer) == Request.url
    assert iqa._address(ValueError("none")) is None


def test_nothing_asked_for_opens_nothing() -> None:
    assert iqa.open_measures([]) == []
