"""Names of pictures and sets: fit for a file on any system, and different for whatever is different."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from compress.errors import InputError
from compress.files import real_path
from compress.recipe import library
from compress.recipe.image_size import Shape, exact_text

LONGEST = 100
"""Bytes of a name; what is put behind it (``_openvino-int8.png``) fits into the 143 that some file systems have."""
_HEAD = 80
# "[": a terminal's markup; the rest: Windows. "%" itself, so that no two names become one.
_UNFIT = frozenset('/\\:*?"<>|[]%')


def file_name(text: str) -> str:
    """``text`` as part of a file's name: what does not fit is percent-encoded, so that no two texts become one; the
    middle of a long one makes room for a hash of it.
    """
    name = "".join(c if c.isprintable() and c not in _UNFIT else _encoded(c) for c in text)
    if name[:1] in (".", " ", "-"):  # hidden, lost by a shell, taken for an option
        name = _encoded(name[:1]) + name[1:]
    raw = name.encode()
    if len(raw) <= LONGEST:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{raw[:_HEAD].decode(errors='ignore')}~{digest}"


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def same_name(text: str) -> str:
    """Equal for names that some file system takes for one: ``A`` and ``a``, one letter or letter and accent."""
    return unicodedata.normalize("NFC", text).casefold()


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """A name for each relative path of a picture, without its suffix where that tells no two apart."""
    for texts in (["_".join(p.with_suffix("").parts) for p in paths], ["_".join(p.parts) for p in paths]):
        names = [file_name(text) for text in texts]
        if len(set(map(same_name, names))) == len(names):
            return names
    # a/b.png and a_b.png: only the position tells them apart.
    return [file_name(f"{i:05d}_{text}") for i, text in enumerate(texts)]


def set_names(given: Sequence[str]) -> list[str]:
    """A name for each set (a built-in name, a file, a folder), no two the same: of folders with one name, as much of
    the path as tells them apart.

    Raises InputError for a set that is given twice, two files whose sets have the same name, and what loading raises.
    """
    from compress.recipe.calibration_set import CalibrationSet
    from compress.recipe.validation import load_model

    paths = [library.find("calibration", name) for name in given]
    twice, times = Counter(real_path(path) for path in paths).most_common(1)[0] if paths else (Path(), 0)
    if times > 1:
        raise InputError(f"{twice}: is given twice as a set of pictures: name another, or leave one out")
    fixed = {i: load_model(CalibrationSet, path).name for i, path in enumerate(paths) if not path.is_dir()}
    parts = [real_path(path).parts for path in paths]
    depth = [1] * len(paths)
    while True:
        names = [fixed.get(i) or file_name("-".join(p[-n:])) for i, (p, n) in enumerate(zip(parts, depth, strict=True))]
        times_of = Counter(map(same_name, names))
        same = [i for i, name in enumerate(names) if times_of[same_name(name)] > 1]
        if not same:
            return names
        longer = [i for i in same if i not in fixed and depth[i] < len(parts[i])]
        if not longer:
            raise InputError(
                f"{' and '.join(str(paths[i]) for i in same[:2])}: two sets are named {names[same[0]]}: change the "
                "name in one of the files"
            )
        for i in longer:
            depth[i] += 1


def data_key(dataset: str, shape: Shape | None) -> str:
    """What a manifest calls a set, cropped to a recipe's further ``shape``: two sets of the same pictures."""
    return f"{dataset} at {exact_text(shape)}" if shape else dataset
