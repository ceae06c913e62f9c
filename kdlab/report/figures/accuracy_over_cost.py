"""Draw what each network gets right over what it costs."""

from itertools import cycle

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from kdlab.report.figures.drawing import described, in_style, sheet
from kdlab.report.figures.palette import colours
from kdlab.results import Results

# What is drawn along the axis of each panel.
MARKERS = "os^DvP*X"
COSTS = {"latency_ms": "ms for one sample, on the CPU", "flops": "FLOPs for one sample", "parameters": "parameters"}


@in_style
def accuracy_over_cost(results: Results) -> Figure:
    """Draw accuracy on `shown_split` over latency, operations and parameters, a point for each network.

    Raises:
        ValueError: when the run has no rows of costs.
    """
    split = results.shown_split
    arms = [fit.arm for fit in results.fits if results.find(fit.arm, "all", "accuracy", split=split)]
    shown = {metric: label for metric, label in COSTS.items() if _costs(results, arms, metric)}
    if not shown:
        raise ValueError("the run has no rows of costs: evaluation.cost=true")
    figure = sheet(3.1 * len(shown) + 0.6, 3.6)
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    said = []
    for panel, (metric, label) in zip(panels, shown.items(), strict=True):
        costs = _costs(results, arms, metric)
        for arm, colour, marker in zip(arms, colours(len(arms)), cycle(MARKERS), strict=False):
            row = results.find(arm, "all", "accuracy", split=split)
            if row is None or arm not in costs:
                continue
            name = arm if panel is panels[0] else None
            panel.plot(costs[arm], 100 * row.value, marker, color=colour, markersize=8, label=name)
            if panel is panels[0]:
                said.append(f"{arm} {row.value:.1%} at {costs[arm]:.3g} ms")
        panel.set(xlabel=label, xlim=(0, 1.15 * max(costs.values()) or 1))
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.xaxis.set_major_formatter("{x:g}" if metric == "latency_ms" else EngFormatter(sep=""))
        panel.grid()
    panels[0].set_ylabel(f"accuracy on the {split} samples, %")
    figure.legend(loc="outside lower center", ncols=min(len(arms), 4))
    return described(figure, f"Points: accuracy over cost, for each network: {'; '.join(said)}.")


def _costs(results: Results, arms: list[str], metric: str) -> dict[str, float]:
    rows = {arm: results.find(arm, "all", metric, split="cost") for arm in arms}
    return {arm: row.value for arm, row in rows.items() if row}
