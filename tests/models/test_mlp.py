"""The MLPs: dropout and max-norm act where they should."""

import pytest
import torch

from kdlab.models import MLP


def test_dropout_acts_in_training_alone():
    net = MLP(inputs=20, widths=[50], outputs=4, input_dropout=0.2, hidden_dropout=0.5)
    x = torch.ones(2, 20)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_max_norm_bounds_the_incoming_weights_of_hidden_units_before_each_training_step():
    net = MLP(inputs=20, widths=[8, 8], outputs=4, max_norm=0.5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(100)
    output_weights = net.layers.logits.weight.clone()
    net.train()(torch.ones(2, 20))
    assert net.layers.hidden1.weight.norm(dim=1).max() <= 0.5 + 1e-5
    assert net.layers.hidden2.weight.norm(dim=1).max() <= 0.5 + 1e-5
    assert torch.equal(net.layers.logits.weight, output_weights)


def test_evaluation_never_changes_weights():
    net = MLP(inputs=20, widths=[8], outputs=4, max_norm=0.01).eval()
    before = net.layers.hidden1.weight.clone()
    net(torch.ones(2, 20))
    assert torch.equal(before, net.layers.hidden1.weight)


def test_all_wrong_arguments_are_reported_at_once():
    with pytest.raises(ValueError, match=r"outputs=0(.|\n)*widths=\[5, -1\](.|\n)*input_dropout=1(.|\n)*max_norm=0"):
        MLP(inputs=4, widths=[5, -1], outputs=0, input_dropout=1, max_norm=0)
