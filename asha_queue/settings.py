"""Constants, with their units."""

from typing import Final

#: Format of the journal entries, records, messages and manifests written here (`formats.py`).
FORMAT: Final = 1
#: What counts of trials and of resource may be: scripts on the server count in doubles.
LARGEST: Final = 2**53
#: What names of experiments and queues look like.
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"

#: Seconds that a claim holds without being renewed, measured in the stored lease clock.
LEASE: Final = 30.0
#: Seconds between two renewals of a lease, and two beats of a worker: orders are heard this soon.
RENEW_EVERY: Final = 2.0
#: Seconds that a program gets to end by itself when its segment was cancelled.
CANCEL_GRACE: Final = 5.0
#: Seconds by which one tick can advance the lease clock: a server that was down expires nobody.
CLOCK_STEP: Final = 5.0
#: Seconds between two ticks of a coordinator: reap, publish again, renew leadership.
TICK: Final = 1.0
#: Seconds that a leader stays leader without renewing …
LEADER_LEASE: Final = 5.0
#: … and if its connection has ended, as it does when its process is killed.
LEADER_SILENT: Final = 1.5
#: Seconds between a checkpoint's leaving of the record and the removal of its files: more than an
#: append-only file, or a replica, lacks of a server that died. Where one goes back further, trials
#: find checkpoints gone, and train again.
REMOVE_AFTER: Final = 10.0
#: Seconds after which a silent worker no longer counts as a slot.
WORKER_TIMEOUT: Final = 25.0

#: Seconds until a message that nobody claimed is published again; doubles each time …
PUBLISH_AGAIN: Final = 30.0
#: … up to this many seconds.
PUBLISH_AGAIN_MAX: Final = 960.0
#: Seconds until a segment that a worker could not take is published again, for others.
REFUSED_AGAIN: Final = 1.0
#: Seconds for which a retry avoids the host or worker it failed on, while others live.
AVOID: Final = 60.0
#: Different trials that must have failed on a worker one after the other for it to be set aside.
IN_A_ROW: Final = 3
#: Seconds for which a worker is set aside: the first time, and at most.
ASIDE: Final = 10.0
ASIDE_MAX: Final = 600.0

#: Deaths of a training process without checkpoint progress in between that make a trial fail.
POISON_LIMIT: Final = 3
#: Losses that nobody saw (expired leases) without progress that make a trial fail.
UNWITNESSED_LIMIT: Final = 10

#: Points kept of a segment's learning curve in the journal.
CURVE_POINTS: Final = 64
#: Uids kept of experiments that were deleted: what is neither there nor among them was lost.
DELETED_KEPT: Final = 1000
#: Entries kept, about, in an experiment's stream of live reports.
LIVE_POINTS: Final = 10_000
