"""Numbers as text."""


def plain(value: float, digits: int, sign: str = "") -> str:
    """A number of so many digits that count, but never as a power of ten: 32037593, 0.0027; ``sign`` "+": always."""
    text = f"{value:{sign}.{digits}g}"
    return f"{value:{sign}.0f}" if "e+" in text else text
