"""Hostile and broken input: hypothesis makes the files, the command line reads them."""
