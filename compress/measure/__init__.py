"""Quality, latency, size and parity of artifacts."""
