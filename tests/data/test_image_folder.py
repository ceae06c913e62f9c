"""A user's own images: layouts, sizes, damage, and the copy that is decoded once."""

import json
import os
import re
import shutil
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdlab.config.networks import network_of
from kdlab.data import ImageFolderData, Samples, decode
from kdlab.errors import DataError

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def cache_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.kdlab")


def paint(folder: Path, count: int, size: tuple[int, int] = (40, 30), suffix: str = "png") -> None:
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", size, tuple(max(0, value - i) for value in colour)).save(
                folder / name / f"{i:03}.{suffix}"
            )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    paint(tmp_path / "mine" / "train", 6)
    paint(tmp_path / "mine" / "test", 3, size=(9, 17), suffix="jpg")
    return tmp_path / "mine"


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(decode.ImageFormat, "read", fail)


def copy_of(folder: Path, part: str) -> Path:
    """Return the folder of the decoded copy of `part`."""
    (found,) = (
        path.parent
        for path in cache_of(folder).glob("*/manifest.json")
        if json.loads(path.read_text())["source"]["root"].endswith(part)
    )
    return found


def loaded(root: Path, **kwargs: object) -> ImageFolderData:
    data = ImageFolderData(root=str(root), **{"image_size": 8, "val_size": 0} | kwargs)
    data.setup()
    return data


def test_classes_shapes_and_labels_come_from_the_folders(folder):
    data = loaded(folder)
    assert data.class_names == ("blue", "green", "red")
    assert data.name == "mine"
    assert data.train.inputs.shape == (18, 3, 8, 8)
    assert data.test.inputs.shape == (9, 3, 8, 8)
    assert data.train.inputs.dtype == torch.uint8
    for samples, error in ((data.train, 0), (data.test, 3)):  # JPEG is lossy
        for image, label in zip(samples.inputs.int(), samples.labels, strict=True):
            brightest = torch.tensor(COLOURS[data.class_names[label]]).argmax()
            assert image[brightest].min() >= 250 - error
            assert image.sum() <= 64 * (255 + 3 * error)


def test_the_shorter_side_is_resized_and_the_centre_cut_out(tmp_path):
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 255  # white in the middle third, which remains
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.fromarray(picture).save(tmp_path / name / f"{i}.png")
    data = loaded(tmp_path, image_size=10)
    assert (data.train.inputs[..., 1:-1] == 255).all()
    assert (data.train.inputs > 200).all()


def test_grey_images_have_one_channel(folder):
    data = loaded(folder, channels=1)
    assert data.train.inputs.shape == (18, 1, 8, 8)
    assert data.input_shape == (1, 8, 8)


