"""Everything raised on purpose: a message names the thing, the value and what to do next."""


class AshaQueueError(Exception):
    """Root of all errors here; the command line prints its message alone, without a traceback."""


class SpecificationError(AshaQueueError):
    """Raised when a field of an experiment, or a domain of its space, is not what it may be."""


class StorageError(SpecificationError):
    """Raised when a storage cannot be used: its URL is none, this machine lacks the package for it,
    or there is no such bucket."""


class ProgramError(AshaQueueError):
    """Raised when the training program cannot be found, read or loaded."""


class ProgramDiffers(ProgramError):
    """Raised when this node's copy of the program is not the one that was submitted."""


class ReportError(AshaQueueError):
    """Raised in training code that reports something other than numbers, or a step out of range."""


class CommandError(AshaQueueError):
    """Raised when the command of an experiment ends with an error, or prints no metric."""


class TrialStopped(BaseException):
    """Raised out of a trial's `report`, `save` and `steps` when its segment is not wanted any more:
    it was cancelled, or belongs to another worker. Let it pass; clean up in `finally` if need be.

    A BaseException, so that `except Exception` in training code does not keep it.
    """


class TargetReached(TrialStopped):
    """Raised out of `tune.report` at the last report that a segment is to bring. Let it pass."""


class CheckpointError(AshaQueueError):
    """Root of what can be wrong with a checkpoint."""


class CheckpointCorrupt(CheckpointError):
    """Raised when a checkpoint's files are not those that its manifest lists."""


class CheckpointUnwritable(CheckpointError):
    """Raised out of a trial's `save` when its storage is full, broken or not to be written. Let it
    pass: the segment is given back, and goes on from its last checkpoint when there is room."""


class CheckpointUnreachable(CheckpointError):
    """Raised when a checkpoint's folder cannot be read from this node."""


class ModelError(AshaQueueError):
    """Raised when the best models of an experiment cannot be taken out: there are none, or the
    folder for them is not to be used."""


class ChoiceError(AshaQueueError):
    """Raised when trials are asked for by a state, a name or a word that is none."""


class OrderError(AshaQueueError):
    """Raised when an order to an experiment asks for what cannot be."""


class ExperimentEnded(OrderError):
    """Raised when an order comes too late: the experiment is finished, or was cancelled."""


class JournalError(AshaQueueError):
    """Raised when an entry cannot follow those before it; the state is unchanged then."""


class StoreError(AshaQueueError):
    """Root of what can go wrong with the store."""


class StoreUnavailable(StoreError):
    """Raised when the server does not answer, is loading, or refuses the connection."""


class NotAllowed(StoreUnavailable):
    """Raised when the user in the URL may not do at the server what it was to do there."""


class UnknownExperiment(StoreError):
    """Raised when no experiment has this name or uid."""


class UnknownWorker(AshaQueueError):
    """Raised when no live worker, and no host of one, has this name."""


class LostExperiment(UnknownExperiment):
    """Raised when an experiment is gone although nobody deleted it: its store lost its data, or is
    another one. `asha-queue restore` rebuilds it from its exported journal."""


class MessageError(AshaQueueError):
    """Raised when a message of the queue names no segment."""


class NewerFormat(StoreError):
    """Raised when data was written by a newer version than this one."""


class ProtocolError(StoreError):
    """Raised when a call is illegal in the present state: a bug, never a user's mistake."""


class ServerError(AshaQueueError):
    """Raised when the embedded server cannot be started or is not what it should be."""


class UsersError(AshaQueueError):
    """Raised when the files of the server's users cannot be written as was asked for."""


class NodeError(AshaQueueError):
    """Raised when the workers that were asked for cannot be started on this machine."""
