"""Errors for the person who runs an experiment: the message is shown without a traceback."""


class KdlabError(Exception):
    """An error that the person who runs the experiment can mend."""


class ConfigError(KdlabError):
    """A config that cannot be run; the message lists every problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["The config cannot be run:", *(f"  - {problem}" for problem in problems)]))
        self.problems = problems


class DataError(KdlabError):
    """The data cannot be used: a file is corrupt, or the samples do not suffice for what the config asks."""


class DataNotFound(DataError):
    """The data are not on disk and cannot be downloaded."""


class Diverged(KdlabError):
    """A training loss, or what came of it, is not finite any more."""


class FitsFailed(KdlabError):
    """Too many fits of a run failed for a result; the message has a line for each."""


class DiskFull(KdlabError):
    """There is no room for a file."""
