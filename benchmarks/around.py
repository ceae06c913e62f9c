"""Time what stands around the training: a page, reports of large sweeps, a finished point given again.

python benchmarks/around.py                        # all parts, a few minutes
python benchmarks/around.py page report            # some of them

Each part runs in a process of its own. Sweeps for reports are made on the spot, without training. The last line is one
JSON object. Ratios are against a reference measured beside it: the page against the import of torch and lightning, a
report against reading its results.json files with Python's json.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path

from kdlab.results import Correction, Fit, Results, Row, write

# A run whose figures are those of dark_knowledge, on data that need no files.
RUN = (
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "model@teacher.net=mlp_64", "model@student.net=mlp_30",
    "teacher.max_epochs=6", "student.max_epochs=6",
)  # fmt: skip
POINTS = (
    "-m", "+experiment=blobs_unseen", "trainer=cpu", "teacher.max_epochs=1", "student.max_epochs=1",
    "data.train_samples=100", "data.test_samples=200", "hydra.launcher.slots=1",
)  # fmt: skip
METRICS = ("accuracy", "errors", "nll", "ece", "agreement")
# Draws the page of a finished run, and prints how long drawing took without opening the run.
DRAW = """
import sys, time
from pathlib import Path
start = time.perf_counter()
import torch, lightning
imported = time.perf_counter() - start
from kdlab.measure.reopen import measure_again, reopen
from kdlab.report.run import illustrate
results, context, fits = reopen(Path(sys.argv[1]))
measured = measure_again(results, context, fits)
start = time.perf_counter()
illustrate(context, fits, measured, results)
print(time.perf_counter() - start, imported)
"""


# Draws what depends most on the number of classes, and prints how long that took.
THOUSAND = """
import time, torch
from kdlab.measure.confusion import confusion
from kdlab.report import class_similarity, confusion_matrices, decision_regions, softened_targets, target_entropy
from kdlab.report.page import picture
draw = torch.Generator().manual_seed(0)
names = [f"class {c}" for c in range(1000)]
logits, labels = 3 * torch.randn(5000, 1000, generator=draw), torch.randint(0, 1000, (5000,), generator=draw)
plane, place = torch.randn(160, 160, 1000, generator=draw).softmax(dim=2), torch.rand(5000, 2, generator=draw)
start = time.perf_counter()
for figure in (
    softened_targets(logits[:6], labels[:6], class_names=names),
    target_entropy(logits),
    class_similarity(logits, labels, temperature=4.0, class_names=names),
    confusion_matrices({"a": confusion(logits, labels)}, class_names=names, held_out={}),
    decision_regions({"a": plane}, (0, 1, 0, 1), place[:400], labels[:400], class_names=names),
):
    picture("", "", figure)
