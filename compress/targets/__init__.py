"""Measuring artifacts on a device: this machine, another, or what stands in for one."""
