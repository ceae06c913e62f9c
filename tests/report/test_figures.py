"""The figures show what they are given: axes, labels, series, values, and the same in words."""

import io
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from kdlab.measure.confusion import confusion
from kdlab.report import (
    accuracy_curves,
    accuracy_over_cost,
    class_similarity,
    confusion_matrices,
    decision_regions,
    error_counts,
    examples,
    gallery,
    loss_curves,
    per_class_accuracy,
    png,
    softened_targets,
    svg,
    target_entropy,
    unseen_accuracy,
)
from kdlab.report.figures.drawing import DPI, INK, INK_ON_DARK, luminance, numbered_image, sheet, shortened
from kdlab.report.figures.palette import SEEN, TEACHER, UNSEEN, colours, line_styles
from kdlab.report.figures.temperature import (
    STRIDE,
    TEMPERATURES,
    entropies,
    mean_soft_targets,
    soft_targets,
    softness,
    telling_samples,
)
from kdlab.results import Fit, Results, Row

NAMES = ["cat", "dog", "owl"]
TEACHER_LOGITS = torch.tensor([[4.0, 2, 0], [1, 5, 0], [0, 3, 4], [6, 0, 0]])
LABELS = torch.tensor([0, 1, 2, 0])


def results(rows: list[Row], arms=("teacher", "a", "b")) -> Results:
    return Results("x", "mnist", 0, [2], {}, {}, [Fit(arm, "0", False, 1, 1.0, 1) for arm in arms], rows)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def ticks(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def lines_of(panel) -> dict[str, list[tuple[float, float]]]:
    return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in panel.lines}


# Curves.

CURVES = {
    "teacher": [
        (1, "train/hard_loss", 0.9), (2, "train/hard_loss", 0.5), (1, "val/loss", 1.0), (2, "val/loss", 0.8),
        (1, "train/accuracy", 0.5), (2, "train/accuracy", 0.7), (1, "val/accuracy_seen", 0.6),
    ],
    "student": [
        (1, "train/loss", 9.0), (1, "train/hard_loss", 0.7), (1, "val/loss", 0.6), (1, "train/accuracy", 0.4),
        (1, "val/accuracy_seen", 0.55), (1, "val/accuracy_unseen", 0.25),
    ],
}  # fmt: skip


def test_loss_curves_are_those_with_the_labels_for_training_and_validation_of_every_fit():
    figure = loss_curves(CURVES)
    training, validation = figure.axes
    assert (training.get_title(), validation.get_title()) == ("training", "validation, seen classes")
    assert lines_of(training) == {"teacher": [(1, 0.9), (2, 0.5)], "student": [(1, 0.7)]}
    assert lines_of(validation) == {"teacher": [(1, 1.0), (2, 0.8)], "student": [(1, 0.6)]}
    assert training.get_xlabel() == validation.get_xlabel() == "epoch"
    assert "nats" in training.get_ylabel()
    assert legend(figure) == ["teacher", "student"]
    assert "teacher ends at 0.5 (training), 0.8 (validation, seen classes)" in figure.get_label()


def test_a_line_of_one_epoch_is_a_point_that_can_be_seen():
    teacher, student = loss_curves(CURVES).axes[0].lines
    assert (teacher.get_marker(), student.get_marker()) == ("", "o")


def test_losses_of_different_sizes_are_drawn_on_a_logarithmic_axis_in_both_panels():
    curves = {"a": [(1, "train/hard_loss", 1e-4), (2, "train/hard_loss", 1.0), (1, "val/loss", 1.0)]}
    assert [panel.get_yscale() for panel in loss_curves(curves).axes] == ["log", "log"]
    curves["a"][0] = (1, "train/hard_loss", 0.5)
    assert [panel.get_yscale() for panel in loss_curves(curves).axes] == ["linear", "linear"]


