"""A wrong config is refused before anything is read or trained, with every problem at once."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from kdlab.config.read import read
from kdlab.errors import ConfigError
from kdlab.train import CONFIGS

EXPERIMENT = "+experiment=dark_knowledge"


TARGETS = "student.targets=guess: must be one of truth, teacher_hard, teacher_soft, bayes_hard, bayes_soft"
BAYES = "student.targets=bayes_soft: the true posterior of mnist is not known; that of data=blobs is"
NO_12 = "arms.x.held_out_classes=12: no such class; there are the indices 0 to 9, named 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
NO_FILE = "teacher.checkpoint=my.pt: no such file; a state_dict saved by torch.save, or .safetensors, is needed"


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", [EXPERIMENT, *overrides])


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(config(*overrides))
    return caught.value.problems


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["data=digits", "data.val_size=0", "data.held_out_classes=[]", "seed=7"],
        [
            "model@student.net=linear",
            "optimizer=adam",
            "+every_arm.optimizer.lr=0.001",
            "schedule=constant",
            "loss=logit_mse",
            "trainer=cpu",
        ],
        ["data.held_out_classes=['0',1]", "data.val_size=5000", "augment@student.augment=jitter"],
        ["arms.distilled.loss.alpha=1", "arms.baseline.max_epochs=3"],
    ],
)
def test_a_right_config_passes(overrides):
    overrides = [f"+{o}" if o.startswith("arms.") else o for o in overrides]
    read(config(*overrides))


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("loss.temperature=0", "loss.temperature=0: must be a finite number above 0"),
        ("loss.temperature=-2", "loss.temperature=-2: must be a finite number above 0"),
        ("loss.temperature=nan", "loss.temperature=nan: must be finite"),
        ("loss.temperature=hot", "loss.temperature=hot: must be a finite number above 0"),
        ("loss.alpha=1.1", "loss.alpha=1.1: the weight of the soft term must lie in [0, 1]"),
        ("loss.alpha=-0.1", "loss.alpha=-0.1: the weight of the soft term must lie in [0, 1]"),
        ("loss.soft_loss=l1", "loss.soft_loss=l1: must be one of kl, cross_entropy, logit_mse"),
        ("optimizer.lr=0", "optimizer.lr=0: must be a finite number above 0"),
        ("optimizer.lr=-1", "optimizer.lr=-1: must be a finite number above 0"),
        ("optimizer.lr=nan", "optimizer.lr=nan: must be finite"),
        ("teacher.optimizer.lr=inf", "teacher.optimizer.lr=inf: must be finite"),
        ("optimizer.momentum=-1", "optimizer.momentum=-1: Invalid momentum value: -1"),
        ("schedule.warmup=1", "schedule.warmup=1: the share of steps spent rising must lie in [0, 1)"),
        ("teacher.max_epochs=0", "teacher.max_epochs=0: must be an integer of at least 1"),
        ("student.max_epochs=1.5", "student.max_epochs=1.5: must be an integer of at least 1"),
        ("teacher.batch_size=0", "teacher.batch_size=0: must be an integer of at least 1"),
        ("+arms.distilled.batch_size=many", "arms.distilled.batch_size=many: must be an integer of at least 1"),
        ("seed=-1", "seed=-1: must be an integer of at least 0"),
        ("seed=0.5", "seed=0.5: must be an integer of at least 0"),
        ("seed=lucky", "seed=lucky: must be an integer of at least 0"),
        ("seed=true", "seed=true: must be an integer of at least 0"),
        ("teacher.seed=-3", "teacher.seed=-3: must be an integer of at least 0"),
        ("data.batch_size=0", "data.batch_size=0: must be an integer of at least 1"),
        ("data.batch_size=12.5", "data.batch_size=12.5: must be an integer of at least 1"),
        ("data.val_size=1.0", "data.val_size=1.0: must be a fraction in [0, 1) or a number of samples"),
        ("data.val_size=-5", "data.val_size=-5: must be a fraction in [0, 1) or a number of samples"),
        ("data.split_seed=x", "data.split_seed=x: must be an integer"),
        ("data.fallback=cifar10", "data.fallback=cifar10: must be mnist5k, digits or null"),
        ("data.held_out_classes=3", "data.held_out_classes=3: must be a list of integers or texts or null, such as"
         " [3]"),
        ("student.targets=guess", TARGETS),
        ("student.targets=bayes_soft", BAYES),
        ("+arms.x.targets=bayes_hard", BAYES.replace("student", "arms.x").replace("soft", "hard")),
        ("+arms.x.held_out_classes=[12]", NO_12),
        ("teacher.patience=0", "teacher.patience=0: must be an integer of at least 1"),
        ("student.patience=soon", "student.patience=soon: must be an integer of at least 1"),
        ("teacher.checkpoint=my.pt", NO_FILE),
        ("evaluation.splits=[]", "evaluation.splits=[]: must be null, or a list of one or more of train, val, test"),
        (
            "evaluation.splits=[tset]",
            "evaluation.splits=['tset']: must be null, or a list of one or more of train, val, test",
        ),
        ("evaluation.cost=null", "evaluation.cost=null: must be true or false"),
        ("comparison.rows=[{show: x, arm: y}]", "comparison.rows[0].metric: is missing"),
        ("comparison.rows=[3]", "comparison.rows[0]=3: must be a mapping with the keys show, arm, metric, split,"
         " classes, correction, source"),
        ("+comparison.rows.0.correction=priro", "comparison.rows[0].correction=priro: must be one of none, prior,"
         " oracle"),
        ("evaluation.splits=[test,test]", "evaluation.splits=['test', 'test']: must be null, or a list of one or more"
         " of train, val, test"),
        ("+comparison.rows.0.clases=3", "comparison.rows[0].clases: no such key; there are show, arm, metric, split,"
         " classes, correction, source"),
        ("comparison.rows.0.source=many", "comparison.rows[0].source=many: must be a finite number, or left out"
         " where the source has none"),
        ("comparison.about=3", "comparison.about=3: must be a mapping of the config's keys, such as"
         " {data.held_out_classes: [3]}"),
        ("+comparison.about={data.held_out_clases: [3]}", "comparison.about.data.held_out_clases: the config has no key"
         " data.held_out_clases"),
        ("trainer.accelerator=tpu", "trainer.accelerator=tpu: must be one of auto, cpu, gpu"),
        ("trainer.precision=8", "trainer.precision=8: must be one of auto, 32-true, bf16-mixed"),
        ("trainer.devices=0", "trainer.devices=0: must be an integer of at least 1"),
        ("store.folder=''", "store.folder='': must be a folder, or null to keep nothing"),
        ("store.refresh=2", "store.refresh=2: must be true or false"),
        ("figures=some", "figures=some: must be true, false or null"),
        ("evaluation.reference=gone", "evaluation.reference=gone: must be null, or one of teacher, baseline, "
         "distilled"),
        ("evaluation.prior_offsets=some", "evaluation.prior_offsets=some: must be one of per_class, shared"),
        ("name=a/b", "name=a/b: names a folder; allowed are letters, digits, '_', '-' and '.', 100 at most"),
        (
            "+arms.teacher={}",
            "arms.teacher: an arm's name is made of letters, digits, '_', '-' and '.', 100 at most, and"
            " not teacher or bayes",
        ),
        ("+arms.distilled.loss.alpha=3", "arms.distilled.loss.alpha=3: the weight of the soft term must lie in [0, 1]"),
        ("student.net.hidden_dropout=1", "student.net.hidden_dropout=1: a dropout probability must lie in [0, 1)"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_reported_once_with_key_value_and_what_is_allowed(override, problem):
    assert problems(override) == [problem]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("student.net=null", "student.net=null: must be a mapping with a _target_"),
        ("teacher.net=null", "teacher.net=null: must be a mapping with a _target_"),
        ("+arms.x.loss=null", "arms.x.loss=null: must be a mapping with a _target_"),
        ("+arms.x.net=linear", "arms.x.net=linear: must be a mapping with a _target_"),
        ("~student.max_epochs", "student.max_epochs: is missing"),
        ("~teacher.net", "teacher.net: is missing"),
        ("student.max_epochs=???", "student.max_epochs: has no value"),
        ("~arms", "arms: is missing"),
        ("~evaluation", "evaluation: is missing"),
        ("+learning_rate=3", "learning_rate: no such key; there are name, question, seed"),
        ("+student.lr=3", "student.lr: no such key; there are net"),
        ("+trainer.max_steps=3", "trainer.max_steps: no such key; there are accelerator, precision"),
        ("+loss.temprature=3", "loss.temprature: no such argument of kdlab.losses.DistillationLoss; there are temp"),
        ("+data.held_out=[3]", "data.held_out: no such argument of kdlab.data.MNISTData; there are batch_size, "),
        ("+arms.x.loss={_target_: torch.nn.MSELoss}", "arms.x.loss: must take (student_logits=, teacher_logits=,"),
        ("evaluation=null", "evaluation=null: must be a mapping"),
        ("student=null", "student=null: must be a mapping"),
        ("arms.baseline=truth", "arms.baseline=truth: must be a mapping"),
        ("+arms={4: {}}", "arms.4: an arm's name is made of letters, digits"),
        ("arms=null", "arms=null: must be a mapping"),
        ("name=2024", "name=2024: names a folder"),
        ("name=null", "name=null: names a folder"),
        ("student.net.widths=800", "student.net.widths=800: must be a list of integers, such as [800]"),
        ("schedule.warmup=a", "schedule.warmup=a: the share of steps"),
        ("data.root=3", "data.root=3: must be a text or null; a text that looks like"),
        ("loss._target_=kdlab.losses.Nothing", "loss._target_=kdlab.losses.Nothing: "),
    ],
)
def test_a_config_that_is_misshapen_is_reported_too(override, problem):
    found = problems(override)
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_unset_values_are_all_reported_at_once():
    found = problems("student.max_epochs=???", "teacher.max_epochs=???")
    assert {problem.split(":")[0] for problem in found} == {"teacher.max_epochs", "student.max_epochs"}


def test_null_held_out_classes_mean_none():
    read(config("data.held_out_classes=null"))


def test_an_arm_takes_another_network_from_the_group():
    read(config("+model@arms.small.net=linear"))


def test_a_held_out_class_that_does_not_exist_is_reported_with_those_that_do():
    (problem,) = problems("data.held_out_classes=[12]")
    assert problem.startswith("data.held_out_classes=12: no such class; there are the indices 0 to 9")


def test_holding_out_all_classes_is_reported():
    (problem,) = problems("data.held_out_classes=[0,1,2,3,4,5,6,7,8,9]")
    assert "all classes are held out" in problem


def test_a_network_whose_outputs_do_not_match_the_classes_is_reported():
    (problem,) = problems("student.net.outputs=7")
    assert problem == "student.net: gives outputs of shape (2, 7) for 2 samples, but mnist has 10 classes"


def test_a_network_that_does_not_take_the_inputs_is_reported():
    (problem,) = problems("teacher.net.inputs=100")
    assert problem.startswith("teacher.net: fails on mnist's inputs of shape (1, 28, 28)")


def test_a_network_that_cannot_be_found_is_reported():
    (problem,) = problems("student.net._target_=my_package.MyNet")
    assert problem.startswith("student.net._target_=my_package.MyNet: no such class or function")


def test_an_arm_that_overrides_what_is_not_there_is_reported_with_what_is():
    (problem,) = problems("+arms.distilled.losss.alpha=1")
    assert problem.startswith(
        "arms.distilled.losss: no such key in the student's recipe; there are augment, batch_size, control, "
    )


def test_stopping_early_and_validation_rows_need_a_validation_part():
    found = problems("data.val_size=0", "teacher.patience=3", "evaluation.splits=[val]")
    assert found == [
        "evaluation.splits=['val']: there is no validation part, since data.val_size=0",
        "teacher.patience=3: stopping early needs a validation part, but data.val_size=0",
    ]


def test_an_augmentation_that_does_not_take_the_inputs_is_reported():
    (problem,) = problems(
        "data=blobs", "data.held_out_classes=[]", "augment@teacher.augment=none", "augment@student.augment=jitter"
    )
    assert problem.startswith("student.augment: fails on blobs's inputs of shape (2,)")


def test_bayes_targets_are_right_for_data_with_a_known_posterior():
    read(config("data=blobs", "data.held_out_classes=[]", "augment@teacher.augment=none", "student.targets=bayes_soft"))


def test_an_unset_network_of_your_own_is_reported():
    assert problems("model@teacher.net=own") == ["teacher.net._target_: has no value"]


def test_a_missing_gpu_is_reported_with_the_remedy(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (problem,) = problems("trainer=gpu")
    assert problem == "trainer.accelerator=gpu: this machine has no usable GPU; take trainer=auto or trainer=cpu"


def test_every_problem_is_reported_at_once():
    found = problems(
        "loss.temperature=0", "loss.alpha=2", "optimizer.lr=-1", "data.batch_size=0", "seed=x", "student.net.outputs=3"
    )
    assert {problem.split("=")[0].split(": ")[0] for problem in found} == {
        "loss.temperature", "loss.alpha", "optimizer.lr", "data.batch_size", "seed", "student.net"
    }  # fmt: skip
    assert len(found) == 6