def test_networks_see_training_images_with_mean_0_and_standard_deviation_1(folder):
    data = loaded(folder)
    net = network_of({"_target_": "torch.nn.Identity"}, data.normalization)
    seen = net(data.scale(data.train.inputs))
    assert torch.allclose(seen.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(seen.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-4)


def test_one_tree_is_split_into_training_and_test_part_stratified_and_the_same_for_every_seed(tmp_path):
    paint(tmp_path / "all", 20)
    data = loaded(tmp_path / "all", test_size=0.25)
    assert data.train.labels.bincount().tolist() == [15, 15, 15]
    assert data.test.labels.bincount().tolist() == [5, 5, 5]
    together = torch.cat([data.train.inputs, data.test.inputs]).flatten(1)
    assert len(together.unique(dim=0)) == 60
    assert torch.equal(loaded(tmp_path / "all", test_size=0.25, split_seed=3).test.inputs, data.test.inputs)


def test_the_second_start_decodes_nothing_and_reads_the_same(folder, request):
    first = loaded(folder)
    assert {path.name for path in copy_of(folder, "train").iterdir()} == {"images.npy", "manifest.json"}
    request.getfixturevalue("no_decoding")
    second = loaded(folder)
    assert torch.equal(first.train.inputs, second.train.inputs)
    assert torch.equal(first.test.labels, second.test.labels)
    assert second.identity() == first.identity()


@pytest.mark.parametrize("change", ["added", "removed", "edited", "size", "images.npy", "manifest.json"])
def test_a_changed_folder_is_decoded_again(folder, change):
    before = loaded(folder)
    cache = copy_of(folder, "train")
    size = 8
    if change == "added":
        Image.new("RGB", (8, 8)).save(folder / "train" / "red" / "new.png")
    elif change == "removed":
        (folder / "train" / "red" / "000.png").unlink()
    elif change == "edited":
        Image.new("RGB", (8, 8)).save(folder / "train" / "red" / "000.png")
    elif change == "size":
        size = 12
    else:
        (cache / change).unlink()
    after = loaded(folder, image_size=size)
    expected = {"added": 19, "removed": 17}.get(change, 18)
    assert after.train.inputs.shape == (expected, 3, size, size)
    if change in ("edited", "added"):
        assert not (after.train.inputs.flatten(1).sum(1) > 0).all()
    if change in ("images.npy", "manifest.json"):
        assert torch.equal(after.train.inputs, before.train.inputs)
    assert len(list(cache_of(folder).iterdir())) == (4 if change == "size" else 2)  # outdated sets are removed


def test_a_damaged_copy_is_decoded_again(folder):
    before = loaded(folder)
    images = copy_of(folder, "train") / "images.npy"
    for damaged in (images.read_bytes()[:-100], b"\0" * images.stat().st_size):
        images.write_bytes(damaged)
        assert torch.equal(loaded(folder).train.inputs, before.train.inputs)


def test_unreadable_images_are_listed_and_an_error_unless_the_user_skips_them(folder):
    (folder / "train" / "red" / "broken.png").write_bytes(b"no image")
    whole = (folder / "train" / "blue" / "000.png").read_bytes()
    (folder / "train" / "blue" / "cut.png").write_bytes(whole[: len(whole) // 2])
    for _ in range(2):  # the second time from the decoded copy
        with pytest.raises(DataError) as caught:
            loaded(folder)
        message = str(caught.value)
        assert "2 images" in message
        assert str(folder / "train" / "red" / "broken.png") in message
        assert str(folder / "train" / "blue" / "cut.png") in message
        assert "data.skip_unreadable=true" in message
    data = loaded(folder, skip_unreadable=True)
    assert len(data.train.labels) == 18
    assert data.train.labels.bincount().tolist() == [6, 6, 6]


def test_many_images_are_decoded_by_several_processes_as_by_one(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(300):
            Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "a" / "7.png").write_bytes(b"")
    assert decode._workers(600) >= 1
    several = loaded(tmp_path, skip_unreadable=True, cache=str(tmp_path / ".cache1"))
    monkeypatch.setattr(decode, "_workers", lambda count: 0)
    alone = loaded(tmp_path, skip_unreadable=True, cache=str(tmp_path / ".cache2"))
    assert len(several.train.labels) + len(several.test.labels) == 599
    assert torch.equal(several.train.inputs, alone.train.inputs)


def test_an_interrupted_decoding_leaves_nothing_behind(folder, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decode.ImageFormat, "read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        loaded(folder)
    assert not list(cache_of(folder).iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_error_with_the_remedy(folder):
    folder.chmod(0o555)
    with pytest.raises(DataError, match=r"data\.cache=FOLDER"):
        loaded(folder)


def test_a_cache_that_is_not_a_folder_is_an_error_with_the_remedy(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"data\.cache=FOLDER"):
        loaded(folder, cache=str(tmp_path / "file" / "cache"))


def test_an_image_that_has_become_readable_is_read(folder):
    image = folder / "train" / "red" / "000.png"
    whole, times = image.read_bytes(), os.stat(image)
    image.write_bytes(b"x" * len(whole))
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert len(loaded(folder, skip_unreadable=True).train.labels) == 17
    image.write_bytes(whole)
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))  # chmod does not change it either
    assert len(loaded(folder, skip_unreadable=True).train.labels) == 18


def test_two_folders_may_share_a_cache(tmp_path):
    for name, colour in (("one", 10), ("two", 200)):
        for c in ("a", "b"):
            (tmp_path / name / c).mkdir(parents=True)
            for i in range(4):
                path = tmp_path / name / c / f"{i}.bmp"
                Image.new("RGB", (8, 8), (colour,) * 3).save(path)
                os.utime(path, ns=(0, 0))
    for _ in range(2):
        for name, colour in (("one", 10), ("two", 200)):
            data = loaded(tmp_path / name, cache=str(tmp_path / "cache"), test_size=2)
            assert (data.train.inputs == colour).all()
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_two_processes_may_decode_the_same_folder_at_once(folder):
    context = get_context("fork")
    counts = context.SimpleQueue()
    both = [context.Process(target=lambda: counts.put(len(loaded(folder).train.labels))) for _ in range(2)]
    for process in both:
        process.start()
    assert [counts.get() for _ in both] == [18, 18]
    for process in both:
        process.join()
    assert len(list(cache_of(folder).iterdir())) == 2


def test_images_of_more_than_8_bits_are_unreadable_rather_than_white(tmp_path):
    paint(tmp_path, 6)
    deep = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(tmp_path / "red" / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png: its pixels do not have 8 bits"):
        loaded(tmp_path)


def test_numbered_classes_are_sorted_as_numbers(tmp_path):
    for i in range(12):
        (tmp_path / str(i)).mkdir()
    data = ImageFolderData(root=str(tmp_path), held_out_classes=[2])
    assert data.class_names == tuple(map(str, range(12)))
    assert data.held_out == [2]


def test_other_files_and_hidden_ones_are_not_read(folder):
    (folder / "train" / "red" / "notes.txt").write_text("mine")
    (folder / "train" / "red" / "._000.png").write_bytes(b"what a Mac leaves")
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / "red" / ".thumbnails").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "train" / "red" / ".thumbnails" / "000.png")
    assert len(loaded(folder).train.labels) == 18


def test_images_of_all_modes_are_read_and_turned_upright(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for mode in ("RGB", "L", "P", "RGBA", "CMYK", "1"):
            Image.new(mode, (8, 8)).save(tmp_path / name / f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}")
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(picture).save(tmp_path / "a" / "turned.png", exif=exif)
    files = ["a/turned.png"]
    images = decode.decoded(
        "", tmp_path, files, decode.ImageFormat(8, 3), skip_unreadable=False, cache=tmp_path / ".c"
    ).images
    assert images[0, :, 4:].min() == 255
    assert images[0, :, :4].max() == 0
    assert len(loaded(tmp_path, cache=str(tmp_path / "all")).train.labels) == 10


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: None, "root=.*nowhere: no such folder"),
        (lambda root: root.mkdir(), "there are 0 class folders"),
        (lambda root: (root / "train" / "a").mkdir(parents=True), "there are 1 class folders in .*train"),
        (lambda root: paint(root / "train", 1), r"it has train/ but no test/.*data\.root=.*train"),
        (lambda root: (paint(root / "train", 1), (root / "test" / "pink").mkdir(parents=True)), "lacks: pink"),
    ],
)
def test_a_folder_with_another_layout_is_refused_before_anything_is_read(tmp_path, spoil, message):
    spoil(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=message):
        ImageFolderData(root=str(tmp_path / "nowhere"))


