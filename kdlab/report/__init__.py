"""Make tables, figures and pages from results. Reads the files that `kdlab.results` describes; never trains.

Each figure is a function that takes rows, logits or curves and returns a matplotlib figure. In a notebook, after
`%matplotlib inline`, a cell that ends in `loss_curves(read_curves(run / "curves.csv"))` shows it. Its alt text is the
figure's label, `figure.get_label()`; `png` and `svg` keep it.

A name is imported when it is asked for: the report of a sweep needs neither torch nor the figures of a run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdlab.report.collection import collect
    from kdlab.report.comparison import comparison_lines, comparison_table, write_comparison
    from kdlab.report.figures.accuracy_over_cost import accuracy_over_cost
    from kdlab.report.figures.confusion import confusion_matrices
    from kdlab.report.figures.drawing import png, svg
    from kdlab.report.figures.error_bars import error_counts, unseen_accuracy
    from kdlab.report.figures.gallery import examples, gallery
    from kdlab.report.figures.heatmaps import heatmap
    from kdlab.report.figures.learning_curves import accuracy_curves, loss_curves
    from kdlab.report.figures.per_class import per_class_accuracy
    from kdlab.report.figures.regions import decision_regions
    from kdlab.report.figures.sweep_lines import lines
    from kdlab.report.figures.temperature import class_similarity, softened_targets, target_entropy
    from kdlab.report.findings import finding
    from kdlab.report.settings import settings_of, swept_keys
    from kdlab.report.sweep import write_report
    from kdlab.report.terminal import print_report, print_run, summary

__all__ = [
    "accuracy_curves",
    "accuracy_over_cost",
    "class_similarity",
    "collect",
    "comparison_lines",
    "comparison_table",
    "confusion_matrices",
    "decision_regions",
    "error_counts",
    "examples",
    "finding",
    "gallery",
    "heatmap",
    "lines",
    "loss_curves",
    "per_class_accuracy",
    "png",
    "print_report",
    "print_run",
    "settings_of",
    "softened_targets",
    "summary",
    "svg",
    "swept_keys",
    "target_entropy",
    "unseen_accuracy",
    "write_comparison",
    "write_report",
]

# Where each of these names is defined, below this package.
_PLACES = {
    "accuracy_curves": "figures.learning_curves",
    "accuracy_over_cost": "figures.accuracy_over_cost",
    "class_similarity": "figures.temperature",
    "collect": "collection",
    "comparison_lines": "comparison",
    "comparison_table": "comparison",
    "confusion_matrices": "figures.confusion",
    "decision_regions": "figures.regions",
    "error_counts": "figures.error_bars",
    "examples": "figures.gallery",
    "finding": "findings",
    "gallery": "figures.gallery",
    "heatmap": "figures.heatmaps",
    "lines": "figures.sweep_lines",
    "loss_curves": "figures.learning_curves",
    "per_class_accuracy": "figures.per_class",
    "png": "figures.drawing",
    "print_report": "terminal",
    "print_run": "terminal",
    "settings_of": "settings",
    "softened_targets": "figures.temperature",
    "summary": "terminal",
    "svg": "figures.drawing",
    "swept_keys": "settings",
    "target_entropy": "figures.temperature",
    "unseen_accuracy": "figures.error_bars",
    "write_comparison": "comparison",
    "write_report": "sweep",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"kdlab.report.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'kdlab.report' has no attribute {name!r}")
