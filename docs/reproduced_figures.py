"""The figures of docs/reproduction/: validation error over tried settings, and test errors of all arms over seeds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import StrMethodFormatter

from kdlab.claims.statistics import mean_interval
from kdlab.report.figures.drawing import described, in_style, png, sheet
from kdlab.report.figures.palette import line_styles
from kdlab.results import Results


def one_number(settings: Sequence[str]) -> str | None:
    """Return the key that these settings give one number each; None for several keys, and for none."""
    keys = {setting.partition("=")[0] for setting in settings}
    return keys.pop() if len(keys) == 1 and not any(" " in setting for setting in settings) else None


@in_style
def save_tuning(tried: Sequence[Mapping[str, str]], path: Path) -> None:
    """Draw validation error over the one number that was swept, an arm a line; nothing for several."""
    key = one_number([line["setting"] for line in tried])
    if key is None:
        return
    points: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in tried:
        points[line["arm"]][float(line["setting"].partition("=")[2])].append(
            100 * float(line["errors"]) / int(line["n"])
        )
    figure = sheet(6.4, 3.4 + 0.18 * len(points) / 3)
    panel = figure.subplots()
    for (arm, values), style in zip(points.items(), line_styles(len(points)), strict=True):
        at = sorted(values)
        panel.plot(at, [np.mean(values[it]) for it in at], label=arm, marker="o", markersize=4, **style)
    panel.set(xlabel=key, ylabel="validation error, % (seen classes)", xscale="log")
    ticks = sorted({it for values in points.values() for it in values})
    panel.set_xticks(ticks, [f"{it:g}" for it in ticks])
    panel.minorticks_off()
    panel.grid()
    figure.legend(loc="outside lower center", ncols=min(len(points), 4))
    path.write_bytes(png(described(figure, f"Lines: validation error over {key}, one for each arm.")))


def metric_of(grid: Mapping[str, Any]) -> str:
    """Return the name of what a grid shows."""
    classes, correction = grid.get("classes", "all"), grid.get("correction", "none")
    words = [grid["metric"].replace("_", " ")]
    words += [f"on {classes} classes"] if classes != "all" else []
    words += [f"with correction {correction}"] if correction != "none" else []
    return " ".join(words)


@in_style
def save_grid(lines: Sequence[Mapping[str, str]], grid: Mapping[str, Any], path: Path) -> None:
    """Draw one metric over one key: a line for each arm, with the 95 % interval of the mean over seeds."""
    points: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        points[line["arm"]][float(line["at"])].append(float(line["value"]))
    figure = sheet(6.4, 3.6)
    panel = figure.subplots()
    for (arm, values), style in zip(points.items(), line_styles(len(points)), strict=True):
        at = sorted(values)
        found = [mean_interval(values[it]) for it in at]
        halves = np.nan_to_num([it.high - it.mean for it in found])
        panel.errorbar(at, [it.mean for it in found], halves, label=arm, marker="o", markersize=4, capsize=3, **style)
    panel.set(xlabel=grid["key"], ylabel=metric_of(grid), xscale="log")
    if grid["metric"] in ("excess_risk", "nll", "error_rate"):
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # the style writes no formulas
    ticks = sorted({it for values in points.values() for it in values})
    panel.set_xticks(ticks, [f"{it:g}" for it in ticks])
    panel.minorticks_off()
    panel.grid()
    figure.legend(title="bars: 95 % interval of the mean (t)", loc="outside lower center", ncols=min(len(points), 4))
    path.write_bytes(png(described(figure, f"Lines: {metric_of(grid)} over {grid['key']}, one for each arm.")))


@in_style
def save_results(results: Sequence[Results], config: Mapping[str, Any], path: Path) -> None:
    """Draw the test error of each arm: a dot for each seed, the mean, and its 95 % interval."""
    arms = [arm for arm in ("teacher", *config["teachers"], *config["arms"]) if _error(results[0], arm) is not None]
    figure = sheet(6.4, 0.7 + 0.3 * len(arms))
    panel = figure.subplots()
    for place, arm in enumerate(arms):
        values = [100 * error for result in results if (error := _error(result, arm)) is not None]
        mean, low, high = mean_interval(values)
        ends = [[mean - low], [high - mean]] if len(values) > 1 else None
        panel.plot(values, [place] * len(values), "o", markersize=4, alpha=0.4, color="0.4")
        panel.errorbar([mean], [place], xerr=ends, fmt="|", markersize=12, capsize=4, color="C0")
    panel.set_yticks(range(len(arms)), arms)
    panel.set_ylim(len(arms) - 0.5, -0.5)
    panel.set_xlabel("test error, %: dots are seeds, bars the 95 % interval of their mean (t)")
    panel.grid(axis="x")
    path.write_bytes(png(described(figure, f"Test error of {', '.join(arms)}: each seed, and the mean.")))


@in_style
def save_unseen(results: Sequence[Results], arms: Sequence[str], path: Path) -> None:
    """Draw what each arm gets right of the classes that it never saw, as it is and with `prior`, with intervals."""
    figure = sheet(6.4, 1.1 + 0.42 * len(arms))
    panel = figure.subplots()
    for shift, (correction, label) in zip((-0.14, 0.14), (("none", "as it is"), ("prior", "prior")), strict=True):
        for place, arm in enumerate(arms):
            found = [it.value(arm, ["unseen"], "accuracy", correction) for it in results]
            values = [100 * value for value in found if value is not None]
            if not values:
                continue
            mean, low, high = mean_interval(values)
            ends = [[mean - low], [high - mean]] if len(values) > 1 else None
            style: dict[str, Any] = {
                "color": "C0" if correction == "none" else "C1",
                "label": label if place == 0 else None,
            }
            panel.errorbar([mean], [place + shift], xerr=ends, fmt="o", markersize=5, capsize=4, **style)
            panel.plot(values, [place + shift] * len(values), "|", alpha=0.5, color=style["color"])
    panel.set_yticks(range(len(arms)), arms)
    panel.set_ylim(len(arms) - 0.5, -0.5)
    panel.set_xlim(-2, 102)
    panel.set_xlabel("right of the unseen classes, % (strokes: seeds; bars: 95 % interval)")
    panel.grid(axis="x")
    figure.legend(loc="outside lower center", ncols=2)
    path.write_bytes(
        png(described(figure, f"Accuracy on unseen classes of {', '.join(arms)}, before and after prior."))
    )


def _error(result: Results, arm: str) -> float | None:
    row = result.find(arm, "all", "errors", "none", "test")
    return row.value / row.n if row else None
