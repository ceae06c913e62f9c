"""The parts of an experiment's page, as text: its numbers and verdicts, its grid, and how its settings were chosen."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from reproduced_figures import metric_of, one_number
from reproduced_rows import (
    FOLDER,
    Reproduced,
    by,
    chosen,
    grid_arguments,
    lines_of,
    mean_of,
    own_tuning_arguments,
    seeds_arguments,
    tuning_arguments,
    tuning_recipe_of,
)

from kdlab.claims.statistics import mean_interval
from kdlab.config.comparison import DEFAULTS, SHARES
from kdlab.config.tuning import tried_settings
from kdlab.report.claims import claims_table
from kdlab.report.comparison import left_out
from kdlab.report.sweep_table import escaped, markdown
from kdlab.report.tables import Table


def results_part(it: Reproduced) -> Iterator[str]:
    """Yield the table of an experiment's numbers beside its source's, and its verdicts."""
    seeds = ranges([result.seed for result in it.results])
    ran = seeds_arguments(it.name, it.config, sorted(result.seed for result in it.results))
    yield _code(f"python -m kdlab.train {' '.join(ran)}")
    if table := arms_table(it):
        yield f"Each arm, mean and 95 % interval (t) over seeds {seeds}; settings: among how many its own was chosen."
        yield markdown(table)
    if table := numbers_table(it):
        source = escaped(str(it.config["comparison"]["source"]))
        why = f", whose figures are left out: they are {differs}" if (differs := left_out(it.results[0])) else ""
        yield f"Mean and 95 % interval (t) over seeds {seeds}; source: {source}{why}."
        yield markdown(table)
        if why:
            yield f"The source, on its data: {'; '.join(published(it))}."
    if claims := claims_table(it.judged):
        differs = f" The sources' figures are {it.judged[0].differs}." if it.judged[0].differs else ""
        yield f"Claims, judged over these seeds.{differs}"
        yield markdown(claims)


def published(it: Reproduced) -> list[str]:
    """Return what the source found, each with its number."""
    rows = [DEFAULTS | row for row in it.config["comparison"]["rows"]]
    return [f"{row['show']} {_shown(row['source'], row['metric'])}" for row in rows if row["source"] is not None]


def numbers_table(it: Reproduced) -> Table | None:
    """Return the experiment's comparison over seeds, without the source's figures where the runs differ from them."""
    rows: list[list[str]] = []
    sourced = not left_out(it.results[0]) if it.config["comparison"] else False
    for row in (it.config["comparison"] or {}).get("rows", []):
        full = DEFAULTS | row
        classes = [str(c) for c in (full["classes"] if isinstance(full["classes"], list) else [full["classes"]])]
        place = full["arm"], classes, full["metric"], full["correction"], full["split"]
        values = [value for result in it.results if (value := result.value(*place)) is not None]
        if values:
            source = "" if full["source"] is None else _shown(full["source"], full["metric"])
            rows.append(
                [full["show"], *([source] if sourced else []), *_interval(values, full["metric"]), str(len(values))]
            )
    header = ["what", *(["source"] if sourced else []), "kdlab, mean", "95 % interval", "n"]
    return Table("numbers", "", header, rows) if rows else None


def arms_table(it: Reproduced) -> Table | None:
    """Return what each arm gets right of the classes that it saw and of the others; None where it saw all."""
    columns = {
        "seen": ("seen", "none"), "unseen": ("unseen", "none"), "seen, prior": ("seen", "prior"),
        "unseen, prior": ("unseen", "prior"),
    }  # fmt: skip
    rows = []
    for arm in it.config["arms"]:
        found = {
            name: [value for result in it.results if (value := result.value(arm, [group], "accuracy", how)) is not None]
            for name, (group, how) in columns.items()
        }
        if found["unseen"]:
            cells = [_with_interval(found[name]) for name in columns]
            rows.append([arm, str(tried_settings(it.config, arm)), *cells])
    return Table("arms", "", ["arm", "settings", *columns], rows) if len(rows) > 1 else None


def grid_part(it: Reproduced) -> Iterator[str]:
    """Yield one metric of each arm over the values of one key; nothing where none is swept."""
    lines, grid = grid_of(it), it.config["reproduction"].get("grid")
    if not (lines and grid):
        return
    places = list(dict.fromkeys(line["at"] for line in lines))
    rows = []
    for arm, own in by(lines, "arm"):
        found = {at: _interval([float(line["value"]) for line in some], grid["metric"]) for at, some in by(own, "at")}
        rows.append([arm, *("; ".join(filter(None, found[at])) if at in found else "" for at in places)])
    what = metric_of(grid)
    yield f"{what} over `{grid['key']}`: mean; 95 % interval, seeds {ranges([int(line['seed']) for line in lines])}."
    yield _code(f"python -m kdlab.train {' '.join(grid_arguments(it.name, it.config))}")
    yield markdown(Table("grid", "", ["arm", *places], rows))
    yield f"![{what} over {grid['key']}, an arm a line](figures/{it.name}/grid.png)"


def tuning_part(it: Reproduced) -> Iterator[str]:
    """Yield how the arms' settings were chosen, with the curve; nothing where they were not."""
    common, apart = tried_of(it)
    tried = common + apart
    if not tried:
        return
    seeds, n = ranges([int(line["seed"]) for line in tried]), tried[0]["n"]
    yield f"How each arm's settings were chosen: errors on {n} validation samples (seen classes), seed {seeds}."
    if common:
        yield _code(f"python -m kdlab.train {' '.join(tuning_arguments(it.name, it.config))}")
        yield markdown(_common_table(common)).replace("\\*\\*", "**")
    if apart:
        yield "Arms with candidates of their own, a sweep for each, such as:"
        yield _code(f"python -m kdlab.train {' '.join(own_tuning_arguments(it.name, it.config, apart[0]['arm']))}")
        yield markdown(_own_table(apart))
    for arm, why in (it.config["tuning"].get("exceptions") or {}).items():
        yield f"{arm} has another setting: {why}."
    if one_number([line["setting"] for line in common]):
        yield f"![Validation error over the settings that were tried](figures/{it.name}/tuning.png)"


