"""Measures artifacts on the device that it was sent to: Python 3.8, numpy and the runtime are all it needs.

Sent as one file (``compress.targets.runner_archive``). Its modules import the standard library, numpy, the runtimes and
each other, and of this package only what is sent with them.
"""
