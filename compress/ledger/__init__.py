"""The ledger: every measurement of a team, one row each, on SQLite or PostgreSQL; see docs/ledger.md."""

from compress.ledger.store import Filter, Ledger, open_ledger

__all__ = ["Filter", "Ledger", "open_ledger"]
