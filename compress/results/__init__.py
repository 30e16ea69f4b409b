"""results.json: what a run measured, one class per section, and the one reader.

Every figure is finite; one that was not measured is None. A section may hold fields that this version does not know:
they are kept as they are.
"""
