"""The command line: compose the config and hand it to the pipeline. Imports no torch, so that `--help` is quick.

python -m kdlab.train +experiment=dark_knowledge
"""

import hashlib
import logging
import sys
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from kdlab.command import repeating
from kdlab.errors import KdlabError, Terminated, stop_status
from kdlab.point import LONGEST, Outcome, mark_failed, unmark

PACKAGE = Path(__file__).resolve().parent
# In a wheel the configs lie inside the package, in a checkout beside it.
CONFIGS = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
# Arguments that say how a sweep is run, not what it is.
HOW = ("hydra/launcher", "hydra.launcher", "hydra.verbose", "store")

log = logging.getLogger(__name__)


def sweep_id() -> str:
    """Return a name for the sweep that this command describes; the same command again goes on with the same sweep."""
    what = [argument for argument in sys.argv[1:] if not argument.lstrip("+~").startswith(HOW)]
    return hashlib.sha256("\0".join(what).encode()).hexdigest()[:8]


OmegaConf.register_new_resolver("sweep_id", sweep_id, use_cache=True, replace=True)


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def main(config: DictConfig) -> Outcome:
    """Run one experiment, or one point of a sweep; a point that fails says so in its folder and stops no other."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    sweep = Path(hydra_config.sweep.dir) if hydra_config.mode == RunMode.MULTIRUN else None
    unmark(folder)
    log.info("Results go to %s", folder)
    try:
        from kdlab.pipeline import run

        _, trained = run(config, folder, began=_began(sweep), sweep=sweep, command=repeating(hydra_config, sweep=False))
        return Outcome("trained" if trained else "reused")
    except KdlabError as error:
        log.error("%s", error)
        failure = str(error)
    except (KeyboardInterrupt, Terminated) as stop:
        if sweep:
            raise
        again = "" if config.store.folder is None else " The same command goes on where it was cut off."
        log.error("Interrupted. %s has no results.json.%s", folder, again)
        sys.exit(stop_status(stop))
    except (Exception, SystemExit) as error:  # in the user's own code, or a fault in kdlab's
        if not sweep:
            raise
        log.exception("failed")
        failure = f"{type(error).__name__}: {error}"
    if not sweep:
        sys.exit(1)
    mark_failed(folder, failure)
    return Outcome("failed", failure[:LONGEST])


def _began(sweep: Path | None) -> float:
    """Return when the command was given; for a sweep when Hydra wrote down what it is, by the file system's clock."""
    written = sweep / "multirun.yaml" if sweep else None
    return written.stat().st_mtime if written and written.exists() else time.time()


if __name__ == "__main__":
    main()
