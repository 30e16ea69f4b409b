"""The groups in which `compress --help` lists its commands, in their order."""

MAKE = "Make"
MEASURE = "Measure"
COMPARE = "Compare"
DEVICES = "Devices"
DATA = "Data"
PANELS = (MAKE, MEASURE, COMPARE, DEVICES, DATA)
