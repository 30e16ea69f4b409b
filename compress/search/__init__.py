"""`compress search`: bits of each layer's weights under constraints, by measured sensitivities, sizes and times."""

from compress.search.run import search

__all__ = ["search"]
