"""An experiment as plain, frozen values: every recipe resolved, merged, and filled in from the data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from kdlab.config.claims import Claim

if TYPE_CHECKING:
    from kdlab.data import ClassificationData

# A part of a recipe that Hydra builds: its `_target_`, and the arguments.
Node = Mapping[str, Any]
TEACHER = "teacher"


class Targets(NamedTuple):
    """Where a student's targets come from, and whether they are soft (logits) or hard (classes)."""

    source: Literal["labels", "teacher", "bayes"]
    soft: bool


TARGETS = {
    "truth": Targets("labels", soft=False),
    "teacher_hard": Targets("teacher", soft=False),
    "teacher_soft": Targets("teacher", soft=True),
    "bayes_hard": Targets("bayes", soft=False),
    "bayes_soft": Targets("bayes", soft=True),
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """How one network is trained, whether teacher or student.

    `patience`: stop after so many epochs without a higher validation accuracy; None for the last epoch's weights.
    `batch_size`: samples per step; None for the data set's.
    """

    net: Node
    augment: Node
    optimizer: Node
    schedule: Node
    max_epochs: int
    patience: int | None
    seed: int
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class TeacherRecipe(Training):
    """A network that learns all classes from the labels; `checkpoint` names a file of weights to take instead.

    With `new_head` it begins with these, but for a last layer of another number of classes, and is trained. `logits`
    names a file of logits to take instead of a network.
    """

    checkpoint: str | None
    new_head: bool | None = None
    logits: str | None = None

    teacher: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[None] = None
    held_out_classes: ClassVar[tuple[int, ...]] = ()


@dataclass(frozen=True, kw_only=True)
class StudentRecipe(Training):
    """A network that learns from `targets` with `loss`; `teacher` names the fits that it is compared with.

    They give the targets too, where `targets` says so. `held_out_classes` are missing from its data. `start` names the
    fit whose weights it begins with; None for initial weights of its own. `control` changes its soft targets; None
    leaves them as they are.
    """

    teacher: tuple[str, ...]
    targets: str
    loss: Node
    held_out_classes: tuple[int, ...]
    start: str | None = None
    control: Node | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """The fits that must be finished before it, by name."""
        return self.teacher if self.start is None else (*self.teacher, self.start)

    @property
    def learns_from(self) -> Targets:
        """What `targets` means."""
        return TARGETS[self.targets]


Recipe = TeacherRecipe | StudentRecipe


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """What to compute on, in the words of `kdlab.hardware`, and how many fits are trained at once."""

    accelerator: str
    precision: str
    devices: int
    deterministic: bool | Literal["warn"]
    stack: int | str


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """What to measure: the splits, the cost of each network, one `prior` offset for each class or a shared one.

    Rows that say what a student took over (`agreement` and the like) compare it with `reference`; None: each with its
    own teacher.
    """

    splits: tuple[str, ...]
    prior_offsets: str
    cost: bool
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """The folder that keeps finished fits (None: keep none), and whether to retrain earlier ones."""

    folder: str | None
    refresh: bool


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """All that one command asks for.

    `recipes` holds the teacher's, those of further teachers, and each arm's, by name, in the order of the config.
    `config` is the config itself as plain values, filled in from the data set, for the record.
    """

    name: str
    question: str | None
    seed: int
    data: "ClassificationData"
    recipes: Mapping[str, Recipe]
    trainer: TrainerSettings
    evaluation: EvaluationSettings
    store: StoreSettings
    figures: bool | None
    logger: Mapping[str, Node]
    comparison: Mapping[str, Any] | None
    claims: tuple[Claim, ...]
    config: Mapping[str, Any] = field(repr=False)
