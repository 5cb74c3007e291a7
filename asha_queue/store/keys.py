"""Every key that this package writes, except kombu's (which begin with `asha:celery:`).

pattern                            type    owner        lifetime  holds
asha:names                         hash    experiments  for ever  name → uid
asha:workers                       hash    fleet        for ever  worker → what it says (JSON)
asha:workers:seen                  zset    fleet        for ever  worker by its last beat (µs)
asha:workers:troubles              hash    fleet        for ever  worker → its troubles (JSON)
asha:workers:aside                 zset    fleet        for ever  worker set aside, until when (µs)
asha:drains                        hash    fleet        undrain   worker → who drains it
asha:deleted                       zset    experiments  for ever  the last uids deleted, by when
asha:coordinators                  hash    fleet        for ever  coordinator → what it says (JSON)
asha:coordinators:seen             zset    fleet        for ever  coordinator by its last beat (µs)
asha:experiment:UID                hash    experiments  delete    the experiment, see below
asha:experiment:UID:journal        stream  all scripts  delete    the journal; never trimmed
asha:experiment:UID:snapshot       hash    experiments  delete    a fold of it: v, seen, last, state
asha:experiment:UID:live           stream  experiments  delete    about LIVE_POINTS live reports
asha:experiment:UID:queued         zset    segments     delete    trial by its next publication (µs)
asha:experiment:UID:running        zset    segments     delete    trial by its deadline (lease µs)
asha:experiment:UID:refusals       hash    segments     delete    worker → why it refused last
asha:experiment:UID:restoring      hash    restores     restore   request and trials of a restore
asha:experiment:UID:removals       zset    segments     delete    evicted checkpoint by when (µs)
asha:experiment:UID:orders         hash    orders       delete    request of an order → its answer
asha:experiment:UID:trial:N        hash    segments     delete    the record of trial N, see below
asha:experiment:UID:checkpoints:N  list    segments     delete    its checkpoints, newest last

"delete" = until `Store.delete`; "restore" = until it has ended. No key has a TTL: a server that
slept must expire nobody.

The experiment's hash: v, name, specification (JSON), retries, weight, queue, state, draining (1: a
pause drains what runs), ending (1: what runs is drained, then it finishes), num_samples, max_t,
time_budget, resource_budget and stop_at (JSON, once extended), submitted_at, last (id of the last
decision-relevant entry), request (of the last decision accepted), trials (how many were started),
clock and tick (the lease clock, and server time of its last tick), leader, leader_client (id of its
connection), term, leader_until, wants, claims (of each queue, JSON) and claims_of (the leader that
made them), stale. Times in µs, except submitted_at (s). What the first version wrote has neither
weight nor queue nor draining.

A trial's record: bracket, rung, target, attempt, state, config (JSON), publications; token, claim,
worker and started (= token once started) of its newest claim; ended_token, ended_claim, ended_how
of the newest claim that ended; failures, losses, unwitnessed and lost_at (resource at the last
loss); avoid, avoid_until; evicted (resource of the newest
checkpoint evicted since its last start). The table of its states is in `scripts/common.lua`.

The keys asha:call:SCRIPT are never written: a call of a script names its own, and whoever may not
use that key may not call it (see `rights.py`).

The channel asha:kept has no listeners: a message there is a write that replicas confirm.

A checkpoint in the list: a JSON object of strings {path, resource, token, metrics, text}, where
`text` is the checkpoint as its writer described it and `token` that of the claim that wrote it.
"""

from typing import Final

NAMES: Final = "asha:names"
WORKERS: Final = "asha:workers"
SEEN: Final = "asha:workers:seen"
TROUBLES: Final = "asha:workers:troubles"
ASIDE: Final = "asha:workers:aside"
DRAINS: Final = "asha:drains"
KEPT: Final = "asha:kept"
DELETED: Final = "asha:deleted"
COORDINATORS: Final = "asha:coordinators"
COORDINATORS_SEEN: Final = "asha:coordinators:seen"


def experiment(uid: str) -> str:
    """The experiment's hash; scripts append `:journal`, `:trial:N` … to it."""
    return f"asha:experiment:{uid}"


def journal(uid: str) -> str:
    return experiment(uid) + ":journal"


def snapshot(uid: str) -> str:
    return experiment(uid) + ":snapshot"


def live(uid: str) -> str:
    return experiment(uid) + ":live"


def refusals(uid: str) -> str:
    return experiment(uid) + ":refusals"


def call(script: str) -> str:
    """The key that a call of a script names, never written."""
    return f"asha:call:{script}"
