"""Time a run's students one after the other and side by side, by turns, and print the medians and their ratio.

python benchmarks/arms.py --repeats 3
python benchmarks/arms.py +experiment=cnn_temperature student.max_epochs=1

The teacher is in the store. The time is that of the whole command.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = ("+experiment=dark_knowledge", "student.max_epochs=5")
ALWAYS = ("trainer=cpu", "teacher.max_epochs=1", "figures=false")


def run(folder: Path, overrides: list[str], stack: str) -> tuple[float, dict[str, object]]:
    """Run the command in a folder; return its seconds and its results."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "kdlab.train", *ALWAYS, *overrides, f"trainer.stack={stack}", "hydra.run.dir=run"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start, json.loads((folder / "run" / "results.json").read_text())


def measured(teacher: Path, overrides: list[str], stack: str) -> float:
    """Return the seconds of a run that finds its teacher in a copy of this store."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(teacher, Path(folder) / "outputs" / "store")
        return run(Path(folder), overrides, stack)[0]


def main() -> None:
    """Measure in alternating rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", default=list(RUN), help="of the run")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {"off": [], "auto": []}
    with tempfile.TemporaryDirectory() as first:
        _, results = run(Path(first), arguments.overrides, "off")
        store = Path(first) / "outputs" / "store"
        for fit in results["fits"]:  # type: ignore[attr-defined]
            if fit["arm"] != "teacher":
                shutil.rmtree(store / fit["key"])
        for number in range(arguments.repeats):
            for stack, seconds in times.items():
                seconds.append(measured(store, arguments.overrides, stack))
                print(f"round {number + 1}, trainer.stack={stack}: {seconds[-1]:.1f} s", flush=True)
    one, other = (statistics.median(seconds) for seconds in times.values())
    print(json.dumps({"off": round(one, 1), "auto": round(other, 1), "ratio": round(other / one, 2)}))


if __name__ == "__main__":
    main()
