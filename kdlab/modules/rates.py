"""Learning rates of a network's parts: a share of the optimizer's, by how the names of their parameters begin."""

from collections.abc import Iterator, Mapping

from torch import nn

# Stands for all parameters but those of the last layer.
BODY = "body"


def shares_of(net: nn.Module, rates: Mapping[str, float]) -> dict[str, float]:
    """Return each parameter's share of the learning rate; the longest beginning of its name decides.

    Raises:
        ValueError: when no parameter's name begins as `rates` says.
    """
    names = [name for name, _ in net.named_parameters()]
    head = names[-1].rpartition(".")[0] if names else ""
    begins = {part: [name for name in names if _belongs(name, part, head)] for part in rates}
    if unknown := [part for part, found in begins.items() if not found]:
        first = dict.fromkeys(name.partition(".")[0] for name in names)
        raise ValueError(f"{unknown[0]}: no parameter's name begins so; there are {', '.join(first)}, and {BODY}")
    shares = dict.fromkeys(names, 1.0)
    for part in sorted(rates, key=lambda part: (part != BODY, len(part))):
        shares |= dict.fromkeys(begins[part], float(rates[part]))
    return shares


def frozen(net: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules that train no weight; in eval mode, their batch norms keep their statistics."""
    for module in net.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            yield module


def _belongs(name: str, part: str, head: str) -> bool:
    if part == BODY:
        return not name.startswith(f"{head}.")
    return name == part or name.startswith(f"{part}.")
