"""One fit over several devices: here two processes on the CPU, in a real run."""

import pytest

from kdlab.results import read

RUN = (
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "data.passes_per_epoch=1", "model@teacher.net=mlp_64",
    "model@student.net=mlp_30", "augment@teacher.augment=none", "teacher.max_epochs=4", "student.max_epochs=3",
    "optimizer.lr=0.05", "figures=false", "student.patience=2",
)  # fmt: skip


# A job of one task: Lightning would take its own two processes for the only task, rank 0, both.
SLURM_JOB = {
    "SLURM_JOB_ID": "1", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "mine", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}  # fmt: skip


@pytest.mark.timeout(400)
# bfloat16 keeps 8 bits: each process rounds its half of a gradient by up to 2⁻⁹ of it.
@pytest.mark.parametrize(
    ("precision", "rounding", "job"), [("32-true", 1e-5, {}), ("bf16-mixed", 2**-9, SLURM_JOB)], ids=["", "in_slurm"]
)
def test_two_processes_come_to_what_one_comes_to_but_for_rounding(kdlab_train, tmp_path, precision, rounding, job):
    found = {}
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        folder.mkdir()
        arguments = (*RUN, f"trainer.devices={devices}", f"trainer.precision={precision}")
        done = kdlab_train(*arguments, folder=folder, interpreters=3 * devices, **job)
        assert done.returncode == 0, done.stderr
        assert "Warn" not in done.stderr
        (path,) = folder.rglob("results.json")
        found[devices] = read(path)
        curves = path.with_name("curves.csv").read_text().splitlines()[1:]
        found[devices, "curves"] = {tuple(line.split(",")[:3]): float(line.split(",")[3]) for line in curves}
    one, two = found[1], found[2]
    # The students' 1,089 samples do not divide by two: one of them is seen twice in an epoch.
    assert [a.key == b.key for a, b in zip(one.fits, two.fits, strict=True)] == [True, False, False]
    assert [fit.epochs for fit in one.fits] == [fit.epochs for fit in two.fits]
    assert two.environment["devices"] == 2
    assert found[1, "curves"].keys() == found[2, "curves"].keys()
    for (arm, epoch, figure), value in found[1, "curves"].items():
        if "loss" in figure:
            tolerance = rounding if arm == "teacher" else 5e-3
            assert found[2, "curves"][arm, epoch, figure] == pytest.approx(value, rel=tolerance), (arm, epoch, figure)
    for arm in ("teacher", "baseline", "distilled"):
        first, second = (run.find(arm, "all", "accuracy").value for run in (one, two))
        assert second == pytest.approx(first, abs=0.02)


def test_what_cannot_be_shared_is_refused(kdlab_train, tmp_path):
    done = kdlab_train(*RUN, "trainer.devices=3")
    assert done.returncode == 1
    assert "data.batch_size=128: must be a multiple of trainer.devices=3" in done.stderr
    done = kdlab_train(*RUN, "teacher.batch_size=9", "trainer.devices=2")
    assert "teacher.batch_size=9: must be a multiple of trainer.devices=2" in done.stderr
    done = kdlab_train(*RUN, "trainer.devices=0")
    assert "trainer.devices=0: must be an integer of at least 1" in done.stderr
