"""An artifact as a type; written by ``export``, run by ``runtime``, read by ``inspect``."""
