"""Which fits are trained at once, as one stack or side by side, and how many."""

import copy
import logging
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdlab.config.nodes import OWN
from kdlab.data.own_batches import in_common, own_bytes
from kdlab.fits.context import Context
from kdlab.fits.plan import Plan
from kdlab.fits.processes import can_fork
from kdlab.modules.stacked import outputs, stacked
from kdlab.modules.stacked_losses import described

# By measurement on two cores: a stack of 12 students takes 0.3 of the time of 12 fits with 25,000 parameters, 0.7 with
# 240,000, and more than theirs with 1,300,000, whose weights no longer fit the caches. Stacked convolutions, which a
# CPU computes in groups, take 1 to 2.3 of the time.
LARGEST_ON_CPU = 250_000
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# What a stack may take of a CPU's memory; of a GPU's it takes half of what is free.
CPU_BYTES = 2 * 2**30

log = logging.getLogger(__name__)


def stacks(plans: Sequence[Plan], context: Context) -> list[list[Plan]]:
    """Return the plans in groups, each to be trained at once; a fit that is trained alone is a group of its own.

    Fits of a group share the class and the shapes of their network, the data but for samples, split and order
    (`kdlab.data.own_batches.in_common`), epochs and patience, the optimizer but for its numbers, and the schedule. They
    may differ in loss, targets, teachers, seeds, and numbers of the optimizer.
    """
    alike: dict[str, list[Plan]] = defaultdict(list)
    alone: dict[str, list[Plan]] = defaultdict(list)
    for plan in plans:
        if (reason := _alone(plan, context)) is None:
            alike[_shape(plan)].append(plan)
        else:
            alone[reason].append(plan)
    for reason, group in alone.items():
        if reason and len(group) > 1:
            log.info("%s: not stacked, %s", _names(group), reason)
    found = [[plan] for group in alone.values() for plan in group]
    for group in alike.values():
        size = _largest(group, context)
        found += [group[start : start + size] for start in range(0, len(group), size)]
    return found


def companies(plans: Sequence[Plan], context: Context) -> list[list[Plan]]:
    """Return groups of plans that are to be trained side by side, as many as there are threads.

    They are those for which a stack is slower on a CPU, or not possible for their optimizer. Those of a group take the
    same number of steps with the same network. By measurement on two cores: two students of 1,300,000 parameters with a
    thread each take 0.7 of the time that they take one after the other with two.
    """
    size = torch.get_num_threads()
    on_cpu = context.hardware.device.type == "cpu" and context.hardware.devices == 1
    if context.stack != "auto" or not on_cpu or size == 1 or not can_fork():
        return []
    alike: dict[str, list[Plan]] = defaultdict(list)
    for plan in plans:
        if not plan.given and _alone(plan, context) is not None:
            steps = plan.recipe.max_epochs, len(plan.data.train_ids), plan.data.batch_size
            alike[repr((plan.recipe.net, *steps))].append(plan)
    return [group[at : at + size] for group in alike.values() for at in range(0, len(group) - size + 1, size)]


def have_room(plans: Sequence[Plan]) -> bool:
    """Tell whether fits that are trained side by side would take at most half of the machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return sum(map(_bytes, plans)) <= memory // 2


def _bytes(plan: Plan) -> int:
    """Return the bytes of a fit.

    They are those of weights, gradients, two moments and a copy; of activations and their gradients; and of the order
    and the samples that it may have for itself.
    """
    inputs = plan.data.scale(plan.data.train.inputs[:4])
    parameters = sum(p.numel() for p in plan.net.parameters())
    trained = 4 * (5 * parameters + 2 * _activations(plan.net, inputs) * plan.data.batch_size)
    return trained + own_bytes(plan.data)


def _alone(plan: Plan, context: Context) -> str | None:
    """Return why a fit is trained alone, "" where that needs no word; None for one that may be stacked.

    Needs no network with weights: for large ones, building them takes longer than all else that is planned.
    """
    if plan.given or context.stack == "off" or context.hardware.devices > 1:
        return ""
    if any(plan.recipe.optimizer.get(key) for key in OWN["optimizer"]):
        return f"since they have one of {', '.join(f'optimizer.{key}' for key in OWN['optimizer'])}"
    if context.stack == "auto" and context.hardware.device.type == "cpu" and (slow := _slow_on_cpu(plan.outline)):
        return f"which is faster on a CPU for {slow}"
    return None


def _largest(group: Sequence[Plan], context: Context) -> int:
    """Return how many of these fits are trained at once, and log why they are not, where that is so."""
    plan, asked, device = group[0], context.stack, context.hardware.device
    if len(group) == 1:
        return 1
    inputs = plan.data.scale(plan.data.train.inputs[: plan.data.batch_size])[:4]
    if problem := _refusal(plan.net, inputs):
        log.info("%s: not stacked, since a stack of their network is not possible: %s", _names(group), problem)
        return 1
    if asked != "auto":
        return int(asked)
    free = CPU_BYTES if device.type == "cpu" else torch.cuda.mem_get_info(device)[0] // 2
    return max(1, free // _bytes(plan))


def _slow_on_cpu(net: nn.Module) -> str | None:
    """Return what makes a stack of this network slower on a CPU than one by one; None for nothing."""
    if any(isinstance(part, CONVOLUTIONS) for part in net.modules()):
        return "convolutions"
    parameters = sum(p.numel() for p in net.parameters())
    return f"{parameters:,} parameters" if parameters > LARGEST_ON_CPU else None


def _names(group: Sequence[Plan]) -> str:
    names = list(dict.fromkeys(plan.name for plan in group))
    return ", ".join(names) if len(names) == len(group) else f"{len(group)} fits of {', '.join(names)}"


def _shape(plan: Plan) -> str:
    """Return what the fits of one stack share, as text."""
    recipe = plan.recipe
    return repr(
        [
            described(plan.net),
            in_common(plan.data),
            recipe.augment,
            _without_numbers(recipe.optimizer),
            recipe.schedule,
            recipe.max_epochs,
            recipe.patience,
        ]
    )


def _without_numbers(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_numbers(value) for key, value in sorted(node.items())}
    if isinstance(node, list | tuple):
        return [_without_numbers(item) for item in node]
    return "number" if isinstance(node, int | float) and not isinstance(node, bool) else node


def _refusal(net: nn.Module, inputs: Tensor) -> str | None:
    """Return why a network cannot be stacked; None where two stacked ones do, in a step, what each does alone."""
    alone, first, second = (copy.deepcopy(net).train() for _ in range(3))
    together = stacked([first, second])
    try:
        found = outputs(together, inputs)[1]
        expected = alone(inputs)
        for result in (found, expected):
            result.square().sum().backward()
    except Exception as error:  # functorch raises many kinds, among them for random numbers
        return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    pairs = [(found, expected)]
    pairs += [
        (value[1], own) for value, own in zip(together.state_dict().values(), alone.state_dict().values(), strict=True)
    ]
    pairs += [
        (value.grad[1], own.grad)
        for value, own in zip(together.parameters(), alone.parameters(), strict=True)
        if value.grad is not None and own.grad is not None
    ]
    same = all(torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-4) for a, b in pairs)
    return None if same else "stacked, it gives other outputs or other gradients"


@torch.no_grad()
def _activations(net: nn.Module, inputs: Tensor) -> int:
    """Return how many numbers the parts of a network put out for one sample."""
    counted: list[int] = []
    probe = copy.deepcopy(net).eval()
    for part in probe.modules():
        if not list(part.children()):
            part.register_forward_hook(lambda *call: counted.append(call[2].numel()))
    probe(inputs)
    return sum(counted) // len(inputs)
