"""The tests: folders as in ``compress``."""
