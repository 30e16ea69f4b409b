"""Pictures, degradations, sets."""
