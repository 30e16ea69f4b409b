"""What is tried when a recipe misses a goal; what was tried, and how it went, is part of the results."""

from compress.fallback.attempts import Attempts

__all__ = ["Attempts"]