def test_a_class_without_images_is_an_error_that_names_its_folder(folder):
    for file in (folder / "train" / "green").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="green has no readable image"):
        loaded(folder)


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path):
    paint(tmp_path / "mine", 4)
    paint(tmp_path / "more", 2)
    (tmp_path / "mine" / "red" / "more").symlink_to(tmp_path / "more" / "red")
    data = loaded(tmp_path / "mine", test_size=3)
    assert torch.cat([data.train.labels, data.test.labels]).bincount().tolist() == [4, 4, 6]


@pytest.mark.parametrize(
    ("link", "target"),
    [("red/loop", "red"), ("red/loop", "."), ("red/deep/loop", "red/deep"), ("red/other", "blue"), ("pink", "red")],
)
def test_a_link_that_would_have_images_read_twice_is_refused_by_name(tmp_path, link, target):
    paint(tmp_path, 4)
    (tmp_path / "red" / "deep").mkdir()
    (tmp_path / link).symlink_to(tmp_path / target)
    where = f"{tmp_path / link} is the same folder as {tmp_path / target}"
    if link == "pink":
        where = f"{tmp_path / target} is the same folder as {tmp_path / link}"
    with pytest.raises(DataError, match=re.escape(where)):
        loaded(tmp_path)


def test_test_images_that_are_the_training_images_are_refused(folder):
    shutil.rmtree(folder / "test" / "red")
    (folder / "test" / "red").symlink_to(folder / "train" / "red")
    with pytest.raises(DataError, match=r"test/red is the same folder as .*train/red: images would be read twice"):
        loaded(folder)


