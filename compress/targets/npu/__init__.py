"""Artifacts through Intel's NPU compiler."""
