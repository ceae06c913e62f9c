"""The hardware of a run, as far as a machine without a GPU can show it; more where there is one."""

import platform
import subprocess
import sys

import pytest
import torch

from kdlab.hardware import choose, environment
from kdlab.limits import shown

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_float32_means_float32():
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    choose("cpu", "32-true")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_a_step_frees_is_not_fetched_from_the_system_again():
    steps = """
import resource, torch
from torch import nn
from kdlab.hardware import choose

choose("cpu", "32-true")
net, inputs = nn.Sequential(*[nn.Linear(1000, 1000) for _ in range(4)]), torch.rand(8, 1000)
for step in range(40):
    if step == 30:  # by then a process has all that its steps need
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    net.zero_grad()
    net(inputs).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", steps], capture_output=True, text=True, check=True)
    # A step's gradients, 16 MB, are 4,000 pages.
    assert int(done.stdout) < 1000


@pytest.mark.parametrize("value", ["yes", 2, None, "True"])
def test_a_choice_of_algorithms_that_does_not_exist_is_named(value):
    with pytest.raises(ValueError, match=f"deterministic={shown(value)}: must be one of true, false, warn"):
        choose("cpu", "32-true", 1, value)


@CUDA
@pytest.mark.parametrize("deterministic", [True, "warn", False])
def test_a_gpu_uses_the_algorithms_that_were_asked_for(deterministic):
    choose("gpu", "32-true", 1, deterministic)
    assert torch.are_deterministic_algorithms_enabled() == bool(deterministic)
    assert torch.is_deterministic_algorithms_warn_only_enabled() == (deterministic == "warn")


@CUDA
def test_results_on_a_gpu_record_its_software():
    found = environment(choose("gpu", "32-true"))
    assert {"cuda", "rocm", "cudnn", "driver"} <= set(found)
    assert "unknown" not in str(found["driver"])
