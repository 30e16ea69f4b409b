"""Artifacts on a device behind ssh."""
