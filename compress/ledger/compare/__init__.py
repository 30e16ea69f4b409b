"""Results held against earlier results: `compress compare` and `compress check`; see docs/ledger.md."""
