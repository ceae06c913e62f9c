"""Time an experiment over seeds, by turns: one seed, several one fit at a time, and several in stacks.

python benchmarks/seeds.py --seeds 10
python benchmarks/seeds.py --seeds 5 +experiment=blobs_targets data.train_samples=200

On blobs each seed draws a sample of its own. The times are those of whole commands, with an empty store.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time

RUN = ("+experiment=blobs_targets", "teacher.max_epochs=30", "student.max_epochs=30")
ALWAYS = ("trainer=cpu", "figures=false", "hydra.launcher.slots=1")


def seconds(*overrides: str) -> float:
    """Run the command in a new folder; return how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "kdlab.train", *ALWAYS, *overrides]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return time.perf_counter() - start


def main() -> None:
    """Measure in alternating rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", default=list(RUN), help="of the experiment")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=1)
    given = parser.parse_args()
    kinds = {
        "one seed": ("seeds=1",),
        f"{given.seeds} seeds, one fit at a time": (f"seeds={given.seeds}", "trainer.stack=off"),
        f"{given.seeds} seeds in stacks": (f"seeds={given.seeds}",),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(given.repeats):
        for kind, how in kinds.items():
            times[kind].append(seconds(*given.overrides, *how))
            print(f"round {number + 1}, {kind}: {times[kind][-1]:.1f} s", flush=True)
    one, apart, stacked = (statistics.median(found) for found in times.values())
    medians = {kind: round(statistics.median(found), 1) for kind, found in times.items()}
    print(json.dumps(medians | {"to one seed": round(stacked / one, 2), "to one at a time": round(stacked / apart, 2)}))


if __name__ == "__main__":
    main()
