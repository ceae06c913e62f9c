"""A user's own images, from the README's words to a student that is used without them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdlab.results import read

SHADES = {"red apple": (200, 40, 40), "blå bär": (50, 60, 200), "kiwi": (90, 170, 60), "lemon": (230, 220, 60),
          "plum": (110, 40, 120)}  # fmt: skip
SMALL = (
    "data.image_size=16", "trainer=cpu", "teacher.net.channels=[8,16]", "teacher.net.strides=[1,1]",
    "student.net.channels=[4,8]", "student.net.strides=[1,1]", "teacher.net.widths=[16]", "student.net.widths=[16]",
    "teacher.max_epochs=4", "student.max_epochs=4", "augment@teacher.augment=none",
)  # fmt: skip


def paint(folder: Path, count: int) -> None:
    """Paint `count` images of each class: most in colour, some grey, CMYK, or lying on their side by EXIF."""
    random = np.random.default_rng(0)
    for name, shade in SHADES.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            noise = random.integers(-25, 25, (24, 32, 3))
            image = Image.fromarray(np.clip(np.array(shade) + noise, 0, 255).astype(np.uint8))
            if i % 10 == 3:
                image.convert("CMYK").save(folder / name / f"{i}.jpg")
            elif i % 10 == 5:
                exif = image.getexif()
                exif[0x0112] = 6  # a camera held upright
                image.save(folder / name / f"{i}.jpg", exif=exif)
            else:
                image.save(folder / name / f"{i}.png")
    Image.new("L", (20, 20), 128).save(folder / "kiwi" / "grey.png")
    (folder / "kiwi" / "notes.txt").write_text("no image")
    (folder / "kiwi" / "broken.jpg").write_bytes((folder / "kiwi" / "3.jpg").read_bytes()[:200])


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    paint(folder / "my_images", 40)
    return folder


def test_from_a_folder_of_images_to_a_table_to_a_student_that_needs_no_images(lab, commands, tmp_path):
    command = ["+experiment=compress", "data=image_folder", "data.root=my_images", *SMALL]
    refused = commands.run(*command, folder=lab)
    assert refused.returncode == 1
    assert "my_images/kiwi/broken.jpg" in refused.stderr
    assert "leave them out with data.skip_unreadable=true" in refused.stderr
    assert "Traceback" not in refused.stderr

    done = commands.run(*command, "data.skip_unreadable=true", folder=lab)
    assert done.returncode == 0, done.stderr
    assert "compress · dataset: my_images · held-out classes: none · seed 0" in done.stdout
    assert "source" not in done.stdout
    (path,) = (lab / "outputs" / "compress").rglob("results.json")
    results = read(path)
    assert results.inputs.class_names == sorted(SHADES)
    assert results.inputs.shape == [3, 16, 16]
    assert {row.split for row in results.rows} == {"val", "test", "cost"}
    assert results.find("teacher", "all", "accuracy").value > 0.9

    # Elsewhere, with nothing but the run's folder.
    shutil.copytree(path.parent, tmp_path / "run")
    Image.new("RGB", (50, 40), SHADES["lemon"]).save(tmp_path / "new.png")
    script = "import kdlab; print(kdlab.load('run').networks['teacher'].predict(['new.png']).idxmax(axis=1).item())"
    used = commands.run(script, module="-c", folder=tmp_path)
    assert used.returncode == 0, used.stderr
    assert used.stdout == "lemon\n"


def test_dark_knowledge_on_ones_own_classes_asks_which_to_hold_out(lab, commands):
    refused = commands.run("+experiment=dark_knowledge", "data=image_folder", "data.root=my_images", folder=lab)
    assert refused.returncode == 1
    assert (
        "data.held_out_classes='3': no such class; there are the indices 0 to 4, named blå bär, kiwi" in refused.stderr
    )