def test_accuracy_on_unseen_classes_has_a_panel_of_its_own_where_there_are_such():
    figure = accuracy_curves(CURVES)
    assert [panel.get_title() for panel in figure.axes] == [
        "training", "validation, seen classes", "validation, unseen classes",
    ]  # fmt: skip
    assert lines_of(figure.axes[2]) == {"teacher": [], "student": [(1, 0.25)]}
    assert lines_of(figure.axes[0])["teacher"] == [(1, 0.5), (2, 0.7)]
    alone = accuracy_curves({"teacher": CURVES["teacher"]})
    assert [panel.get_title() for panel in alone.axes] == ["training", "validation"]


def test_without_a_validation_part_there_is_no_empty_panel():
    curves = {"a": [(1, "train/hard_loss", 0.4), (1, "train/accuracy", 0.5)]}
    assert [panel.get_title() for draw in (loss_curves, accuracy_curves) for panel in draw(curves).axes] == [
        "training", "training",
    ]  # fmt: skip


# Errors, and classes one by one.


def group_rows(arm: str, correction: str, split: str = "test", **errors: int) -> list[Row]:
    return [Row(arm, split, classes, correction, "errors", n, 100) for classes, n in errors.items()]


def test_error_bars_are_parted_into_seen_and_unseen_and_numbered_before_and_after_correction():
    figure = error_counts(
        results(
            [
                *group_rows("teacher", "none", all=5, seen=3, unseen=2),
                *group_rows("a", "none", all=40, seen=10, unseen=30),
                *group_rows("a", "prior", all=20, seen=12, unseen=8),
            ]
        )
    )
    (panel,) = figure.axes
    assert ticks(panel.yaxis) == ["teacher", "a", "a, prior"]
    assert [(bar.get_x(), bar.get_width()) for bar in panel.patches] == [
        (0, 3), (3, 2), (0, 10), (10, 30), (0, 12), (12, 8),
    ]  # fmt: skip
    assert [text.get_text() for text in panel.texts] == ["5", "40", "20"]
    assert panel.get_xlabel() == "errors on 100 test samples"
    assert legend(figure) == ["on seen classes", "on unseen classes"]
    assert "a, prior 20" in figure.get_label()


def test_errors_are_those_of_the_split_that_the_run_shows():
    rows = [Row("a", "val", "all", "none", "accuracy", 0.9, 10), Row("a", "val", "all", "none", "errors", 1, 10)]
    assert error_counts(results(rows, ["a"])).axes[0].get_xlabel() == "errors on 10 val samples"
    with pytest.raises(ValueError, match="has no rows of errors on test"):
        error_counts(results([]))


