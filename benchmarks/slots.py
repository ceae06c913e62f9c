"""Time a sweep over small students with one slot and with several, by turns, and print the medians.

python benchmarks/slots.py --slots 2 --repeats 3

Both start from an empty store and train the same fits. The time is that of the whole command.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

SWEEP = (
    "-m", "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "model@teacher.net=mlp_64",
    "model@student.net=mlp_30", "teacher.max_epochs=10", "student.max_epochs=60", "loss.temperature=1,4,20",
    "loss.alpha=0.5,0.9", "seed=0,1",
)  # fmt: skip


def seconds(slots: int) -> float:
    """Run the sweep in an empty folder and return how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "kdlab.train", *SWEEP, f"hydra.launcher.slots={slots}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start


def main() -> None:
    """Measure in alternating rounds, and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    times: dict[int, list[float]] = {1: [], arguments.slots: []}
    for round_number in range(arguments.repeats):
        for slots, measured in times.items():
            measured.append(seconds(slots))
            print(f"round {round_number + 1}, {slots} slots: {measured[-1]:.1f} s", flush=True)
    medians = {slots: statistics.median(measured) for slots, measured in times.items()}
    print(f"medians: {', '.join(f'{slots} slots {median:.1f} s' for slots, median in medians.items())}")
    print(f"{arguments.slots} slots are {medians[1] / medians[arguments.slots]:.2f} times as fast as one")


if __name__ == "__main__":
    main()
