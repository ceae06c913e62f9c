"""Slots for jobs: one on each GPU, or each core; the cores are divided among them and never oversubscribed."""

import pytest

from kdlab.errors import ConfigError
from kdlab.sweeps import slots
from kdlab.sweeps.slots import Slot, cores, slots_for, visible_gpus


@pytest.mark.parametrize(
    ("jobs", "available", "slots", "count", "threads"),
    [
        (90, 2, "auto", 2, 1),
        (90, 64, "auto", 64, 1),
        (4, 64, "auto", 4, 16),
        (1, 2, "auto", 1, 2),
        (90, 2, 1, 1, 2),
        (90, 8, 3, 3, 2),
        (90, 2, 4, 4, 1),
    ],
)
def test_without_gpus_the_cores_are_divided_among_the_slots(jobs, available, slots, count, threads):
    assert slots_for(jobs, [], available, slots=slots) == [Slot(threads, None)] * count


def test_more_slots_than_memory_could_list_are_as_many_as_there_are_jobs():
    assert slots_for(3, [], 2, slots=10**12) == [Slot(1, None)] * 3
    assert [slot.gpu for slot in slots_for(3, ["2", "5"], 16, jobs_per_gpu=10**12)] == ["2", "5", "2"]
    assert len(slots_for(3, ["2", "5"], 16, slots=10**12, jobs_per_gpu=10**12)) == 3


def test_each_gpu_gets_a_slot_before_any_gets_a_second():
    assert [slot.gpu for slot in slots_for(90, ["2", "5"], 16, jobs_per_gpu=2)] == ["2", "5", "2", "5"]
    assert [slot.gpu for slot in slots_for(3, ["2", "5"], 16, jobs_per_gpu=2)] == ["2", "5", "2"]
    assert [slot.gpu for slot in slots_for(90, ["2", "5"], 16, slots=1)] == ["2"]
    assert {slot.threads for slot in slots_for(90, ["2", "5"], 16)} == {8}


def test_a_slot_names_its_gpu_and_its_threads_to_the_job():
    assert Slot(3, "MIG-1").environment["CUDA_VISIBLE_DEVICES"] == "MIG-1"
    assert Slot(3, "0").environment["OMP_NUM_THREADS"] == "3"
    assert "CUDA_VISIBLE_DEVICES" not in Slot(3, None).environment


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slots": 0}, r"hydra\.launcher\.slots=0: must be auto or an integer of at least 1"),
        ({"slots": "two"}, r"slots=two"),
        ({"jobs_per_gpu": 0.5}, r"jobs_per_gpu=0\.5: must be an integer"),
        ({"slots": 3}, r"slots=3: 2 GPUs with hydra\.launcher\.jobs_per_gpu=1 have 2 slots"),
    ],
)
def test_impossible_settings_are_refused_with_the_key_and_the_remedy(settings, message):
    with pytest.raises(ConfigError, match=message):
        slots_for(9, ["0", "1"], 4, **settings)


def test_the_users_own_limits_are_kept(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cores() == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    assert visible_gpus() == ["3", "GPU-abc"]
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert visible_gpus() == []


@pytest.mark.parametrize(("driver", "gpus"), [("kfd", ["0", "1"]), ("none", [])])
def test_gpus_are_found_by_their_driver_where_there_is_no_nvidia_smi(monkeypatch, tmp_path, driver, gpus):
    (tmp_path / "kfd").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(slots, "GPU_DEVICES", [str(tmp_path / driver)])
    monkeypatch.setattr(slots, "COUNT_GPUS", "print(2)")  # a machine with two GPUs; torch sees none on this one
    assert visible_gpus() == gpus
