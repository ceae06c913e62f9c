"""Any teacher in: other libraries' networks, weights trained elsewhere, each with the inputs that it was trained on."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from hydra import compose, initialize_config_dir
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.transforms.functional import normalize

import kdlab
from kdlab.config.networks import network_of
from kdlab.config.read import read
from kdlab.data import ImageFolderData
from kdlab.errors import ConfigError
from kdlab.fits.plan import new_network
from kdlab.fits.weights import CheckpointError
from kdlab.hashing import derive
from kdlab.models import MLP, Normalization
from kdlab.pipeline import run
from kdlab.results import Results
from kdlab.train import CONFIGS
from kdlab.zoo import from_timm

Stats = dict[str, list[float]]
IMAGENET: Stats = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
SIDE = 16
SMALL = [
    "+experiment=compress", "data=image_folder", "data.root=images", f"data.image_size={SIDE}", "trainer=cpu",
    "trainer.precision=32-true", "store=off", "figures=false", "model@student.net=mlp_30", "student.max_epochs=1",
    "data.passes_per_epoch=1", "augment@teacher.augment=none",
]  # fmt: skip
OURS = ["model@teacher.net=mlp_30", "teacher.net.widths=[24]"]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageFolderData:
    """Three classes of noisy colours that overlap, so that hardly a network is right on all of them."""
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 30)):
        for c, name in enumerate(("dim", "middle", "bright")):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = random.normal(90 + 25 * c, 90, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
                pixels[:, :, c] = pixels[:, :, c] // 8 * 8 + random.integers(0, 60, (SIDE, SIDE)) // 8
                Image.fromarray(pixels).save(tmp_path / "images" / split / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    data = ImageFolderData(root="images", image_size=SIDE)
    data.setup()
    return data


def as_elsewhere(pixels: Tensor, stats: Stats = IMAGENET) -> Tensor:
    """Images as a plain script prepares them."""
    return normalize(pixels.float() / 255, stats["mean"], stats["std"])


def trained_elsewhere(net: nn.Module, data: ImageFolderData, stats: Stats = IMAGENET, steps: int = 30) -> int:
    """Train a network by a plain loop; return its errors on the test images."""
    optimizer = torch.optim.Adam(net.parameters(), lr=0.002)
    seen, labels = as_elsewhere(data.train.inputs, stats), data.train.labels
    net.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(net(seen), labels).backward()
        optimizer.step()
    with torch.no_grad():
        return int((net.eval()(as_elsewhere(data.test.inputs, stats)).argmax(dim=1) != data.test.labels).sum())


def finished(*overrides: str, folder: str = "run") -> Results:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return run(compose("train", [*SMALL, *overrides]), Path(folder))[0]


def errors(results: Results) -> int:
    return int(results.value("teacher", ["all"], "errors"))


def own_net() -> nn.Module:
    torch.manual_seed(0)
    return MLP(inputs=[3, SIDE, SIDE], widths=[24], outputs=3)


def test_a_teacher_trained_with_imagenets_normalization_is_right_on_the_same_images_inside(images):
    net = own_net()
    outside = trained_elsewhere(net, images)
    assert outside > 0
    torch.save({"state_dict": {f"module.{name}": value for name, value in net.state_dict().items()}}, "mine.pt")
    asked = [f"+teacher.net.normalize={{mean: {IMAGENET['mean']}, std: {IMAGENET['std']}}}"]
    assert errors(finished(*OURS, "teacher.checkpoint=mine.pt", *asked, folder="with")) == outside
    with_the_datas = errors(finished(*OURS, "teacher.checkpoint=mine.pt", folder="without"))
    assert with_the_datas != outside
    # Opened later, from the run's folder alone, it still normalizes for itself.
    network = kdlab.load("with").networks["teacher"]
    expected = net(as_elsewhere(images.test.inputs)).softmax(dim=1)
    found = torch.tensor(network.predict(images.test.inputs).to_numpy())
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["timm", "torchvision"])
def test_a_librarys_network_from_a_file_is_right_on_the_same_images_inside(images, kind):
    """Its inputs are normalized as its published weights want it, without a word in the config."""
    torch.manual_seed(0)
    if kind == "timm":
        name, net = "test_resnet", timm.create_model("test_resnet", num_classes=3)
        stats = {key: list(net.pretrained_cfg[key]) for key in ("mean", "std")}
    else:
        name, stats = "shufflenet_v2_x0_5", IMAGENET
        net = torchvision.models.get_model(name, num_classes=3)
    outside = trained_elsewhere(net, images, stats, steps=8)
    save_file(net.state_dict(), "mine.safetensors")
    asked = [f"model@teacher.net={kind}", f"teacher.net.name={name}", "teacher.checkpoint=mine.safetensors"]
    assert errors(finished(*asked)) == outside


def test_a_networks_own_wish_comes_before_the_datas_and_the_configs_before_both():
    of_data, seen = Normalization(0.5, 0.5), torch.full((1, 3, 2, 2), 0.25)
    node = {"_target_": "kdlab.zoo.from_torchvision", "name": "squeezenet1_1", "outputs": 2}
    wished = network_of(node, of_data).input_normalization
    assert wished.mean == IMAGENET["mean"]
    assert network_of(node | {"normalize": {"mean": 0.1, "std": None}}, of_data).input_normalization.mean == [0.1]
    assert network_of(node | {"normalize": {"mean": 0.1}}, of_data).input_normalization.std == IMAGENET["std"]
    plain = {"_target_": "torch.nn.Identity"}
    assert torch.equal(network_of(plain, of_data)(seen), (seen - 0.5) / 0.5)
    assert torch.equal(network_of(plain, None)(seen), seen)
    assert network_of(plain | {"normalize": {"size": 5}}, None)(seen).shape == (1, 3, 5, 5)
    grey = network_of(plain | {"normalize": IMAGENET}, None)(torch.rand(2, 1, 4, 4))
    assert grey.shape == (2, 3, 4, 4)


def test_each_network_of_a_run_normalizes_for_itself(images):
    results = finished(*OURS, "teacher.max_epochs=1", "+teacher.net.normalize={mean: 0, std: 1}")
    networks = kdlab.load("run").networks
    assert networks["teacher"].net.input_normalization.mean == [0]
    assert networks["distilled"].net.input_normalization.mean == pytest.approx(images.channel_mean)
    assert results.inputs.scaling.mean == pytest.approx(images.channel_mean)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (["+teacher.net.normalize={mean: high}"], r"teacher.net.normalize.mean=high: must be"),
        (["+teacher.net.normalize={std: 0}"], r"normalize.std=0: must be a number above 0"),
        (["+teacher.net.normalize={std: [1, 2]}"], r"teacher.net: fails on images's inputs"),
        (["+teacher.net.normalize={size: 0.5}"], r"teacher.net.normalize.size=0.5: must be an integer"),
        (["+teacher.net.normalize=imagenet"], r"normalize=imagenet: must be a mapping of mean, std and size"),
        (["+teacher.net.normalize={mode: 1}"], r"teacher.net.normalize.mode: no such argument"),
        (["model@teacher.net=timm", "teacher.net.name=resnt18"], r"teacher.net.name=resnt18: timm has no.*resnet18"),
        (["model@teacher.net=torchvision", "teacher.net.name=renset18"], r"renset18: torchvision has no.*resnet18"),
        (["+teacher.optimizer.rates={head: 1}"], r"rates"),
        (["teacher.optimizer.clip=-1"], r"teacher.optimizer.clip=-1: must be a finite number above 0"),
        (["+teacher.optimizer.rates.body=-1"], r"teacher.optimizer.rates.body=-1: must be"),
        (["teacher.optimizer.average=1"], r"average=1: the decay of the weights' average must lie in \[0, 1\)"),
        (["teacher.new_head=5"], r"teacher.new_head=5: must be true or false"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_any_training(images, override, problem):
    with pytest.raises(ConfigError, match=problem):
        finished(*([] if override[0].startswith("model@") else OURS), *override)
    assert not list(Path("run").rglob("results.json"))


def test_a_last_layer_of_other_classes_is_refused_plainly_or_replaced_and_trained(images):
    torch.manual_seed(0)
    net = MLP(inputs=[3, SIDE, SIDE], widths=[24], outputs=7)
    torch.save(net.state_dict(), "seven.pt")
    with pytest.raises(CheckpointError, match=r"its last layer has 7 classes, the data have 3; teacher.new_head=true"):
        finished(*OURS, "teacher.checkpoint=seven.pt")
    finished(
        *OURS, "teacher.checkpoint=seven.pt", "teacher.new_head=true", "teacher.max_epochs=1",
        "+teacher.optimizer.rates={body: 0}",
    )  # fmt: skip
    tuned = kdlab.load("run").networks["teacher"].net
    assert torch.equal(tuned.layers.hidden1.weight, net.layers.hidden1.weight)
    assert tuned.layers.logits.weight.shape == (3, 24)
    body = torch.load("seven.pt")
    body.pop("layers.hidden1.weight")
    torch.save(body, "lacking.pt")
    with pytest.raises(CheckpointError, match=r"it lacks layers.hidden1.weight"):
        finished(*OURS, "teacher.checkpoint=lacking.pt", "teacher.new_head=true")


def test_a_frozen_part_keeps_weights_and_statistics_and_others_learn_at_their_share(images):
    small = [
        "model@teacher.net=cnn_cifar_student", "teacher.net.channels=[4,4]", "teacher.net.strides=[2,2]",
        "teacher.net.widths=[8]", "teacher.optimizer.momentum=0", "optimizer@teacher.optimizer=sgd",
        "teacher.optimizer.lr=0.01", "schedule@teacher.schedule=constant",
    ]  # fmt: skip
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        node = read(compose("train", [*SMALL, *small])).recipes["teacher"].net
    before = new_network(node, derive(0, "teacher"), None).state_dict()
    finished(*small, "teacher.max_epochs=1", "+teacher.optimizer.rates={features: 0}")
    after = kdlab.load("run").networks["teacher"].net.state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value) == name.startswith("features."), name


def test_a_part_that_no_network_has_is_refused_by_name(images):
    with pytest.raises(
        ConfigError, match=r"teacher.optimizer.rates.stem: no parameter's name begins so; there are layers"
    ):
        finished(*OURS, "+teacher.optimizer.rates={stem: 0.1}")


def test_timm_takes_grey_images_by_the_mean_of_its_colours():
    net = from_timm(name="test_resnet", outputs=2, image_channels=1)
    assert len(net.input_normalization.mean) == 1
    assert net(torch.rand(2, 1, 32, 32)).shape == (2, 2)
    fixed = from_timm(name="test_vit", outputs=2, image_channels=3)
    assert fixed.input_normalization.size == fixed.pretrained_cfg["input_size"][-1]
