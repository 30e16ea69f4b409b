"""`compress package`: an artifact for one target as a folder to copy into a product."""