def test_a_link_that_leads_nowhere_and_a_pipe_are_unreadable_images(folder):
    (folder / "train" / "red" / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "train" / "red" / "self.png").symlink_to(folder / "train" / "red" / "self.png")
    os.mkfifo(folder / "train" / "red" / "pipe.png")
    with pytest.raises(DataError, match=r"3 images(.|\n)*gone\.png: it is a link that leads nowhere") as caught:
        loaded(folder)
    assert "pipe.png: it is a pipe" in str(caught.value)
    assert len(loaded(folder, skip_unreadable=True).train.labels) == 18


def test_a_class_folder_whose_name_is_no_text_is_refused(folder):
    os.mkdir(os.fsencode(folder / "train") + b"/\xff\xfe")
    with pytest.raises(ValueError, match=r"root=.*class folder b'\\xff\\xfe' is not UTF-8"):
        loaded(folder)


@pytest.mark.parametrize(
    ("part", "val_size", "count", "message"),
    [
        ("", 0.3, 1, "class red has 1 image; 3 are needed for training, validation, test (2 with data.val_size=0)"),
        ("", 0.3, 2, "class red has 2 images; 3 are needed for training, validation, test (2 with data.val_size=0)"),
        ("", 0, 1, "class red has 1 image; 2 are needed for training, test"),
        ("train", 0.3, 1, "class red has 1 image; 2 are needed for training, validation (1 with data.val_size=0)"),
    ],
)
def test_a_class_with_too_few_images_is_named_before_anything_is_decoded(
    tmp_path, no_decoding, part, val_size, count, message
):
    paint(tmp_path / part, 9)
    if part:
        paint(tmp_path / "test", 3)
    for image in sorted((tmp_path / part / "red").iterdir())[count:]:
        image.unlink()
    with pytest.raises(DataError, match=re.escape(message)):
        loaded(tmp_path, val_size=val_size)


def test_the_fewest_images_that_are_asked_for_do(tmp_path):
    paint(tmp_path, 30)
    for image in sorted((tmp_path / "red").iterdir())[3:]:
        image.unlink()
    data = loaded(tmp_path, val_size=0.2)
    assert data.train.labels[data.train_ids].unique().tolist() == [0, 1, 2]


def test_a_start_reads_no_more_of_the_decoded_images_than_it_needs_and_keeps_them_mapped(tmp_path, monkeypatch):
    paint(tmp_path, 6)
    first = loaded(tmp_path)
    hashed: list[int] = []
    monkeypatch.setattr(decode, "_hash", lambda images: hashed.append(len(images)))
    monkeypatch.setattr(Samples, "checksum", lambda samples: hashed.append(len(samples.labels)))
    again = loaded(tmp_path)
    assert not hashed
    assert (again.identity(), again.checksum()) == (first.identity(), first.checksum())
    for samples in (again.train, again.test):
        assert samples.inputs.untyped_storage().data_ptr() == again.train.inputs.untyped_storage().data_ptr()


def test_the_identity_follows_the_images_and_their_labels(tmp_path):
    paint(tmp_path / "one", 6)
    shutil.copytree(tmp_path / "one", tmp_path / "same")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    (tmp_path / "other" / "red" / "000.png").rename(tmp_path / "other" / "blue" / "900.png")
    one, same, other = (loaded(tmp_path / name) for name in ("one", "same", "other"))
    assert one.identity() == same.identity()
    assert one.checksum() == same.checksum() != other.checksum()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"image_size": 0}, "image_size=0"), ({"channels": 2}, "channels=2"), ({"test_size": 0}, "test_size=0")],
)
def test_a_wrong_argument_is_named(folder, wrong, message):
    with pytest.raises(ValueError, match=message):
        loaded(folder, **wrong)


def test_the_manifest_names_the_source_of_the_copy(folder):
    loaded(folder)
    manifest = json.loads((copy_of(folder, "train") / "manifest.json").read_text())
    assert manifest["source"]["format"] == {"size": 8, "channels": 3}
    assert [name for name, *_ in manifest["source"]["files"]][:2] == ["blue/000.png", "blue/001.png"]
    assert manifest["unreadable"] == {}
