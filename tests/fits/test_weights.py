"""Weights in files: what is accepted, and what a wrong file's error says."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kdlab.fits import weights
from kdlab.fits.weights import CheckpointError


def network(width: int = 5, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_weights_come_back_as_they_were(tmp_path, kind):
    path = tmp_path / f"weights.{kind}"
    net, other = network(seed=0), network(seed=1)
    if kind == "pt":
        weights.save(net, path)
    else:
        save_file(net.state_dict(), path)
    assert weights.checksum(net) != weights.checksum(other)
    weights.load(other, path)
    assert weights.checksum(net) == weights.checksum(other)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_weights_of_another_network_are_refused_with_what_differs(tmp_path):
    path = tmp_path / "weights.pt"
    weights.save(network(width=6), path)
    with pytest.raises(CheckpointError, match=r"weights.pt holds other weights.*0.weight is \(6, 3\).*\(5, 3\).*more"):
        weights.load(network(), path)
    weights.save(nn.Linear(3, 2), path)
    with pytest.raises(CheckpointError, match=r"it lacks 0.weight"):
        weights.load(network(), path)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_damaged_or_foreign_file_is_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(CheckpointError, match=f"{name}: no such file"):
        weights.load(network(), path)
    path.write_bytes(b"not weights at all")
    with pytest.raises(CheckpointError, match=name):
        weights.load(network(), path)


def test_a_pickled_network_is_refused_without_being_run(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(network(), path)
    with pytest.raises(CheckpointError, match="no state_dict that torch"):
        weights.load(network(), path)
    torch.save({"weights": network().state_dict()}, path)
    with pytest.raises(CheckpointError, match="names with tensors"):
        weights.load(network(), path)


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "net.", "_orig_mod.module."])
def test_a_state_dict_inside_a_checkpoint_is_found_and_a_prefix_of_all_its_names_left_out(tmp_path, key, prefix):
    net, other = network(seed=0), network(seed=1)
    state = {f"{prefix}{name}": value for name, value in net.state_dict().items()}
    torch.save({key: state, "epoch": 3} if key else state, tmp_path / "weights.pt")
    weights.load(other, tmp_path / "weights.pt")
    assert weights.checksum(net) == weights.checksum(other)


class Masked(nn.Linear):
    """Keeps a mask with infinity, as attention does."""

    def __init__(self):
        super().__init__(2, 2)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda weight: weight.to_sparse(), r"of layout torch\.sparse_coo"),
        (lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8), "quantized"),
        (lambda weight: weight.to("meta"), "without values"),
        (lambda weight: weight.to(torch.complex64), "of torch.complex64, in the network torch.float32"),
        (lambda weight: weight.long(), "of torch.int64, in the network torch.float32"),
        (lambda weight: weight * torch.nan, "not finite"),
        (lambda weight: weight / 0, "not finite"),
        (lambda weight: weight.double() * 1e300, "not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # torch's own, about sparse and quantized tensors
def test_weights_that_torch_would_cast_or_cannot_copy_are_refused(tmp_path, change, what):
    state = nn.Linear(2, 2).state_dict()
    torch.save(state | {"weight": change(state["weight"])}, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=f"weights.pt .*(weight is )?{what}"):
        weights.load(nn.Linear(2, 2), tmp_path / "weights.pt")


def test_other_precisions_and_infinite_masks_are_loaded(tmp_path):
    torch.save(Masked().half().state_dict(), tmp_path / "weights.pt")
    net = Masked()
    weights.load(net, tmp_path / "weights.pt")
    assert net.weight.dtype == torch.float32
    assert net.mask.tolist() == [0, -torch.inf]
