"""Hypothesis strategies: strange values, damaged texts, damaged bytes, changed documents."""

import copy
import json
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 300),
    st.sampled_from([2**31, 2**63, -(2**63), 10**40, 10**4400, -1, 0, 1e308, 1e-320, -0.0]),
    st.floats(allow_nan=True, allow_infinity=True),
    WORDS,
    st.sampled_from(
        ["../../etc/passwd", "/etc/passwd", "..", ".", "", "\x00", "~root/x", "a/../../b", "con", "x" * 5000]
    ),
    st.sampled_from(["\u202e\u0000", "${HOME}", "%s%n", "!!python/object:os.system", "\ud7ff", "é" * 300, "NaN"]),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4))

YAML_SNIPPETS = (
    *("a: &x [1, 2]\nb: *x\n", "<<: {a: 1}\n", "a: !!python/object/apply:os.system ['id']\n", "a: !!binary R0lG\n"),
    *("[" * 500 + "\n", "a: " + "{b: " * 300 + "\n", "- " * 200 + "x\n", "? [a, b]\n: c\n", "1: 2\n", "null: 3\n"),
    *(
        "a: .nan\n",
        "a: -.inf\n",
        "a: 0x" + "f" * 5000 + "\n",
        "a: 1" + "0" * 5000 + "\n",
        "a: 1e999999\n",
        "\ufeffa: 1\n",
    ),
    *(
        "%YAML 9.9\n---\na: 1\n",
        "---\na: 1\n---\nb: 2\n",
        "a: 'x\n",
        "\ta: 1\n",
        "a: |\n  " + "x" * 10000 + "\n",
        "...\n",
    ),
    *("a: 2020-13-45\n", "a: 1:2:3:4:5:6:7:8:9\n", "a: 0o99\n", "a: !!int x\n", "a: !!float y\n", "a: !!timestamp x\n"),
    *(
        "a: !!set {x}\n",
        "a: !!omap [x: 1]\n",
        "a: !!bool maybe\n",
        "a: !!null x\n",
        "&a a: 1\n",
        "a: *unknown\n",
        "\x85\n",
    ),
)


def bombs() -> Iterator[str]:
    """Texts that expand, or nest, without end."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    yield "\n".join(lines)
    yield "a: " + "[" * 100_000
    yield "{" * 100_000
    yield "\n".join("  " * i + "a:" for i in range(400))
    yield "a: " + "9" * 900_000
    yield "a: '" + "x" * 2_000_000 + "'"


@st.composite
def damaged_bytes(draw: st.DrawFn, good: bytes) -> bytes:
    """``good`` cut, flipped, repeated, filled, or grown; the places are drawn more often near the beginning."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 3))):
        size = len(data)
        at = draw(st.one_of(st.integers(0, max(0, min(size, 300) - 1)), st.integers(0, max(0, size - 1))))
        kind = draw(st.sampled_from(["cut", "flip", "set", "insert", "delete", "zeros", "ones", "head"]))
        if kind == "cut":
            del data[at:]
        elif kind == "flip" and size:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and size:
            data[at] = draw(st.integers(0, 255))
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif kind == "delete":
            del data[at : at + draw(st.integers(1, 64))]
        elif kind in ("zeros", "ones"):
            length = min(draw(st.integers(1, 4096)), size - at)
            data[at : at + length] = (b"\0" if kind == "zeros" else b"\xff") * length
        elif kind == "head":
            data[:8] = draw(
                st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\0" * 7, (2**40).to_bytes(8, "little")])
            )
    return bytes(data)


@st.composite
def changed(draw: st.DrawFn, document: Any, values: st.SearchStrategy[Any] = VALUES) -> Any:
    """``document`` with one to three of its places replaced, removed, or added to."""
    made = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(made))
        if not places:
            return draw(values)
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "type"]))
        if kind == "replace":
            holder[key] = draw(values)
        elif kind == "remove":
            del holder[key]
        elif kind == "type":
            holder[key] = [holder[key]] if draw(st.booleans()) else str(holder[key])
        elif isinstance(holder, dict):
            holder[draw(WORDS)] = draw(values)
        else:
            holder.insert(key, draw(values))
    return made


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(inner):
        yield document, key
        yield from _places(value)


@st.composite
def yaml_texts(draw: st.DrawFn, document: dict[str, Any]) -> bytes:
    """A YAML file: ``document`` changed, with snippets, damaged, or any text or bytes at all."""
    import yaml

    kind = draw(st.sampled_from(["changed", "changed", "changed", "snippet", "damaged", "text", "bytes"]))
    if kind == "text":
        return draw(WORDS).encode(errors="replace")
    if kind == "bytes":
        return draw(st.binary(max_size=200))
    if kind == "changed":
        return dumped(draw(changed(document)))
    good = yaml.safe_dump(document)
    if kind == "damaged":
        return draw(damaged_bytes(good.encode()))
    lines = good.splitlines(keepends=True)
    lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(YAML_SNIPPETS)))
    return "".join(lines).encode(errors="replace")


def dumped(document: Any) -> bytes:
    """YAML of any plain data."""
    import yaml

    return yaml.safe_dump(document, allow_unicode=True).encode(errors="replace")


@st.composite
def json_texts(draw: st.DrawFn, document: Any) -> bytes:
    """A JSON file: ``document`` changed, or damaged, or nested without end."""
    kind = draw(st.sampled_from(["changed"] * 6 + ["damaged", "nested", "text"]))
    if kind == "nested":
        return draw(st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"[" * 900 + b"]" * 900]))
    if kind == "text":
        return draw(WORDS).encode(errors="replace")
    good = json.dumps(draw(changed(document)) if kind == "changed" else document).encode(errors="replace")
    return draw(damaged_bytes(good)) if kind == "damaged" else good


def examples(strategy: st.SearchStrategy[Any], count: int, seed: int, use: Callable[[Any, int], None]) -> None:
    """Call ``use(example, number)`` for ``count`` examples that follow from ``seed`` alone."""
    import hypothesis

    drawn = 0
    # Numbers of thousands of digits are among the examples; the commands themselves run under Python's own limit.
    sys.set_int_max_str_digits(0)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def run(example: Any) -> None:
        nonlocal drawn
        drawn += 1
        use(example, drawn)

    state = random.getstate()
    run()
    random.setstate(state)
