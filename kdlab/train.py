"""The command line: compose the config and hand it to the pipeline. Imports no torch, so that `--help` is quick.

python -m kdlab.train +experiment=dark_knowledge
"""

import logging
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from kdlab.errors import KdlabError

PACKAGE = Path(__file__).resolve().parent
# In a wheel the configs lie inside the package, in a checkout beside it.
CONFIGS = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def main(config: DictConfig) -> None:
    """Run one experiment."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    log.info("Results go to %s", folder)
    try:
        from kdlab.pipeline import run

        run(config, folder)
    except KdlabError as error:
        log.error("%s", error)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise  # an exit would take the sweep's other jobs with it
        sys.exit(1)
    except KeyboardInterrupt:
        missing = "" if (folder / "results.json").exists() else "; it has no results.json"
        log.error("Interrupted. %s holds what was finished%s.", folder, missing)
        sys.exit(130)


if __name__ == "__main__":
    main()
