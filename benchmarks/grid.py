"""Time a grid of 36 points against one point: fits one by one, and in stacks. Whole commands, one after the other.

python benchmarks/grid.py                            # mlp_30 on MNIST
python benchmarks/grid.py --model mlp_800 --data digits
python benchmarks/grid.py student.max_epochs=3 --students 1 4 12 36 --figure docs/stacks.png    # time over students

The teacher is in the store before anything is timed. The last line is one JSON object.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

GRID = ("loss.temperature=1,2,4,8,12,20", "loss.alpha=0.1,0.5,0.9", "optimizer.lr=0.01,0.03")
POINT = ("loss.temperature=4", "loss.alpha=0.5", "optimizer.lr=0.01")
STACKS = {"off": "off", "stack": "auto"}


def seconds(scratch: Path, teacher: Path, *arguments: str) -> float:
    """Run one command with a store that holds the teacher alone; return how long it took."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    shutil.copytree(teacher, folder / "outputs" / "store" / teacher.name)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kdlab.train", *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def trained_teacher(scratch: Path, *arguments: str) -> Path:
    """Run one point; return its teacher's entry in the store."""
    subprocess.run([sys.executable, "-m", "kdlab.train", *arguments], cwd=scratch, check=True, capture_output=True)
    (results,) = scratch.rglob("results.json")
    return scratch / "outputs" / "store" / json.loads(results.read_text())["fits"][0]["key"]


def draw(found: Mapping[str, float], students: Sequence[int], path: Path) -> None:
    """Draw the time of one run over the number of its distilled students, one by one and stacked."""
    from kdlab.report.figures.drawing import described, png, sheet

    figure = sheet(5.2, 3.2)
    panel = figure.subplots()
    for how, label, marker in (("off", "one by one", "o"), ("stack", "stacked", "s")):
        panel.plot(students, [found[f"{how}_{n}"] for n in students], marker=marker, label=label)
    panel.set(xlabel="distilled students in one run", ylabel="seconds of the whole command", xticks=list(students))
    panel.set_ylim(0)
    panel.grid()
    panel.legend()
    path.write_bytes(png(described(figure, "Lines: seconds over the number of students, one by one and stacked.")))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mlp_30")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--students", type=int, nargs="*", default=[], help="numbers of distilled students, in one run")
    parser.add_argument("--figure", type=Path, help="with --students: draw the times into this PNG file")
    parser.add_argument("more", nargs="*", help="further overrides, such as student.max_epochs=3")
    given = parser.parse_args()
    common = (
        "+experiment=dark_knowledge", f"data={given.data}", "trainer=cpu", f"model@student.net={given.model}",
        "figures=false", *given.more,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        teacher = trained_teacher(scratch, *common, *POINT)
        found: dict[str, float | int] = {}
        if given.students:
            for students in given.students:
                arms = [f"+arms.student{i}.loss.temperature={i + 1}" for i in range(students)]
                for how, stack in STACKS.items():
                    found[f"{how}_{students}"] = seconds(scratch, teacher, *common, *arms, f"trainer.stack={stack}")
                    print(f"{students} students, {how}: {found[f'{how}_{students}']:.1f} s", flush=True)
            if given.figure:
                draw(found, given.students, given.figure)
        else:
            found["one"] = seconds(scratch, teacher, *common, *POINT)
            print(f"one point: {found['one']:.1f} s", flush=True)
            for how, stack in STACKS.items():
                found[how] = seconds(scratch, teacher, "-m", *common, *GRID, f"trainer.stack={stack}")
                print(f"36 points, {how}: {found[how]:.1f} s", flush=True)
            found["points"] = 36
        print(json.dumps({name: round(value, 1) for name, value in found.items()}))


if __name__ == "__main__":
    main()
