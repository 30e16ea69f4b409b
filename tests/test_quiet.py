"""Other packages are silenced, and only while it is asked for."""

import logging
import os
import warnings

import pytest

from compress.quiet import quiet, quiet_native


def test_packages_neither_print_nor_warn_nor_log(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        print("a bar")
        warnings.warn("deprecated", stacklevel=1)
        logging.getLogger("other").warning("a kernel is missing")
    print("a result")
    assert capfd.readouterr() == ("a result\n", "")


def test_errors_are_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    with quiet():
        logging.getLogger("other").error("out of memory")
    logging.getLogger("other").warning("afterwards")
    assert caplog.messages == ["out of memory", "afterwards"]


def test_compiled_code_is_silenced_and_heard_again(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="inside"), quiet_native():
        os.write(2, b"cpuinfo\n")
        raise ValueError("inside")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
