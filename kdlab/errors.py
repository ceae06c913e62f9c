"""Errors whose message is for the person who runs an experiment: shown as it is, without a traceback."""

import signal


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


class Terminated(BaseException):
    """The process received SIGTERM. A BaseException, so that `except Exception` cannot swallow it."""


class Diverged(KdlabError):
    """The training loss is no longer a finite number."""


def stop_status(stop: KeyboardInterrupt | Terminated) -> int:
    """Return the exit status of a process that was stopped, as shells have it: 128 + the signal's number."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
