"""The networks of conf/model: each has the size that its file and its source state."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from kdlab.config.read import filled_in
from kdlab.config.structure import plain_values
from kdlab.data import BlobsData, CIFAR10Data, CIFAR100Data, ClassificationData, MNISTData
from kdlab.train import CONFIGS

SIZES = {
    "mlp_1200": (MNISTData, 785 * 1200 + 1201 * 1200 + 1201 * 10),
    "mlp_800": (MNISTData, 785 * 800 + 801 * 800 + 801 * 10),
    "mlp_30": (MNISTData, 785 * 30 + 31 * 30 + 31 * 10),
    "mlp_196": (MNISTData, 785 * 196 + 197 * 10),
    "linear": (MNISTData, 785 * 10),
    "mlp_64": (BlobsData, 3 * 64 + 65 * 64 + 65 * 2),
    "mlp_4": (BlobsData, 3 * 4 + 5 * 2),
    "cnn_mnist_teacher": (MNISTData, 1_016_250),
    "cnn_mnist_student": (MNISTData, 20 + 76 + 577 * 32 + 33 * 10),
    "cnn_cifar_teacher": (CIFAR10Data, 728_386),
    "cnn_cifar_student": (CIFAR10Data, 229_486),
    "resnet20": (CIFAR10Data, 269_722),
    "resnet56": (CIFAR10Data, 853_018),
    # As the published tables of distillation on CIFAR-100 count them.
    "resnet20_b": (CIFAR100Data, 278_324),
    "resnet32_b": (CIFAR100Data, 472_756),
    "resnet56_b": (CIFAR100Data, 861_620),
    "resnet110_b": (CIFAR100Data, 1_736_564),
    "resnet8x4": (CIFAR100Data, 1_233_540),
    "resnet32x4": (CIFAR100Data, 7_433_860),
    "wrn_40_2": (CIFAR100Data, 2_255_156),
    "wrn_16_2": (CIFAR100Data, 703_284),
    "wrn_40_1": (CIFAR100Data, 569_780),
    "vgg8": (CIFAR100Data, 3_965_028),
    "vgg13": (CIFAR100Data, 9_462_180),
}


def build(name: str, data: ClassificationData) -> torch.nn.Module:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [f"model@student.net={name}"])
    return instantiate(filled_in(plain_values(config), data)["student"]["net"], _convert_="all")


@pytest.mark.parametrize("name", SIZES)
def test_a_configured_network_has_the_size_of_its_source(name):
    kind, parameters = SIZES[name]
    data = kind()
    net = build(name, data)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net(torch.rand(3, *data.input_shape)).shape == (3, len(data.class_names))
    text = (CONFIGS / "model" / f"{name}.yaml").read_text()
    assert f"{parameters:,} parameters" in text or "parameters" not in text


def test_every_configured_network_except_the_users_own_is_tested():
    assert {path.stem for path in (CONFIGS / "model").iterdir()} == {*SIZES, "own", "timm", "torchvision"}


def test_sizes_of_null_come_from_the_data_and_others_stay():
    assert build("mlp_800", BlobsData(classes=5, dimension=7)).layers.hidden1.in_features == 7
    assert build("resnet20", MNISTData())(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", ["student.net.outputs=4", "+model@arms.small.net=linear"])
    filled = filled_in(plain_values(config), BlobsData())
    nets = (filled["student"]["net"], filled["teacher"]["net"], filled["arms"]["small"]["net"])
    assert [net["outputs"] for net in nets] == [4, 2, 2]
    assert config.teacher.net.outputs is None
