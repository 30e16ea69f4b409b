"""What Python code gives, and what the file system says of it: one line, one of our errors."""

import errno
import os
from pathlib import Path

import pytest

from compress.caller import path_text, place_errors, texts
from compress.errors import InputError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("name", ["x", b"x", "a\nb\x1b[31m", None, 5])
def test_errors_of_a_place_are_one_line(name: object, number: int) -> None:
    with pytest.raises(InputError, match=os.strerror(number)) as error, place_errors():
        raise OSError(number, os.strerror(number), name)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("other", [OSError(errno.EPIPE, "pipe"), ConnectionError("x"), KeyError("x")])
def test_any_other_error_stays_as_it_is(other: Exception) -> None:
    with pytest.raises(type(other)) as error, place_errors():
        raise other
    assert error.value is other


@pytest.mark.parametrize("given", [5, None, b"x", [], "x\0", "\ud800"])
def test_what_is_no_path(given: object) -> None:
    with pytest.raises(InputError) as error:
        path_text(given)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("given", ["x", b"x", 5, None, [5], ["x", None]])
def test_what_are_no_texts(given: object) -> None:
    with pytest.raises(InputError, match=r"^targets \(="):
        texts("targets", given)  # type: ignore[arg-type]


def test_paths_and_texts() -> None:
    assert (path_text("a"), path_text(Path("a/b"))) == ("a", str(Path("a/b")))
    assert texts("targets", iter(("a", "b"))) == ["a", "b"] and texts("targets", ()) == []
