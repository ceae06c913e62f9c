"""The command line: compose the config and hand it to the pipeline. Imports no torch, to keep `--help` quick.

python -m kdlab.train +experiment=dark_knowledge
"""

import logging
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from kdlab.config.commands import given_at, repeating
from kdlab.config.compose import CONFIGS, ComposedConfig, experiments
from kdlab.config.refusal import composition_errors
from kdlab.config.seeds import written_out
from kdlab.errors import KdlabError
from kdlab.outcome import LONGEST, Outcome, end_plainly, hush_full_disk, if_interrupted, mark_failed, reason, unmark

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def main(config: ComposedConfig) -> Outcome:
    """Run one experiment, or one point of a sweep; a failing point writes failure.txt and does not stop the others."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    sweep = Path(hydra_config.sweep.dir) if hydra_config.mode == RunMode.MULTIRUN else None
    unmark(folder)
    hush_full_disk()
    log.info("Results go to %s", folder)
    if not sweep:
        again = "" if config.store.folder is None else " The same command goes on where it was cut off."
        if_interrupted(f"Interrupted. {folder} has no results.json.{again}")
    try:
        from kdlab.pipeline import run
        from kdlab.report.terminal import print_run

        ended = run(config, folder, began=given_at(sweep), sweep=sweep, command=repeating(hydra_config, sweep=False))
        if sweep is None:
            print_run(ended.results, ended.page, folder)
        if not ended.results.failed:
            return Outcome("trained" if ended.trained else "reused", spent=ended.spent)
        failure = "\n".join(ended.results.failed.values())
        log.error("%s", failure)
    except KdlabError as error:
        log.error("%s", error)
        failure = str(error)
    except (Exception, SystemExit) as error:  # in the user's own code, or a fault in kdlab's
        log.exception("failed")
        failure = reason(error)
    with suppress(OSError):  # on a full disk; the reason has been told
        mark_failed(folder, failure)
    if not sweep:
        sys.exit(1)
    return Outcome("failed", failure[:LONGEST])


def experiments_listed() -> str:
    """Return what to type, and what each experiment asks."""
    known = experiments()
    width = max(map(len, known))
    lines = [
        textwrap.fill(f"{name:<{width}}  {question}", 100, initial_indent="  ", subsequent_indent=" " * (width + 4))
        for name, question in known.items()
    ]
    return "\n".join(["Choose an experiment: python -m kdlab.train +experiment=NAME, where NAME is one of", *lines])


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(experiments_listed())
    end_plainly()
    with composition_errors():
        sys.argv[1:] = written_out(sys.argv[1:])
        main()
