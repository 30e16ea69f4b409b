"""Artifacts on emulated ARM cores, by QEMU."""