print(time.perf_counter() - start)
"""


def page() -> dict[str, float]:
    """Draw the page of a run with all its figures."""
    with tempfile.TemporaryDirectory() as folder:
        _train(*RUN, "figures=false", "hydra.run.dir=run", folder=folder)
        drawn = subprocess.run(
            [sys.executable, "-c", DRAW, f"{folder}/run"], check=True, capture_output=True, text=True
        )
        seconds, imported = map(float, drawn.stdout.split())
    return {"seconds": seconds, "to_import_of_torch": seconds / imported}


def report() -> dict[str, float]:
    """Report on 1,000 points of 916 rows."""
    return _reported(points=1000, classes=10)


def classes() -> dict[str, float]:
    """Report on 100 points with 100 classes."""
    return _reported(points=100, classes=100)


def again() -> dict[str, float]:
    """Give a sweep of finished points again; the time of one point, from sweeps of two and of forty points."""
    with tempfile.TemporaryDirectory() as folder:
        taken = []
        for points in (2, 40):
            sweep = (*POINTS, f"optimizer.weight_decay=range({points})")
            _train(*sweep, folder=folder)
            taken.append(_train(*sweep, folder=folder))
    return {"seconds_each": (taken[1] - taken[0]) / 38, "seconds_of_two": taken[0]}


def thousand() -> dict[str, float]:
    """Draw figures of one run with 1,000 classes, from made logits."""
    seconds = subprocess.run([sys.executable, "-c", THOUSAND], check=True, capture_output=True, text=True).stdout
    return {"seconds": float(seconds)}


def made(points: int, class_count: int) -> Iterator[Results]:
    """Yield the results of points over temperature, alpha, learning rate and seed, as a run could have found them."""
    grid = product((1, 2, 3, 4, 6, 8, 12, 16, 20, 40), (0, 0.25, 0.5, 0.9, 1), (0.003, 0.01, 0.03, 0.1), range(5))
    for temperature, alpha, lr, seed in islice(grid, points):
        loss = {"_target_": "kdlab.losses.DistillationLoss", "temperature": temperature, "alpha": alpha}
        student = {"loss": loss, "seed": seed, "optimizer": {"lr": lr}, "net": {"widths": [30]}}
        config = {"name": "made", "seed": seed, "loss": loss, "optimizer": {"lr": lr}, "student": student}
        keys = {"teacher": (seed,), "baseline": (lr, seed), "distilled": (temperature, alpha, lr, seed)}
        fits = [
            Fit(arm, "-".join(map(str, key)), False, 20, 10.0, 25450, targets=arm, teacher="teacher")
            for arm, key in keys.items()
        ]
        rows = [row for arm, key in keys.items() for row in _rows(arm, class_count, str(key))]
        environment = {"torch": "2", "command": "python -m kdlab.train"}
        yield Results("made", "digits", seed, [3], config, environment, fits, rows)


def _rows(arm: str, class_count: int, key: str) -> Iterator[Row]:
    """Yield an arm's rows; the same for the same key."""
    draw = random.Random(key).random
    corrections: tuple[Correction, ...] = ("none",) if arm == "teacher" else ("none", "prior", "oracle")
    groups = ("all", "seen", "unseen", *map(str, range(class_count)))
    for split, correction, group, metric in product(("val", "test"), corrections, groups, METRICS):
        yield Row(arm, split, group, correction, metric, int(1000 * draw()) if metric == "errors" else draw(), 1000)


def _reported(*, points: int, classes: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, results in enumerate(made(points, classes)):
            (folder / str(number) / ".hydra").mkdir(parents=True)
            (folder / str(number) / ".hydra" / "overrides.yaml").write_text(f"- seed={results.seed}\n")
            write(results, folder / str(number) / "results.json")
        start = time.perf_counter()
        for path in folder.glob("*/results.json"):
            json.loads(path.read_bytes())
        read = time.perf_counter() - start
        start = time.perf_counter()
        code = "import sys; from kdlab.report.__main__ import main; main(); assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", code, name], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        sizes = {f"{name}_bytes": (folder / name).stat().st_size for name in ("report.html", "report/rows.csv")}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"seconds": seconds, "to_reading": seconds / read, "peak_bytes": peak, **sizes}


def _train(*arguments: str, folder: str) -> float:
    """Run a command in a folder; return its seconds."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "kdlab.train", *arguments]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


PARTS = {part.__name__: part for part in (page, report, classes, thousand, again)}


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"default: {' '.join(PARTS)}")
    arguments = parser.parse_args()
    if len(arguments.parts) == 1:
        (name,) = arguments.parts
        found = {name: {what: round(value, 3) for what, value in PARTS[name]().items()}}
        print(PARTS[name].__doc__, file=sys.stderr)
    else:
        found = {}
        for name in arguments.parts or PARTS:
            # In a process of its own, whose children's memory is measured.
            done = subprocess.run([sys.executable, __file__, name], check=True, stdout=subprocess.PIPE, text=True)
            found |= json.loads(done.stdout.splitlines()[-1])
            print(f"{name}: {found[name]}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
