"""Restoring an experiment from its journal, in memory."""

from collections.abc import Sequence

from asha_queue import settings
from asha_queue.errors import ProtocolError
from asha_queue.store.contract import Json
from asha_queue.store.memory.fleet import Fleet
from asha_queue.store.memory.state import Experiment, Record, clean, microseconds
from asha_queue.store.restoration import rebuilt


class Restores(Fleet):
    """The method of `Store` that takes a whole journal."""

    def restore(self, entries: Sequence[Json]) -> str:
        told = rebuilt(clean({"entries": list(entries)})["entries"])
        if told.name in self.memory.names:
            return self.memory.names[told.name]
        if told.uid in self.memory.experiments:
            raise ProtocolError(f"uid {told.uid} has another name than {told.name}")
        now = self.clock()
        experiment = Experiment(
            uid=told.uid,
            name=told.name,
            specification=told.specification,
            tick=microseconds(now),
            state=told.state,
            draining=told.draining,
            extended=told.extended,
            submitted_at=told.submitted_at,
            last=told.last,
            journal=told.entries,
        )
        for trial in told.trials:
            record = Record(**vars(trial))
            record.due, record.deadline = now, microseconds(settings.LEASE)
            record.avoid_until = now + settings.AVOID
            experiment.records[trial.trial] = record
            experiment.lively.add(trial.trial)
        self.memory.names[told.name] = told.uid
        self.memory.experiments[told.uid] = experiment
        self.memory.deleted.discard(told.uid)
        return told.uid
