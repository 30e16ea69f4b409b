"""`compress train`: losses, the loop, its log and validation."""
