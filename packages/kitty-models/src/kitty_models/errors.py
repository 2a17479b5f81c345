"""What can go wrong with local models.

ModelsError
├── BadSetting            an environment variable or argument cannot be read
├── ModelNotFound         no such alias, file or address
├── PullFailed            no source delivered the model
│   └── NotEnoughDisk     there is no room for it
├── SourceFailed          one source did not deliver (the next one is tried)
│   └── WrongContent      it delivered, but not what the pinned hash says
└── EngineUnavailable     the embedded engine cannot run here
    └── EngineStopped     it started and went away, or never became ready
"""


class ModelsError(Exception):
    """Something went wrong with a local model."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class BadSetting(ModelsError):
    """A setting cannot be read."""


class ModelNotFound(ModelsError):
    """There is no such model."""


class PullFailed(ModelsError):
    """No source delivered the model."""


class NotEnoughDisk(PullFailed):
    """There is not enough free disk space for the model."""


class SourceFailed(ModelsError):
    """This source did not deliver the model."""


class WrongContent(SourceFailed):
    """What this source delivered is not the model."""


class EngineUnavailable(ModelsError):
    """The embedded engine cannot run on this machine."""


class EngineStopped(EngineUnavailable):
    """The embedded engine stopped."""
