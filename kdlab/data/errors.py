"""What can be wrong with a data set; the messages are for the person who runs the experiment."""


class DataError(Exception):
    """The data cannot be used: a file is corrupt, or the samples do not suffice for what the config asks."""


class DataNotFound(DataError):
    """The data are neither on disk nor to be had from the network."""
