"""The figures show what they are given: series, labels, values."""

import numpy as np
import pytest
import torch

from kdlab.report import decision_regions, loss_curves, misclassified, unseen_accuracy
from kdlab.report.palette import colours, line_styles
from kdlab.results import Fit, Results, Row


def test_loss_curves_are_those_with_the_labels_for_training_and_validation_of_every_fit():
    figure = loss_curves(
        {
            "teacher": [(1, "train/loss", 0.9), (2, "train/loss", 0.5), (1, "val/loss", 1.0), (2, "val/loss", 0.8)],
            "student": [(1, "train/loss", 9.0), (1, "train/hard_loss", 0.7), (1, "val/loss", 0.6)],
        }
    )
    training, validation = figure.axes
    lines = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in training.lines}
    assert lines == {"teacher": [(1, 0.9), (2, 0.5)], "student": [(1, 0.7)]}
    assert [list(line.get_ydata()) for line in validation.lines] == [[1.0, 0.8], [0.6]]
    assert training.get_xlabel() == "epoch"
    assert "nats" in training.get_ylabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["teacher", "student"]


def test_losses_of_different_sizes_are_drawn_on_a_logarithmic_axis():
    curves = {"a": [(1, "train/loss", 1e-4), (2, "train/loss", 1.0), (1, "val/loss", 1.0), (2, "val/loss", 1.0)]}
    assert loss_curves(curves).axes[0].get_yscale() == "log"
    curves["a"][0] = (1, "train/loss", 0.5)
    assert loss_curves(curves).axes[0].get_yscale() == "linear"


def test_a_decision_region_is_where_its_class_is_most_likely_and_held_out_samples_are_crosses():
    left_half = torch.zeros(10, 20, 2)
    left_half[:, :8, 0] = 1
    left_half[:, 8:, 1] = 1
    inputs, labels = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.5, 0.5]]), torch.tensor([0, 1, 1])
    figure = decision_regions(
        {"teacher": left_half, "student": torch.ones(10, 20, 2) / 2},
        (0.0, 2.0, 0.0, 1.0), inputs, labels, class_names=["a", "b"], held_out=[1],
    )  # fmt: skip
    teacher, student = figure.axes
    assert (teacher.get_title(), student.get_title()) == ("teacher", "student")
    image = np.asarray(teacher.images[0].get_array())
    assert (image[:, :8] == image[0, 0]).all()
    assert (image[:, 8:] == image[0, -1]).all()
    assert not np.allclose(image[0, 0], image[0, -1])
    assert [len(points.get_offsets()) for points in teacher.collections if points.get_label().startswith("class")] == [
        1,
        2,
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["class a", "class b (held out)"]


@pytest.mark.parametrize(("count", "columns"), [(3, 3), (4, 4), (6, 3), (7, 4), (8, 4), (9, 3)])
def test_panels_fill_their_grid_as_well_as_they_can(count, columns):
    p = torch.ones(4, 4, 2) / 2
    points, labels = torch.tensor([[0.2, 0.2], [0.8, 0.8]]), torch.tensor([0, 1])
    figure = decision_regions(
        {str(i): p for i in range(count)}, (0, 1, 0, 1), points, labels, class_names=["a", "b"]
    )  # fmt: skip
    assert len(figure.axes) == count
    assert figure.axes[0].get_gridspec().ncols == columns
    lowest = figure.axes[-min(columns, count) :]
    assert all(panel.xaxis.get_tick_params()["labelbottom"] for panel in lowest)


@pytest.mark.parametrize("channels", [1, 3])
def test_misclassified_images_come_with_class_choice_and_the_teachers_view_the_most_confident_first(channels):
    images = torch.randint(0, 256, (4, channels, 6, 6), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 2, 0])
    logits = torch.tensor([[0, 1.0, 0], [0, 9, 0], [5, 0, 0], [9, 0, 0]])
    teacher = torch.tensor([[9.0, 0, 0], [0, 9, 0], [0, 0, 9], [9, 0, 0]])
    figure = misclassified(
        images, labels, logits, teacher, arm="student", class_names=["cat", "dog", "owl"]
    )  # fmt: skip
    shown = [panel for panel in figure.axes if panel.images]
    assert [panel.get_title() for panel in shown] == ["owl → cat\nteacher: owl 100%", "cat → dog\nteacher: cat 100%"]
    expected = images[2].permute(1, 2, 0).numpy()
    assert np.array_equal(np.asarray(shown[0].images[0].get_array()).reshape(expected.shape), expected)
    assert figure.get_suptitle() == "student: 2 of 4 test images misclassified"


def test_many_mistakes_are_cut_to_the_limit_and_the_title_says_so():
    n = 30
    figure = misclassified(
        torch.zeros(n, 1, 4, 4, dtype=torch.uint8), torch.zeros(n, dtype=torch.long), torch.eye(2)[[1] * n],
        torch.eye(2)[[0] * n], arm="student", class_names=["a", "b"], limit=10,
    )  # fmt: skip
    assert sum(bool(panel.images) for panel in figure.axes) == 10
    assert "30 of 30 test images misclassified, the 10 most confident ones" in figure.get_suptitle()
    perfect = misclassified(
        torch.zeros(n, 1, 4, 4, dtype=torch.uint8), torch.zeros(n, dtype=torch.long), torch.eye(2)[[0] * n],
        torch.eye(2)[[0] * n], arm="student", class_names=["a", "b"],
    )  # fmt: skip
    assert perfect.get_suptitle() == "student: 0 of 30 test images misclassified"


def test_bars_show_what_each_student_knows_of_its_unseen_classes():
    rows = [
        Row(arm, "test", "unseen", correction, "accuracy", value, 10)
        for arm, values in {"a": (0.1, 0.2, 0.3), "b": (0.4, 0.5, 0.6)}.items()
        for correction, value in zip(("none", "prior", "oracle"), values, strict=True)
    ]
    fits = [Fit(arm, "0", False, 1, 1.0, 1) for arm in ("teacher", "a", "b")]
    results = Results("x", "mnist", 0, [3], {}, {}, fits, rows)
    panel = unseen_accuracy(results).axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["a", "b"]
    assert [[bar.get_height() for bar in bars] for bars in panel.containers] == [[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]
    with pytest.raises(ValueError, match="no student of this run has unseen classes"):
        unseen_accuracy(Results("x", "mnist", 0, [], {}, {}, fits, []))


@pytest.mark.parametrize("count", [2, 7, 12])
def test_colours_are_distinct(count):
    assert len(set(colours(count))) == count
    assert len({str(style) for style in line_styles(count)}) == count
