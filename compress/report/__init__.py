"""What a run shows: ``report.html`` of a bundle, the page of several, and tables for a terminal."""

from compress.report.devices import TITLE, Source, write_devices
from compress.report.page import write_report
from compress.report.tables import goals_table, results_table

__all__ = ["TITLE", "Source", "goals_table", "results_table", "write_devices", "write_report"]
