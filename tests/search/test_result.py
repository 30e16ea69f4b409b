"""Recipes of an earlier search go, and nothing else of that name."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from compress.recipe.schema import Recipe
from compress.recipe.search_and_fallback import Constraints
from compress.search.choose import Problem
from compress.search.costs import Costs
from compress.search.result import WRITTEN_BY, SearchResult, write_recipes


def test_only_what_a_search_wrote_goes(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search's folder may be a stranger's: what only has the name is neither waited for nor read without end."""
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    for number, text in enumerate((WRITTEN_BY, f"{WRITTEN_BY} x`", "name: mine", f"x\n{WRITTEN_BY}", "")):
        Path(f"tiny_{number}.yaml").write_text(text)
    Path("tiny_own.yaml").mkdir()
    os.mkfifo("tiny_pipe.yaml")
    socket.socket(socket.AF_UNIX).bind("tiny_socket.yaml")
    for name, target in (
        ("zero", "/dev/zero"),
        ("itself", "tiny_itself.yaml"),
        ("nothing", "none"),
        ("linked", "kept"),
    ):
        Path(f"tiny_{name}.yaml").symlink_to(target)
    Path("kept").write_text(WRITTEN_BY)
    with Path("tiny_large.yaml").open("w") as file:
        file.write(WRITTEN_BY)
        file.truncate(2**40)
    before = set(os.listdir())
    problem, costs = Problem({}, 0, None), Costs({}, None)
    nothing = SearchResult("tiny", "onnx", None, "x", 1, Constraints(), costs, [], problem, [], [], (), 8)
    assert write_recipes(nothing, tiny_recipe(), "tiny", tmp_path).recipes == ()
    assert before - set(os.listdir()) == {"tiny_0.yaml", "tiny_1.yaml", "tiny_linked.yaml"}
    assert Path("kept").read_text() == WRITTEN_BY
