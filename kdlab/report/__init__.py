"""Results → tables and figures. Reads what `kdlab.results` describes; trains nothing.

The figures are functions from rows, logits or curves to a matplotlib figure, for use anywhere.
"""

from kdlab.report.collection import collect
from kdlab.report.comparison import comparison_lines, comparison_table, write_comparison
from kdlab.report.curves import loss_curves
from kdlab.report.heatmaps import heatmap
from kdlab.report.mistakes import misclassified
from kdlab.report.regions import decision_regions
from kdlab.report.settings import settings_of, swept_keys
from kdlab.report.sweep import write_report
from kdlab.report.sweep_lines import lines
from kdlab.report.terminal import print_report, summary
from kdlab.report.unseen import unseen_accuracy

__all__ = [
    "collect",
    "comparison_lines",
    "comparison_table",
    "decision_regions",
    "heatmap",
    "lines",
    "loss_curves",
    "misclassified",
    "print_report",
    "settings_of",
    "summary",
    "swept_keys",
    "unseen_accuracy",
    "write_comparison",
    "write_report",
]