def test_bars_show_what_each_student_knows_of_its_unseen_classes():
    rows = [
        Row(arm, "test", "unseen", correction, "accuracy", value, 10)
        for arm, values in {"a": (0.1, 0.2, 0.3), "b": (0.4, 0.5, 0.6)}.items()
        for correction, value in zip(("none", "prior", "oracle"), values, strict=True)
    ]
    figure = unseen_accuracy(results(rows))
    (panel,) = figure.axes
    assert ticks(panel.xaxis) == ["a", "b"]
    assert [[bar.get_height() for bar in bars] for bars in panel.containers] == [[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]
    assert "uncorrected: a 10.0%, b 40.0%" in figure.get_label()
    with pytest.raises(ValueError, match="no student of this run has unseen classes"):
        unseen_accuracy(results([]))


def test_each_arm_has_a_bar_for_each_class_and_unseen_ones_are_marked_even_at_zero():
    values = {"teacher": (0.9, 0.8, 0.7), "a": (0.6, 0.5, 0.0)}
    rows = [
        Row(arm, "test", str(c), "none", "accuracy", value, 10)
        for arm, v in values.items()
        for c, value in enumerate(v)
    ]
    rows += [Row(arm, "test", "all", "none", "accuracy", 0.5, 30) for arm in values]
    rows.append(Row("a", "test", "2", "prior", "accuracy", 0.4, 10))
    figure = per_class_accuracy(results(rows), class_names=NAMES, held_out={"teacher": [], "a": [2]})
    teacher, student = figure.axes
    assert (teacher.get_title("left"), student.get_title("left")) == ("teacher", "a")
    assert tuple(bar.get_height() for bar in teacher.containers[0]) == values["teacher"]
    assert tuple(bar.get_height() for bar in student.containers[0]) == values["a"]
    assert [bar.get_hatch() for bar in student.containers[0]] == [None, None, "///"]
    assert all(bar.get_hatch() is None for bar in teacher.containers[0])
    shaded = [patch for patch in student.patches if patch not in student.containers[0].patches]
    assert [(patch.get_x(), patch.get_width()) for patch in shaded] == [(1.5, 1.0)]
    assert [list(line.get_xydata()[0]) for line in student.lines] == [[2, 0.4]]
    assert ticks(student.xaxis) == NAMES
    assert legend(figure) == ["seen", "unseen", "after correction prior"]
    assert "a 50.0% to 60.0% on the classes it saw, 0.0% on the unseen owl" in figure.get_label()


def test_accuracy_over_cost_has_a_point_for_each_network_and_each_cost_that_was_measured():
    costs = {"teacher": (2.0, 1000), "a": (0.5, 250)}
    rows = [Row(arm, "test", "all", "none", "accuracy", 0.9 if arm == "teacher" else 0.8, 30) for arm in costs]
    rows += [
        Row(arm, "cost", "all", "none", metric, value, 1)
        for arm, values in costs.items()
        for metric, value in zip(("latency_ms", "parameters"), values, strict=True)
    ]
    figure = accuracy_over_cost(results(rows))
    latency, parameters = figure.axes
    points = [[tuple(line.get_xydata()[0]) for line in panel.lines] for panel in (latency, parameters)]
    assert points == [[(2.0, 90.0), (0.5, 80.0)], [(1000, 90.0), (250, 80.0)]]
    assert legend(figure) == ["teacher", "a"]
    assert "a 80.0% at 0.5 ms" in figure.get_label()
    with pytest.raises(ValueError, match=r"no rows of costs: evaluation\.cost=true"):
        accuracy_over_cost(results([]))


def test_a_confusion_matrix_counts_true_class_by_first_choice():
    logits = torch.eye(3)[[0, 1, 1, 2, 0]]
    counts = confusion(logits, torch.tensor([0, 1, 2, 2, 0]))
    figure = confusion_matrices({"a": counts}, class_names=NAMES, held_out={"a": [2]})
    panel = figure.axes[0]
    shares = np.asarray(panel.images[0].get_array())
    assert np.allclose(shares, [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]])
    assert {text.get_position(): text.get_text() for text in panel.texts} == {
        (0, 0): "2", (1, 1): "1", (1, 2): "1", (2, 2): "1",
    }  # fmt: skip
    assert (panel.get_xlabel(), panel.get_ylabel(), panel.get_title()) == ("first choice", "true class", "a")
    assert ticks(panel.xaxis) == ticks(panel.yaxis) == ["cat", "dog", "owl*"]
    assert "a: 1 error, most often owl as dog (1)" in figure.get_label()


def test_a_hundred_classes_have_names_few_enough_to_read_and_no_counts():
    names = [f"class{i}" for i in range(100)]
    panel = confusion_matrices({"a": np.eye(100)}, class_names=names, held_out={}).axes[0]
    assert len(ticks(panel.xaxis)) <= 30
    assert len(panel.texts) == 0


# What temperature does.


def test_soft_targets_sum_to_one_and_come_near_to_uniform_as_the_temperature_rises():
    for t in TEMPERATURES:
        assert torch.allclose(soft_targets(TEACHER_LOGITS, t).sum(dim=1), torch.ones(4, dtype=torch.float64))
    assert soft_targets(TEACHER_LOGITS, 1e6).std() < 1e-5


