"""Errors whose message is for the person who runs an experiment: shown as it is, without a traceback."""


class KdlabError(Exception):
    """Something that the person who runs the experiment can mend."""


class ConfigError(KdlabError):
    """A config that cannot be run; the message lists every problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["The config cannot be run:", *(f"  - {problem}" for problem in problems)]))
        self.problems = problems


class DataError(KdlabError):
    """The data cannot be used: a file is corrupt, or the samples do not suffice for what the config asks."""


class DataNotFound(DataError):
    """The data are neither on disk nor to be had from the network."""


class Diverged(KdlabError):
    """The training loss is no longer a finite number."""
