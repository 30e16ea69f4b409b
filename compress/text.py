"""Text that several places write the same way: numbers, strangers' words, and how an extra is installed."""

import re

_WWW = re.compile(r"\b(www)\.", re.IGNORECASE)
_EMPHASIS = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def plain(value: float, digits: int, sign: str = "") -> str:
    """A number of so many digits that count, but never as a power of ten: 32037593, 0.0027; ``sign`` "+": always."""
    text = f"{value:{sign}.{digits}g}"
    return f"{value:{sign}.0f}" if "e+" in text else text


def install_extra(extra: str) -> str:
    """The command that installs an extra of this package, from an index and from a checkout."""
    return f"pip install 'elir-compress[{extra}]' (in a checkout: pip install '.[{extra}]')"


def one_line(text: str, longest: int = 200) -> str:
    """A stranger's words for a message: on one line, at most ``longest`` characters, cut after a word, and none that a
    terminal would obey (escape sequences, changes of direction), which become "?"."""
    words = " ".join(text[: 8 * longest].split())
    if len(words) > longest:
        words = words[: longest - 3]
        words = f"{words.rpartition(' ')[0] or words}..."
    return "".join(c if c.isprintable() else "?" for c in words)


def printable(text: str) -> str:
    """Words that are not ours, whole: what a terminal would obey, a line be forged with or a name be hidden by is
    written as Python writes it (``\\x1b``, ``\\n``, ``\\u202e``).
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def flat(text: str) -> str:
    """Words that are not ours, whole and on one line: as ``printable``, line breaks and tabs as spaces."""
    return printable(" ".join(text.split()))


def markdown(text: str) -> str:
    """Words that are not ours as Markdown that shows them: no cell, tag, link, mention or emphasis comes out of a
    name, and no address becomes a link by itself.
    """
    words = flat(text).replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;").replace("://", ":&#47;/")
    words = _WWW.sub(r"\1&#46;", words)
    return _EMPHASIS.sub(r"\_", "".join(f"\\{c}" if c in "\\`*[]|~" else c for c in words))


def duration(seconds: float) -> str:
    """A time for people, to two digits at most: 8 s, 12 minutes, 2.5 hours."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
