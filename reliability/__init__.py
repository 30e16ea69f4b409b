"""Fault injection, kills, hostile input and shortages against this checkout: ``python -m reliability --help``."""
