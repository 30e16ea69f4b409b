"""The command line: one file a group of commands, no logic; `commands.py` is the whole of it."""

from compress.cli.commands import main

__all__ = ["main"]
