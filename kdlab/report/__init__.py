"""Results → tables and figures. Reads what `kdlab.results` describes; trains nothing.

The figures are functions from rows, logits or curves to a matplotlib figure, for use anywhere.
"""

from kdlab.report.comparison import comparison_lines, comparison_table, write_comparison
from kdlab.report.curves import loss_curves
from kdlab.report.mistakes import misclassified
from kdlab.report.regions import decision_regions
from kdlab.report.terminal import summary
from kdlab.report.unseen import unseen_accuracy

__all__ = [
    "comparison_lines",
    "comparison_table",
    "decision_regions",
    "loss_curves",
    "misclassified",
    "summary",
    "unseen_accuracy",
    "write_comparison",
]
