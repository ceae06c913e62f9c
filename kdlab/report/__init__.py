"""Results → tables. Reads what `kdlab.results` describes; trains nothing."""

from kdlab.report.terminal import summary

__all__ = ["summary"]