def grid_of(it: Reproduced) -> list[dict[str, str]]:
    """Return the lines of an experiment's grid that are of its present recipe."""
    recipe = it.runs[0]["recipe"]
    return [line for line in lines_of(FOLDER / "grids" / f"{it.name}.csv") if line["recipe"] == recipe]


def tried_of(it: Reproduced) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the settings that were tried, of the present recipe: those of all arms, and those of single ones."""
    own, recipe = (it.config["tuning"] or {}).get("own") or {}, tuning_recipe_of(it.config)
    tried = [line for line in lines_of(FOLDER / "tuning" / f"{it.name}.csv") if line["recipe"] == recipe]
    return [line for line in tried if line["arm"] not in own], [line for line in tried if line["arm"] in own]


def _common_table(tried: Sequence[dict[str, str]]) -> Table:
    """Return the errors of each arm at each of the settings that all arms tried, the chosen one in bold."""
    best, settings = chosen(tried), list(dict.fromkeys(line["setting"] for line in tried))
    rows = []
    for arm, lines in by(tried, "arm"):
        means = {setting: mean_of(own, "errors") for setting, own in by(lines, "setting")}
        cells = {it: f"{means[it]:.4g}" if it in means else "diverged" for it in settings}
        rows.append([arm, *(f"**{cell}**" if it == best[arm] else cell for it, cell in cells.items())])
    return Table("tuning", "", ["arm", *settings], rows)


def _own_table(tried: Sequence[dict[str, str]]) -> Table:
    """Return, for arms with candidates of their own, how many were tried, and the best with its errors."""
    best, rows = chosen(tried), []
    for arm, lines in by(tried, "arm"):
        means = {setting: mean_of(own, "errors") for setting, own in by(lines, "setting")}
        spread = f"{min(means.values()):.4g} to {max(means.values()):.4g}"
        rows.append([arm, best[arm], str(len(means)), f"{means[best[arm]]:.4g}", spread])
    return Table("own", "", ["arm", "chosen", "settings that trained", "errors", "of all settings"], rows, labels=2)


def ranges(numbers: Sequence[int]) -> str:
    """Return numbers as text, neighbours as ranges: 0 to 4, 7."""
    found = []
    for _, run in groupby(enumerate(sorted(set(numbers))), lambda pair: pair[1] - pair[0]):
        first, *rest = [number for _, number in run]
        found.append(f"{first} to {rest[-1]}" if rest else str(first))
    return ", ".join(found)


def _interval(values: Sequence[float], metric: str) -> tuple[str, str]:
    mean, low, high = mean_interval(values)
    ends = "" if len(values) == 1 else f"{_shown(low, metric)} to {_shown(high, metric)}"
    return _shown(mean, metric), ends


def _with_interval(accuracies: Sequence[float]) -> str:
    """Return the mean of accuracies, and how far its interval reaches to each side."""
    if not accuracies:
        return ""
    mean, low, high = mean_interval(accuracies)
    return f"{100 * mean:.2f}" + (f" ± {50 * (high - low):.2f}" if len(accuracies) > 1 else "") + " %"


def _shown(value: float, metric: str) -> str:
    if metric in SHARES:
        return f"{100 * value:.2f} %"
    return f"{value:,.1f}".removesuffix(".0") if abs(value) >= 10 else f"{value:.3g}"


def _code(command: str) -> str:
    return f"    {command}"
