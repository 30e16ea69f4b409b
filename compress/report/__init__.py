"""What a run shows: ``report.html`` of a bundle, and the tables of its results for a terminal and a README."""

from compress.report.page import write_report
from compress.report.tables import goals_table, markdown_table, results_table

__all__ = ["goals_table", "markdown_table", "results_table", "write_report"]
