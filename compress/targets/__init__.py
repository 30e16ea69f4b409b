"""Reaching a device that is not this machine."""
