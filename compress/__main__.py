"""``python -m compress``."""

from compress.cli.commands import main

main()
