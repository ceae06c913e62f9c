"""The command that does a run again."""

import shlex

from omegaconf import OmegaConf

from kdlab.config.commands import repeating

RECORD = OmegaConf.create(
    {
        "runtime": {
            "config_sources": [
                {"provider": "hydra", "path": "hydra.conf"},
                {"provider": "main", "path": "/kdlab/conf"},
                {"provider": "command-line", "path": "/home/my conf"},
            ]
        },
        "job": {"config_name": "train"},
        "overrides": {"task": ["+experiment=mine", "data.held_out_classes=[1,2]", "loss.temperature=1,4"]},
    }
)


def test_the_command_is_what_was_typed_with_the_users_own_configs_quoted_for_a_shell():
    command = repeating(RECORD, sweep=True)
    assert shlex.split(command) == [
        "python", "-m", "kdlab.train", "-m", "--config-dir", "/home/my conf", "+experiment=mine",
        "data.held_out_classes=[1,2]", "loss.temperature=1,4",
    ]  # fmt: skip
    assert "-m --config-dir" not in repeating(RECORD, sweep=False)


def test_another_primary_config_is_named():
    other = OmegaConf.merge(RECORD, {"job": {"config_name": "mine"}})
    assert "--config-name mine" in repeating(other, sweep=False)
