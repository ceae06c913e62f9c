# %% [markdown]
"""# Bring your own images, network and teacher.

From a folder of images and a trained network to a smaller one that does its work. The images are drawn here, so that
nothing is needed but kdlab; put your own in their place. All files go into the current folder.

To open it as a notebook: VS Code and PyCharm show the cells as they are; for Jupyter,
`jupytext --to notebook bring_your_own.py`. As a script: `python bring_your_own.py`.
"""

# %%
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torchvision.transforms.functional import normalize

import kdlab
from kdlab.data import ImageFolderData

# %% [markdown]
# ## A folder of images
#
# A folder for each class; its name is the class's name, and may have spaces. Sizes and formats may differ.

# %%
ROOT = Path("my_images")
CLASSES = ("arrow up", "arrow down", "circle", "square")
random = np.random.default_rng(0)


def drawn(kind: str) -> Image.Image:
    """Draw one shape of any size, place and colour on a noisy ground."""
    width, height = (int(side) for side in random.integers(44, 56, 2))
    ground, ink = random.integers(150, 255, 3), random.integers(0, 110, 3)
    image = Image.new("RGB", (width, height), tuple(map(int, ground)))
    x, y, r = random.uniform(20, 26), random.uniform(20, 26), random.uniform(9, 16)
    corners = {
        "arrow up": [(x, y - r), (x - r, y + r), (x + r, y + r)],
        "arrow down": [(x, y + r), (x - r, y - r), (x + r, y - r)],
        "square": [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
    }
    pen = ImageDraw.Draw(image)
    if kind == "circle":
        pen.ellipse([x - r, y - r, x + r, y + r], fill=tuple(map(int, ink)))
    else:
        pen.polygon(corners[kind], fill=tuple(map(int, ink)))
    noisy = np.asarray(image) + random.normal(0, 20, (height, width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def save_lying(image: Image.Image, path: Path) -> None:
    """Save an image as a camera held upright does: lying on its side, with a note in EXIF to turn it."""
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


for name in CLASSES:
    (ROOT / name).mkdir(parents=True, exist_ok=True)
    for i in range(60):
        drawn(name).save(ROOT / name / f"{i:03}.png")
drawn("circle").convert("L").save(ROOT / "circle" / "grey.png")
save_lying(drawn("arrow up"), ROOT / "arrow up" / "lying.jpg")
print({name: len(list((ROOT / name).iterdir())) for name in CLASSES})

# %% [markdown]
# ## A network of your own
#
# Any class that maps images to logits (N, C). It stands in a file, not in a cell: so other processes can load it, and
# kdlab notices when it changes.

# %%
Path("my_net.py").write_text('''\
"""A small convolutional network."""

from torch import Tensor, nn


class MyNet(nn.Module):
    """Two convolutions with pooling, then a linear layer: images (N, 3, H, W) → logits (N, outputs)."""

    def __init__(self, *, width: int, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 5, padding=2), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, width, 5, padding=2), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveMaxPool2d(2),
        )
        self.logits = nn.Linear(4 * width, outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.features(images).flatten(1))
''')
sys.path.insert(0, str(Path.cwd()))
from my_net import MyNet  # noqa: E402

# %% [markdown]
# ## A teacher of your own
#
# It is trained here by a plain loop, as yours was elsewhere, on images normalized by ImageNet's numbers. kdlab hands
# every network images in [0, 1]; the numbers go with the network, as `teacher.net.normalize` (`docs/data.md`).

# %%
torch.manual_seed(0)
data = ImageFolderData(root=str(ROOT), image_size=32)
data.setup()
images, labels = data.split("train")
mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
teacher = MyNet(width=24, outputs=len(data.class_names))
optimizer = torch.optim.Adam(teacher.parameters(), lr=0.003)
for _ in range(25):
    for ids in torch.randperm(len(labels)).split(32):
        optimizer.zero_grad()
        seen = normalize(images[ids].float() / 255, mean, std)
        F.cross_entropy(teacher(seen), labels[ids]).backward()
        optimizer.step()
torch.save(teacher.state_dict(), "my_teacher.pt")
print(data.class_names)

# %% [markdown]
# ## A small student
#
# `compress` compares a student that learns from the labels with the same student distilled. Teacher and students are
# named by their class and its arguments; `outputs=null` is the number of classes, which comes from the folder. With so
# few images no epoch is chosen by the validation part: `student.patience=null`.

# %%
result = kdlab.run(
    "compress",
    "data=image_folder",
    f"data.root={ROOT}",
    "model@teacher.net=own",
    "teacher.net._target_=my_net.MyNet",
    *("+teacher.net.width=24", "+teacher.net.outputs=null"),
    "teacher.checkpoint=my_teacher.pt",
    f"+teacher.net.normalize={{mean: {mean}, std: {std}}}",
    "model@student.net=own",
    "student.net._target_=my_net.MyNet",
    *("+student.net.width=4", "+student.net.outputs=null"),
    *("student.patience=null", "student.max_epochs=10"),
    *("trainer=cpu", "trainer.precision=32-true", "figures=false"),
)
print(result)

# %% [markdown]
# These classes are easy to tell apart, so hardly a difference is left for distillation to close. What each network
# costs, and how often it gives the teacher's answer (`agreement`):

# %%
rows = result.frame()
print(rows.query("split == 'cost'").pivot(index="arm", columns="metric", values="value"))
print(rows.query("split == 'test' and classes == 'all'").pivot(index="arm", columns="metric", values="value"))

# %% [markdown]
# ## The student at work
#
# Later, in another process, a new image comes in, as a file of any size. `kdlab.load` needs the run's folder and
# `my_net.py`, and neither the images nor the teacher. The same image lying on its side, with a note in its EXIF, gives
# the same answer.

# %%
new = drawn("arrow up")
new.save("new.png")
save_lying(new, Path("lying.png"))
student = kdlab.load(result.folder).networks["distilled"]
answers = student.predict(["new.png", "lying.png"])
print(answers.round(3))

# %%
upright, lying = answers.idxmax(axis=1)
print(f"\nnew.png: {upright}; lying.png: {lying}; same probabilities: {np.allclose(*answers.to_numpy())}")
