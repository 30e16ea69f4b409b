"""Fault injection, kills, hostile input and shortages against this checkout: ``python -m tests.reliability --help``."""