def test_entropy_grows_with_temperature_up_to_ln_c():
    values = torch.stack([entropies(TEACHER_LOGITS, t) for t in (0.1, 1.0, 4.0, 20.0, 1e6)])
    assert (values.diff(dim=0) > 0).all()
    assert torch.allclose(values[-1], torch.full((4,), math.log(3), dtype=torch.float64))


@pytest.mark.parametrize(
    ("scale", "how"), [(9.0, "almost one-hot"), (1.0, "is soft"), (0.1, "tells classes hardly apart")]
)
def test_what_the_page_says_of_the_softness_follows_the_targets(scale, how):
    said = softness(scale * TEACHER_LOGITS)
    assert how in said
    assert f"{float(entropies(scale * TEACHER_LOGITS, 1).median()):.2g} nats, that of a uniform one 1.1." in said


def test_mean_soft_targets_are_means_over_each_true_class():
    means = mean_soft_targets(TEACHER_LOGITS, LABELS, 2.0)
    expected = (TEACHER_LOGITS[[0, 3]].double() / 2).softmax(1).mean(0)
    assert torch.allclose(means[0], expected)
    assert torch.allclose(means[2], (TEACHER_LOGITS[2].double() / 2).softmax(0))
    assert mean_soft_targets(TEACHER_LOGITS, torch.zeros(4, dtype=torch.long), 1.0)[1].isnan().all()


def test_telling_samples_are_those_that_the_teacher_gets_right_with_the_least_certainty():
    assert telling_samples(TEACHER_LOGITS, LABELS, [0, 1, 2]) == [0, 1, 2]
    assert telling_samples(TEACHER_LOGITS, torch.tensor([1, 1, 2, 2]), [2, 0]) == [2]


def heights(collection) -> list[float]:
    return [np.ptp(bar.vertices[:, 1]) for bar in collection.get_paths()]


def test_each_sample_has_a_row_of_bars_in_the_one_panel_of_each_temperature():
    images = torch.randint(0, 256, (2, 1, 5, 5), dtype=torch.uint8)
    figure = softened_targets(TEACHER_LOGITS[:2], LABELS[:2], class_names=NAMES, images=images, held_out=[1])
    beside, *panels = figure.axes
    assert [panel.get_title() for panel in panels] == ["T = 1", "T = 2", "T = 4", "T = 8", "T = 20"]
    assert [text.get_text() for text in beside.texts] == ["cat", "dog*"]
    for panel, t in zip(panels, TEMPERATURES, strict=True):
        bars, frames = panel.collections
        assert heights(bars) == pytest.approx(soft_targets(TEACHER_LOGITS[:2], t).flatten().tolist())
        assert [path.vertices[0, 1] for path in bars.get_paths()] == [STRIDE] * 3 + [0] * 3  # the first sample above
        assert heights(frames) == [1, 1]
    own = [0, 4]
    colours_of = [to_hex(colour) for colour in panels[0].collections[0].get_facecolors()]
    assert [i for i, colour in enumerate(colours_of) if colour == TEACHER.lower()] == own
    assert len(set(colours_of)) == 2
    assert np.array_equal(np.asarray(beside.images[0].get_array())[:, :, 0], 255 - images[0, 0].numpy())
    assert ticks(panels[0].xaxis) == ["cat", "dog*", "owl"]
    assert ticks(panels[0].yaxis) == ["0%", "50%", "100%"] * 2
    assert legend(figure) == ["its own class", "the others"]
    assert "A cat, its own class and the next, dog: 87% and 11.7% at T = 1" in figure.get_label()
    with pytest.raises(ValueError, match="no sample"):
        softened_targets(TEACHER_LOGITS[:0], LABELS[:0], class_names=NAMES)


