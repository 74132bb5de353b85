"""Errors that a person can act on.

Each message is one line that names the file or key, what was expected and what was found. The command prints it
without a traceback and exits with status 1; any other exception is a defect and keeps its traceback.
"""


class V2LError(Exception):
    """Base of every error that bad input can cause."""


class ConfigError(V2LError):
    """The configuration is unreadable, has an unknown key, a wrong type or an impossible combination."""


class ArtifactError(V2LError):
    """A file from an earlier stage is missing, truncated or has another schema than expected."""


class AssetError(V2LError):
    """A download is missing, or its SHA-256 differs from the pinned one."""


class DataError(V2LError):
    """A data set is not what the configuration says it is, or a picture in it cannot be read."""


class ModelError(V2LError):
    """A frozen model cannot be loaded from where the configuration points."""
