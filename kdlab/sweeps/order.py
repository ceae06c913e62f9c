"""The order in which a sweep's points are started."""

from collections.abc import Iterable

from kdlab.sweeps.job import Job

# The beginnings of keys that change no teacher.
OF_STUDENTS = (
    "student", "arms", "every_arm", "loss", "optimizer", "schedule", "evaluation", "figures", "name", "question",
    "store",
)  # fmt: skip


def teachers_first(jobs: Iterable[Job]) -> list[Job]:
    """Put one point for each distinct teacher first: slots train teachers side by side instead of waiting for one.

    Teachers are told apart by the overrides, without composing: one point too many in front costs nothing.
    """
    jobs = list(jobs)
    first: dict[tuple[str, ...], Job] = {}
    for job in jobs:
        first.setdefault(tuple(line for line in job.overrides if not _of_students(line)), job)
    front = {job.number for job in first.values()}
    return [*first.values(), *(job for job in jobs if job.number not in front)]


def _of_students(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    target = key.partition("@")[2] or key  # model@student.net: the student's
    return target.split(".")[0] in OF_STUDENTS