def test_the_images_beside_soft_targets_keep_their_shape():
    images = torch.zeros(2, 3, 4, 8, dtype=torch.uint8)
    figure = softened_targets(TEACHER_LOGITS[:2], LABELS[:2], class_names=NAMES, images=images)
    png(figure)
    for image in figure.axes[0].images:
        box = image.get_window_extent()
        assert box.width / box.height == pytest.approx(2, rel=0.02)  # of the whole pixels


def test_of_many_classes_the_outline_and_the_own_class_are_drawn():
    figure = softened_targets(torch.randn(2, 300), torch.tensor([7, 250]), class_names=[str(c) for c in range(300)])
    panel = figure.axes[1]
    assert len(panel.patches) == 2
    own = [path.vertices[:, 0].mean() for path in panel.collections[0].get_paths()]
    assert own == pytest.approx([7, 250], abs=1)


def test_the_entropy_figure_has_the_median_its_bounds_and_the_experiments_temperature():
    figure = target_entropy(TEACHER_LOGITS, used=[4.0, 1.5])
    (panel,) = figure.axes
    median = {line.get_label(): line for line in panel.lines}["median"]
    for t, value in zip(*median.get_data(), strict=True):
        assert value == pytest.approx(float(torch.quantile(entropies(TEACHER_LOGITS, t), 0.5)))
    assert panel.get_ylim()[1] > math.log(3)
    assert legend(figure) == ["90 % of the samples", "50 %", "median", "uniform: ln 3", "used: T = 1.5, 4"]
    assert "nats" in panel.get_ylabel()
    assert len(legend(target_entropy(TEACHER_LOGITS))) == 4


def test_the_similarity_of_classes_is_the_mean_soft_target_without_its_diagonal():
    figure = class_similarity(TEACHER_LOGITS, LABELS, temperature=2.0, class_names=NAMES, held_out=[0])
    panel, bar = figure.axes
    means = mean_soft_targets(TEACHER_LOGITS, LABELS, 2.0)
    drawn = np.ma.filled(panel.images[0].get_array(), np.nan)
    assert np.isnan(np.diag(drawn)).all()
    off = ~np.eye(3, dtype=bool)
    assert np.allclose(drawn[off], means.numpy()[off])
    assert panel.texts[0].get_text() == f"{100 * means[0, 0]:.1f}"
    assert panel.images[0].norm.vmin == 0
    assert ticks(panel.xaxis) == ["cat*", "dog", "owl"]
    assert panel.get_title() == "mean soft target at T = 2"
    assert bar.get_ylabel() == "mean probability"
    assert f"samples of owl get {means[2, 1]:.1%} for dog" in figure.get_label()


# The plane.


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
    assert legend(figure) == ["class a", "class b (held out)"]
    assert "teacher (class a 40%, class b 60%)" in figure.get_label()


def test_contours_of_the_posterior_are_drawn_at_their_levels():
    p = torch.linspace(0.5, 1, 50).repeat(50, 1)  # rises from left to right
    p = torch.stack([p, 1 - p], dim=2)
    points, labels = torch.tensor([[0.2, 0.2], [0.8, 0.8]]), torch.tensor([0, 1])
    (panel,) = decision_regions({"net": p}, (0, 1, 0, 1), points, labels, class_names=["a", "b"]).axes
    assert sorted(text.get_text() for text in panel.texts) == ["75%", "99%"]


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


# Single images.


def some_examples(channels: int = 1, **chosen):
    images = torch.randint(0, 256, (4, channels, 6, 6), dtype=torch.uint8)
    logits = torch.tensor([[0, 1.0, 0], [0, 9, 0], [5, 0, 0], [9, 0, 0]])
    teacher = torch.tensor([[9.0, 0, 0], [0, 9, 0], [0, 0, 9], [9, 0, 0]])
    wrong = logits.argmax(1) != torch.tensor([0, 1, 2, 0])
    found = examples(
        images, torch.tensor([0, 1, 2, 0]), student_logits=logits, teacher_logits=teacher, among=wrong, **chosen
    )  # fmt: skip
    return images, found


