"""`compress apply` and `bench`: the run, its stages and their cache, parity, quality, goals."""
