"""Makes the pages of docs/reproduction/ from its rows, and what other pages take over from them. Trains nothing.

A page that takes over a part of another has two marks, `<!-- from: NAME -->` and `<!-- end -->`; what stands between
them is written here.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from reproduced_figures import save_grid, save_results, save_tuning, save_unseen
from reproduced_parts import arms_table, grid_of, grid_part, numbers_table, ranges, results_part, tried_of, tuning_part
from reproduced_rows import DOCS, FOLDER, Reproduced, all_reproduced

from kdlab.config.compose import experiments
from kdlab.report.claims import claims_frame, claims_table
from kdlab.report.sweep_table import escaped, markdown
from kdlab.report.tables import Table

UNSEEN = "![What each arm gets right of the classes that it never saw](figures/{}/unseen.png)"
TAKING_OVER = (DOCS.parent / "README.md", DOCS / "experiments.md")
# Verdicts, and how several are told.
WORDS = {"holds": "hold", "refuted": "refuted", "open": "open", "one draw": "one draw"}


def write_pages() -> None:
    """Write every page, figure and table, and what other pages take over."""
    found = all_reproduced()
    for it in found:
        figures = FOLDER / "figures" / it.name
        figures.mkdir(parents=True, exist_ok=True)
        save_results(it.results, it.config, figures / "errors.png")
        if table := arms_table(it):
            save_unseen(it.results, [row[0] for row in table.rows], figures / "unseen.png")
        if grid := grid_of(it):
            save_grid(grid, it.config["reproduction"]["grid"], figures / "grid.png")
        save_tuning(tried_of(it)[0], figures / "tuning.png")
    for path, text in pages(found).items():
        path.write_text(text)
    for name in left_out_pages(found):
        print(f"{name}: the rows are of another recipe, and left out; make reproduce ONLY={name} runs this one")


def pages(found: Sequence[Reproduced]) -> dict[Path, str]:
    """Return the text of each page by its path."""
    parts = {it.name: "\n\n".join([*results_part(it), *grid_part(it), *tuning_part(it)]) for it in found}
    numbers = {f"{it.name}_numbers": markdown(table) for it in found if (table := numbers_table(it))}
    own = {FOLDER / f"{it.name}.md": page(it, parts[it.name]) for it in found}
    for name in left_out_pages(found):
        parts[name] = f"Not run since its recipe was changed: `make reproduce ONLY={name}`."
        own[FOLDER / f"{name}.md"] = f"# {name}\n\n{parts[name]}\n"
    claims = claims_frame_of(found).to_csv(index=False, lineterminator="\n")
    front = {FOLDER / "README.md": overview(found), FOLDER / "claims.csv": claims}
    taking = {path: filled(path.read_text(), {**parts, **numbers, "verdicts": verdicts(found)}) for path in TAKING_OVER}
    return own | front | taking


def left_out_pages(found: Sequence[Reproduced]) -> list[str]:
    """Return the experiments that have a page and no rows of their present recipe."""
    names = {it.name for it in found}
    return [name for name in experiments() if name not in names and (FOLDER / f"{name}.md").exists()]


def page(it: Reproduced, body: str) -> str:
    """Return the page of one experiment."""
    hours = sum(float(run["hours"]) for run in it.runs)
    name, record = it.name, it.config["reproduction"]
    parts = [
        f"# {it.name}", escaped(str(it.config["question"])),
        f"Written by `make reproduce ONLY={it.name}`; what it means is told in [experiments](../experiments.md).",
        *filter(None, [record.get("note")]),
        body,
        f"![Each arm's test error: each seed, and the mean with its interval](figures/{it.name}/errors.png)",
        *([UNSEEN.format(it.name)] if arms_table(it) else []),
        *(f"![{it.replace('_', ' ')}, first seed](figures/{name}/{it}.png)" for it in record.get("figures") or []),
        "## How it was run", f"{hours:.2f} hours of training in all.", markdown(_runs_table(it.runs)),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _runs_table(runs: Sequence[dict[str, str]]) -> Table:
    """Return the machine, the versions and the code behind the seeds; a line for those that share all of them."""
    fields = ["dataset", "commit", "code", "date", "machine", "threads", "precision", "torch"]
    alike = defaultdict(list)
    for run in runs:
        alike[tuple(run[field] for field in fields)].append(int(run["seed"]))
    return Table("runs", "", ["seeds", *fields], [[ranges(seeds), *about] for about, seeds in alike.items()], labels=9)


def overview(found: Sequence[Reproduced]) -> str:
    """Return the front page: every claim with its verdict."""
    parts = [
        "# Reproduction",
        "All experiments over their seeds: `make reproduce`; one: `make reproduce ONLY=dark_knowledge`. The tables are "
        "made from the rows in `rows/` and `tuning/`. A verdict is over the seeds: `holds` or `refuted` where the 95 % "
        "interval of the mean lies on one side of the bound, `open` where it does not, `one draw` with one seed "
        "([results](../results.md#claims)).",
        verdicts(found, link=""),
    ]  # fmt: skip
    for it in found:
        if table := claims_table(it.judged):
            parts += [f"## [{it.name}]({it.name}.md)", markdown(table)]
    return "\n\n".join(parts) + "\n"


def verdicts(found: Sequence[Reproduced], link: str = "docs/reproduction/") -> str:
    """Return a table with a line for each experiment: what it asks, its seeds, how many claims hold."""
    rows = []
    for it in found:
        words = [judged.verdict.word for judged in it.judged]
        counts = [f"{words.count(word)} {WORDS[word]}" for word in WORDS if word in words]
        rows.append([it.name, str(it.config["question"]), str(len(it.results)), ", ".join(counts) or "none"])
    head, ruler, *lines = markdown(
        Table("verdicts", "", ["experiment", "asks", "seeds", "claims"], rows, labels=2)
    ).splitlines()
    linked = [re.sub(r"^\| (\w+) \|", rf"| [\1]({link}\1.md) |", line) for line in lines]
    return "\n".join([head, ruler, *linked])


def claims_frame_of(found: Sequence[Reproduced]) -> Any:
    """Return all verdicts as a frame, the experiment first."""
    frames = [claims_frame(it.judged).assign(experiment=it.name) for it in found if it.judged]
    frame = pd.concat(frames) if frames else claims_frame([]).assign(experiment="")
    return frame[["experiment", *(column for column in frame if column != "experiment")]]


def filled(text: str, parts: dict[str, str]) -> str:
    """Return a page with the parts that it takes over, between their marks."""

    def part(found: re.Match[str]) -> str:
        content = parts.get(found[1], "").replace("](figures/", "](reproduction/figures/")
        return f"<!-- from: {found[1]} -->\n\n{content}\n\n<!-- end -->" if found[1] in parts else found[0]

    return re.sub(r"<!-- from: (\w+) -->.*?<!-- end -->", part, text, flags=re.DOTALL)