@pytest.mark.parametrize("channels", [1, 3])
def test_examples_come_with_class_choice_and_both_probabilities_the_surest_first(channels):
    images, found = some_examples(channels)
    assert [example.caption(NAMES) for example in found] == ["owl → cat", "cat → dog"]
    assert torch.equal(found[0].pixels, images[2])
    assert found[0].student[0] == pytest.approx(math.exp(5) / (math.exp(5) + 2))
    assert found[0].teacher.argmax() == 2
    assert found[0].shown()[:2] == [2, 0]


def test_more_examples_than_wanted_are_spread_over_the_certainty_or_are_the_surest():
    n = 100
    logits = torch.zeros(n, 2)
    logits[:, 0] = torch.arange(n) / 10
    given = {
        "student_logits": logits, "teacher_logits": logits, "among": torch.ones(n, dtype=torch.bool), "limit": 5,
    }  # fmt: skip
    images, labels = torch.zeros(n, 1, 2, 2, dtype=torch.uint8), torch.zeros(n, dtype=torch.long)
    certainty = [float(e.student.max()) for e in examples(images, labels, **given)]
    assert certainty[0] == float(logits.softmax(1).max())
    assert certainty[-1] == 0.5
    surest = [float(e.student.max()) for e in examples(images, labels, surest=True, **given)]
    assert min(surest) > 0.9999


def test_the_gallery_shows_each_image_with_a_pair_of_bars_for_the_classes_that_matter():
    images, found = some_examples()
    figure = gallery(found, title="student: wrong (2 of 4)", class_names=NAMES)
    (panel,) = figure.axes
    assert len(panel.images) == 2
    assert np.array_equal(np.asarray(panel.images[0].get_array())[:, :, 0], 255 - images[2, 0].numpy())
    widths = [np.ptp(bar.vertices[:, 0]) for bar in panel.collections[0].get_paths()]
    first = found[0].shown()
    assert widths[:6] == pytest.approx(
        [0.5 * float(p[c]) for c in first for p in (found[0].teacher, found[0].student)], abs=1e-6
    )
    texts = [text.get_text() for text in panel.texts]
    assert {"owl → cat", "cat → dog"} <= set(texts)
    assert figure.get_suptitle() == "student: wrong (2 of 4)"
    assert "class owl → cat (owl: teacher 100%, student 1%, cat: teacher 0%, student 99%" in figure.get_label()
    assert "none" in gallery([], title="student: wrong (0 of 4)", class_names=NAMES).get_label()


# All figures.


def test_a_png_is_on_white_at_the_figures_size_and_tells_what_it_shows():
    figure = loss_curves(CURVES)
    image = Image.open(io.BytesIO(png(figure)))
    assert image.size == tuple(int(DPI * inches) for inches in figure.get_size_inches())
    assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert image.info["Description"] == figure.get_label()


def test_classes_may_have_any_name():
    names = ["$5 & <up>", "日本", "_"]
    figure = confusion_matrices({"a": np.eye(3)}, class_names=names, held_out={"a": [1]})
    assert ticks(figure.axes[0].yaxis) == ["$5 & <up>", "日本*", "_"]
    assert png(figure)
    assert svg(figure)
    _, found = some_examples()
    assert png(gallery(found, title="$wrong$", class_names=names))


def test_long_names_are_shortened_where_they_stand_in_a_figures_way(recwarn):
    names = [f"{kind} with a very long name, and a comma" for kind in ("cat", "dog", "owl")]
    figure = confusion_matrices({"a": np.eye(3)}, class_names=names, held_out={"a": [1]})
    assert ticks(figure.axes[0].yaxis) == ["cat with a ve…", "dog with a ve…*", "owl with a ve…"]
    png(figure)
    assert figure.axes[0].get_position().width > 0.3
    _, found = some_examples()
    assert "owl with a ve… → cat with a ve…" in {
        text.get_text() for text in gallery(found, title="x", class_names=names).axes[0].texts
    }


