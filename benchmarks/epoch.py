"""Time one distillation epoch of 784-800-800-10 on MNIST (batch 128) in three ways, by turns, and print the medians.

- `kdlab`, `kdlab_fp32`: `kdlab.fits.fit.fit` of one epoch, from call to return, as an experiment runs it (Lightning,
  DataModule, cached teacher logits, TensorBoard); at kdlab's default precision and in float32.
- `bare`, `bare_fp32`: a plain loop over tensors with cached teacher probabilities, at the same two precisions.
- `conventional_fp32`: the usual code, with a `DataLoader`, per-sample transforms, a live 784-1200-1200-10 teacher, and
  the loss read in each step; with 0 or 2 worker processes, whichever is faster on this machine.

    python benchmarks/epoch.py [--repeats 5] [--accelerator auto]

Teacher logits are computed before the clock starts: a run computes them once for all students and epochs.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST

from kdlab import hardware
from kdlab.data import MNISTData
from kdlab.fits.fit import fit
from kdlab.fits.logits import logits_of
from kdlab.limits import ACCELERATORS
from kdlab.losses import DistillationLoss
from kdlab.models import MLP
from kdlab.modules import CachedTeacher, Distilled
from kdlab.schedules import cosine

TEMPERATURE, ALPHA, BATCH_SIZE, LR, MOMENTUM = 4.0, 0.9, 128, 0.05, 0.9


def student() -> MLP:
    """Return the paper's small network with the same initial weights each time."""
    torch.manual_seed(0)
    return MLP(inputs=784, widths=[800, 800], outputs=10)


def teacher() -> MLP:
    """Return the paper's large network; its weights do not affect the time."""
    torch.manual_seed(1)
    return MLP(inputs=784, widths=[1200, 1200], outputs=10).eval().requires_grad_(False)


def kdlab(data: MNISTData, logits: Tensor, machine: hardware.Hardware) -> None:
    """Run one epoch as kdlab does."""
    module = Distilled(
        student(),
        loss=DistillationLoss(TEMPERATURE, ALPHA),
        teacher=CachedTeacher(logits),
        optimizer=partial(torch.optim.SGD, lr=LR, momentum=MOMENTUM, fused=True),
        schedule=cosine,
    )
    view = data.for_fit(held_out=[], augment=nn.Identity(), order_seed=0)
    with tempfile.TemporaryDirectory() as folder:
        fit("distilled", module, view, max_epochs=1, seed=0, hardware=machine, board=Path(folder) / "board")


def bare(data: MNISTData, logits: Tensor, machine: hardware.Hardware) -> None:
    """Run one epoch as a plain loop over tensors."""
    device = machine.device
    images, labels = data.train.inputs.to(device), data.train.labels.to(device)
    soft = (logits.to(device) / TEMPERATURE).softmax(dim=1)
    net = student().to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM, fused=True)
    use_bf16 = machine.precision == "bf16-mixed"
    for ids in torch.randperm(len(images)).to(device).split(BATCH_SIZE):
        with torch.autocast(device.type, torch.bfloat16) if use_bf16 else nullcontext():
            z = net(images[ids].float() / 255)
        z = z.float()
        kl = F.kl_div(F.log_softmax(z / TEMPERATURE, dim=1), soft[ids], reduction="batchmean")
        loss = ALPHA * TEMPERATURE**2 * kl + (1 - ALPHA) * F.cross_entropy(z, labels[ids])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    wait_for(device)


def conventional(dataset: MNIST, device: torch.device, workers: int) -> None:
    """Run one epoch of the usual code."""
    loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=workers)
    net, large = student().to(device), teacher().to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM)
    total = 0.0
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        with torch.no_grad():
            soft = (large(x) / TEMPERATURE).softmax(dim=1)
        z = net(x)
        kl = F.kl_div(F.log_softmax(z / TEMPERATURE, dim=1), soft, reduction="batchmean")
        loss = ALPHA * TEMPERATURE**2 * kl + (1 - ALPHA) * F.cross_entropy(z, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has finished its queue."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], None]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds, after one for warming up")
    parser.add_argument("--accelerator", default="auto", choices=ACCELERATORS)
    arguments = parser.parse_args()

    default = hardware.choose(arguments.accelerator, "auto")
    float32 = default._replace(precision="32-true")
    data = MNISTData(val_size=0, batch_size=BATCH_SIZE)
    data.setup()
    logits = logits_of(teacher(), data.train.inputs, data.scale, default.device, data.inference_size)
    folder = next(folder for folder in data.folders if (folder / "MNIST" / "raw").is_dir())
    scaling = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    dataset = MNIST(str(folder), transform=scaling)
    workers = min((0, 2), key=lambda n: seconds(partial(conventional, dataset, default.device, n)))

    ways: dict[str, Callable[[], None]] = {
        "kdlab": partial(kdlab, data, logits, default),
        "kdlab_fp32": partial(kdlab, data, logits, float32),
        "bare": partial(bare, data, logits, default),
        "bare_fp32": partial(bare, data, logits, float32),
        "conventional_fp32": partial(conventional, dataset, default.device, workers),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(arguments.repeats + 1):
        for name, work in ways.items():
            times[name].append(seconds(work))
        if repeat == 0:  # for warming up
            times = {name: [] for name in ways}
    medians = {name: statistics.median(taken) for name, taken in times.items()}

    print(f"machine: {hardware.environment(default)}")
    print(f"conventional DataLoader: {workers} workers")
    for name, taken in times.items():
        print(f"{name:18} median {medians[name]:6.2f} s   min {min(taken):6.2f}   max {max(taken):6.2f}")
    print(f"kdlab / bare, at {default.precision}: {medians['kdlab'] / medians['bare']:.2f}")
    print(f"kdlab / bare, at 32-true: {medians['kdlab_fp32'] / medians['bare_fp32']:.2f}")
    print(f"conventional float32 / kdlab: {medians['conventional_fp32'] / medians['kdlab']:.2f}")
    print(json.dumps({name: round(value, 4) for name, value in medians.items()}))


if __name__ == "__main__":
    main()
