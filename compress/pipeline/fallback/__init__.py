"""What is tried when a recipe misses a goal; what was tried, and how it went, is part of the results."""

from compress.pipeline.fallback.run import fall_back

__all__ = ["fall_back"]
