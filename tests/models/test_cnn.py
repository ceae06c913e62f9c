"""The convolutional networks."""

import pytest
import torch
from torch import nn

from kdlab.models import CNN, ResNet

SMALL = {"inputs": [1, 12, 12], "channels": [3, 5], "strides": [1, 2], "widths": [7], "outputs": 4}


def test_a_cnn_is_its_layers_one_after_the_other():
    net = CNN(**SMALL, padding=1, pool=2).eval()
    conv1, norm1, _, _, conv2, norm2, _, _ = net.features
    x = torch.rand(6, 1, 12, 12)
    h = torch.max_pool2d(norm1(nn.functional.conv2d(x, conv1.weight, padding=1)).relu(), 2)
    h = torch.max_pool2d(norm2(nn.functional.conv2d(h, conv2.weight, stride=2, padding=1)).relu(), 2)
    hidden, logits = net.classifier.layers.hidden1, net.classifier.layers.logits
    assert torch.allclose(net(x), logits(hidden(h.flatten(1)).relu()), atol=1e-5)


def test_the_mnist_teachers_first_fully_connected_layer_has_1600_inputs_and_the_students_576():
    teacher = CNN(inputs=[1, 28, 28], channels=[16, 32, 64], strides=[1, 2, 2], widths=[512], outputs=10)
    student = CNN(inputs=[1, 28, 28], channels=[2, 4], strides=[1, 2], widths=[32], outputs=10, batch_norm=False)
    assert teacher.classifier.layers.hidden1.in_features == 1600
    assert student.classifier.layers.hidden1.in_features == 576
    assert not any(isinstance(module, nn.BatchNorm2d) for module in student.modules())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"inputs": 784}, r"inputs=784: must be \[channels, height, width\]"),
        ({"inputs": [1, 4, 4]}, "too small for the layers"),
        ({"channels": []}, r"channels=\[\]: must be a list of at least one"),
        ({"strides": [1]}, r"strides=\[1\]: must be a list of 2 integers"),
        ({"padding": 2}, "padding=2: must be 0 or 1"),
        ({"pool": 0}, "pool=0: must be an integer of at least 1"),
        ({"outputs": 0}, "outputs=0: must be an integer of at least 1"),
        ({"hidden_dropout": 1}, "hidden_dropout=1: a dropout probability"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        CNN(**(SMALL | wrong))


def test_a_residual_block_with_no_residual_is_its_shortcut():
    net = ResNet(depth=8, image_channels=3, outputs=10).eval()
    first, second, _ = net.blocks
    for block in (first, second):
        nn.init.zeros_(block.residual[-1].weight)
    x = torch.rand(2, 16, 8, 8)
    assert torch.equal(first(x), x)
    shrunk = second(x)
    assert torch.equal(shrunk[:, 8:24], x[:, :, ::2, ::2])  # option A: new channels are zero, on either side
    assert not shrunk[:, :8].any()
    assert not shrunk[:, 24:].any()


@pytest.mark.parametrize("depth", [18, 2, 20.0])
def test_a_depth_other_than_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match=f"depth={depth}: must be 6n"):
        ResNet(depth=depth, image_channels=3, outputs=10)


@pytest.mark.parametrize("net", [CNN(**SMALL), ResNet(depth=8, image_channels=1, outputs=4)])
def test_saved_weights_are_those_of_any_memory_format(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "net.pt")
    weights = torch.load(tmp_path / "net.pt", weights_only=True)
    assert all(torch.equal(weights[name], value) for name, value in net.state_dict().items())
