"""What a run and a sweep return: tables that print themselves, frames of rows, and trained networks."""

import io
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

import msgspec
import pandas as pd
from rich.console import Console, RenderableType

from kdlab.api.network import Network
from kdlab.config.recipes import recipes_of
from kdlab.errors import KdlabError
from kdlab.fits.plan import reopened
from kdlab.models.normalization import Normalization
from kdlab.report.claims import claim_lines, claims_frame, judged_run
from kdlab.report.collection import collect
from kdlab.report.findings import finding
from kdlab.report.rows import configs_of, rows_of
from kdlab.report.sweep_table import settings_table
from kdlab.report.tables import Table
from kdlab.report.terminal import printed, run_table, title
from kdlab.results import Results

WIDTH = 100


class Networks(Mapping[str, Network]):
    """The trained networks of a run by name; each is loaded when it is asked for."""

    def __init__(self, results: Results, folder: Path) -> None:
        self._results = results
        self._folder = folder
        self._loaded: dict[str, Network] = {}

    def __getitem__(self, name: str) -> Network:
        if name not in list(self):
            raise KeyError(f"{name}: there are {', '.join(self)}")
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return (fit.arm for fit in self._results.fits)

    def __len__(self) -> int:
        return len(self._results.fits)

    def __repr__(self) -> str:
        return f"networks: {', '.join(self)}"

    def _load(self, name: str) -> Network:
        if self._results.inputs is None:
            raise KdlabError(f"{self._folder} was made by an earlier kdlab, without scaling; run its command anew")
        scaling = self._results.inputs.scaling
        of_data = Normalization(scaling.mean, scaling.std) if scaling and scaling.mean and scaling.std else None
        recipe = recipes_of(self._results.config, [])[name]
        return Network(reopened(recipe, self._folder / "checkpoints" / f"{name}.pt", of_data), self._results.inputs)


class FinishedRun:
    """A finished run. It prints as its table; in a notebook it is shown as one.

    Args:
        results: of the run.
        folder: the run's folder.
    """

    def __init__(self, results: Results, folder: Path) -> None:
        self.results = results
        self.folder = folder
        self.networks = Networks(results, folder)

    @property
    def finding(self) -> str:
        """The result in one sentence."""
        return finding(self.results)

    @property
    def page(self) -> Path | None:
        """The run's page, `report.html`, if it has one."""
        page = self.folder / "report.html"
        return page if page.exists() else None

    @property
    def claims(self) -> pd.DataFrame:
        """The verdict on each claim: one draw, since a run has one seed."""
        return claims_frame(judged_run(self.results))

    def frame(self) -> pd.DataFrame:
        """Return all rows: arm, split, classes, correction, metric, value, n."""
        return pd.DataFrame([msgspec.structs.asdict(row) for row in self.results.rows])

    def __repr__(self) -> str:
        text = _text(title(self.results), printed(run_table(self.results)))
        return f"{text}found: {self.finding}\npage:  {self.page or 'none'}"

    def _repr_html_(self) -> str:
        page = f"<p>Page: {escape(str(self.page))}</p>" if self.page else ""
        return f"{_html(run_table(self.results))}<p>{escape(self.finding)}</p>{page}"


class FinishedSweep:
    """A sweep that has ended. It prints as its best points; in a notebook it is shown as a table over settings.

    Args:
        folder: the sweep's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collection = collect([folder])
        self.runs = [FinishedRun(run.results, run.folder) for run in self.collection.runs]

    @property
    def page(self) -> Path | None:
        """The sweep's page, `report.html`, if it has one."""
        page = self.folder / "report.html"
        return page if page.exists() else None

    @property
    def failures(self) -> dict[str, str]:
        """Why points have no results, by their folder."""
        return {str(point.folder): point.why for point in self.collection.missing}

    @property
    def claims(self) -> pd.DataFrame:
        """The verdict on each claim at each setting, over its seeds."""
        return claims_frame(self.collection.claims)

    def frame(self) -> pd.DataFrame:
        """Return the rows of all points: `run` is a point's place in `runs`, and each swept key has a column."""
        swept = configs_of(self.collection.results)[self.collection.keys]
        return rows_of(self.collection.results).join(swept, on="run")

    def __repr__(self) -> str:
        lines = [line for best in self.collection.best for line in best]
        failed = [f"no results: {folder}: {why}" for folder, why in self.failures.items()]
        claims = [f"claim: {line}" for line in claim_lines(self.collection.claims)]
        finished = f"{len(self.runs)} finished runs in {self.folder}"
        return "\n".join([finished, *failed, *claims, *lines, f"page: {self.page}"])

    def _repr_html_(self) -> str:
        table = settings_table(self.collection.settings, self.collection.keys)
        return f"{_html(table)}<pre>{escape(repr(self))}</pre>"


def _text(*parts: RenderableType) -> str:
    file = io.StringIO()
    Console(file=file, width=WIDTH, force_jupyter=False).print(*parts, sep="\n")
    return file.getvalue()


def _html(table: Table) -> str:
    frame = pd.DataFrame(table.rows, columns=list(table.header))
    return f"<p>{escape(table.caption)}</p>{frame.to_html(index=False, border=0)}"