def test_names_are_cut_only_where_there_is_no_room_and_stay_different():
    assert shortened(["tiger_stripes", "cat"]) == ["tiger_stripes", "cat"]
    assert shortened([f"species number {i}*" for i in (1, 17, 42)]) == [
        "specie…umber 1*", "specie…mber 17*", "specie…mber 42*",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["x", "species number"])
def test_the_labels_of_a_hundred_classes_do_not_touch(name):
    names = [f"{name}{i}" for i in range(100)]
    figure = confusion_matrices({arm: np.eye(100) for arm in "abc"}, class_names=names, held_out={})
    png(figure)
    for axis, side in ((figure.axes[0].xaxis, 0), (figure.axes[0].yaxis, 1)):
        boxes = sorted(np.array(label.get_window_extent()).T[side].tolist() for label in axis.get_ticklabels())
        assert len(boxes) >= 5
        assert all(one[1] <= other[0] for one, other in pairwise(boxes))


def test_many_classes_do_not_make_a_figure_wider_than_a_page():
    names = [str(c) for c in range(300)]
    rows = [Row("a", "test", c, "none", "accuracy", 0.5, 1) for c in ["all", *names]]
    assert per_class_accuracy(results(rows, ["a"]), class_names=names, held_out={}).get_size_inches()[0] <= 16


def test_an_svg_has_no_background_and_its_ink_follows_the_readers_page():
    text = svg(loss_curves(CURVES))
    assert "currentColor" in text
    assert "#ffffff" not in text
    assert text.count(INK) == 1  # the light scheme's
    assert f"@media(prefers-color-scheme:dark){{svg{{color:{INK_ON_DARK}}}}}" in text
    assert text == svg(loss_curves(CURVES))


def test_the_last_digit_of_the_layout_does_not_show(monkeypatch):
    """It depends on where in memory the solver's variables lie, and so on all that the process did before."""
    before = png(loss_curves(CURVES)), svg(loss_curves(CURVES))
    solve = ConstrainedLayoutEngine.execute

    def solve_elsewhere(engine: ConstrainedLayoutEngine, figure: Figure) -> None:
        solve(engine, figure)
        for panel in figure.axes:
            panel.set_position(np.nextafter(panel.get_position(original=True).bounds, 1))

    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", solve_elsewhere)
    assert (png(loss_curves(CURVES)), svg(loss_curves(CURVES))) == before


def contrast(one: object, other: object) -> float:
    lighter, darker = sorted((luminance(to_rgb(one)), luminance(to_rgb(other))), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("paper", ["#ffffff", "#10161d"])
def test_the_colours_that_carry_meaning_stand_out_on_light_and_dark_pages(paper):
    # WCAG 2.2, success criterion 1.4.11: 3 to 1 for what is no text.
    for colour in {SEEN, UNSEEN, TEACHER}:
        assert contrast(colour, paper) >= 3


def test_numbers_stand_out_from_their_cells():
    # The same, 1.4.3: 4.5 to 1 for text.
    panel = sheet(4, 4).subplots()
    grid = np.linspace(0, 1, 100).reshape(10, 10)
    for cmap in (colormaps["Blues"], colormaps["viridis"]):
        numbered_image(panel, grid, norm=Normalize(0, 1), cmap=cmap, texts=[["x"] * 10] * 10)
        for text, value in zip(panel.texts[-100:], grid.ravel(), strict=True):
            assert contrast(text.get_color(), cmap(value)[:3]) >= 4.5


@pytest.mark.parametrize("count", [2, 7, 12])
def test_colours_are_distinct(count):
    assert len(set(colours(count))) == count
    assert len({str(style) for style in line_styles(count)}) == count
