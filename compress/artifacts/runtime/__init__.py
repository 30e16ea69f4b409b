"""Running an artifact in its own runtime."""
