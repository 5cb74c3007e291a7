"""What a message calls for: the program is found, the segment claimed, and trained.

Rules

* The program is found and compared, and the storage reached, before the claim, so that a node that
  cannot run it takes nothing. The keeper watches its import, which may end this process or hang.
* The next segment of the same experiment has the function that this process has loaded already,
  whatever has become of its file. The files of a command are compared each time: it reads them.
* What a newer version has written is left to workers that are as new.
* The keeper hears of the claim before the store does: whatever happens to this process after that,
  the claim is given back.
"""

import contextlib
import os
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from asha_queue import formats
from asha_queue.errors import NewerFormat, ProgramError, StorageError, UnknownExperiment
from asha_queue.storage import Remote
from asha_queue.training import dialects
from asha_queue.training.output import send_logs
from asha_queue.training.segment import ClaimedSegment
from asha_queue.training.site import Ending, Message, Site, answered, refuse


def run_segment(site: Site, message: Message) -> Ending:
    """Does what a message calls for, if that is still wanted."""
    try:
        formats.require(message.v, f"the message of trial {message.trial}")
        experiment = site.describe(message.uid)
    except UnknownExperiment:
        return Ending("not run: its experiment was deleted")
    except NewerFormat as error:
        return refuse(site, message, str(error))
    try:
        program = _load(site, message, experiment.specification)
        storage = site.storage(experiment.specification)
    except (ProgramError, StorageError) as error:
        site.line.done()
        return refuse(site, message, str(error))
    claim_id = uuid.uuid4().hex
    site.line.claiming(message.uid, message.trial, claim_id, message.task)
    try:
        claim = answered(
            partial(
                site.store.claim,
                message.uid,
                message.trial,
                message.rung,
                message.attempt,
                claim_id,
                site.worker,
                ready=True,
            )
        )
        if claim.outcome == "aside":
            return Ending(f"not run: {claim.reason}", rest=claim.aside_for)
        if claim.outcome != "run":
            return Ending(f"not run: {claim.reason}" if claim.reason else claim.outcome)
        segment = ClaimedSegment(site, message, experiment, claim, claim_id)
        site.line.claimed(segment.granted())
        return segment.run(program)
    except BaseException as error:
        # a bug of ours: the claim must not be renewed for ever
        with contextlib.suppress(Exception):
            reason = f"internal error: {error!r}"
            site.store.release(message.uid, message.trial, claim_id, reason, counts=True)
        raise
    finally:
        site.live.done()
        site.line.done()
        if isinstance(storage, Remote):
            send_logs(storage)


def _load(site: Site, message: Message, specification: dict[str, Any]) -> Callable[..., object]:
    """The program, imported while the keeper looks on; raises ProgramError if it cannot be."""
    if site.loaded and site.loaded[0] == message.uid:
        return site.loaded[1]
    site.loaded = None
    process = os.getpid()
    site.line.loading(message.uid, message.trial, message.rung, message.attempt)
    site.pulse.begin(0, None)
    try:
        program = dialects.program(specification, site.roots)
        if not specification.get("command"):
            site.loaded = message.uid, program
        return program
    except ProgramError:
        raise
    except BaseException as error:
        raise ProgramError(
            f"program {specification['train']} cannot be imported: {error!r}"
        ) from error
    finally:
        site.pulse.end()
        if os.getpid() != process:
            os._exit(0)  # forked by the program, and not the one to go on
