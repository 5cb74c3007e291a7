"""Random interleavings of coordinators, workers and keepers that crash, freeze and repeat, and of
people who pause, extend, retry and cancel in between.

Each step is played against the server and its memory twin; answers and states must be equal after
each one. What must hold of every journal is checked at the end of every run, after honest parties
have brought the experiment to its end: whatever happened, it is never stuck.

ASHA_QUEUE_EXAMPLES=5000 plays more runs than the modest number of the everyday tests.
"""

import itertools
import os
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from asha_queue.search import rules
from asha_queue.search.asha import Asha
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan
from asha_queue.store.contract import Eviction, Json, Outcome, ScheduledSegment
from asha_queue.store.journal import decides
from tests.server.mirror import Id, Mirror, Token

UID = "1f2e3d"
LADDER = Ladder(1, 4, 2)
TRIALS = 5
SPECIFICATION = {
    "name": "digits",
    "space": {"lr": 1},
    "metric": "loss",
    "mode": "min",
    "num_samples": TRIALS,
    "max_t": 4,
    "grace_period": 1,
    "reduction_factor": 2,
    "retries": 1,
    "brackets": 2,
}
#: Ends early, as often by the one as by the other: one result in five is good enough.
BUDGETED = SPECIFICATION | {"resource_budget": 12, "stop_at": {"loss": 0.4}}
LONG = "ASHA_QUEUE_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("ASHA_QUEUE_EXAMPLES", "70"))


#: What a person may order; what holds everything up is undone more often than done.
ORDERS = ["pause", "pause now", *["resume"] * 4, "extend", "extend", *["retry"] * 3, "cancel"]


#: What honest parties choose when they may, call by call.
WORK = st.lists(st.integers(0, 11), min_size=1, max_size=12)


def metrics(trial: int, resource: int) -> Json:
    """Values that cross between the rungs, and one that diverges."""
    return {"loss": float("nan") if trial == 3 else (trial * 7 + resource * 3) % 5 + 1 / 3}


@dataclass
class Hand:
    """A process that holds, or once held, a claim; it goes on whatever happened meanwhile."""

    trial: int
    rung: int
    attempt: int
    claim: str
    worker: str
    token: Token
    target: int
    step: int
    checkpoints: list[Json]
    started: bool = False
    ended: bool = False

    def checkpoint(self) -> Json:
        path = f"/runs/{self.trial}/{self.token.number}-{self.step}"
        described = {"path": path, "resource": self.step, "bytes": 1, "digest": "d"}
        return {**described, "metrics": metrics(self.trial, self.step)}

    def outcome(self, saves: bool) -> Outcome:
        reached = metrics(self.trial, self.step)
        checkpoint = self.checkpoint() if saves else None
        return Outcome(reached, self.step, checkpoint, 0.1, [[self.step, reached]])


def latest(hands: list[Hand], back: int) -> Hand:
    """One of the processes; counted from the latest."""
    return hands[-1 - back % len(hands)]


class Coordinator:
    """Folds the journal and decides; nothing that it believes need be true any more."""

    def __init__(self, specification: Json) -> None:
        self.specification = specification
        self.asha = Asha(Plan.of(specification))
        self.seen = self.last = Id(0)

    def fold(self, call: Mirror, count: int) -> None:
        read = call("read", UID, self.seen, count)
        if read["gone"]:
            # forgets everything, as a new process would
            self.__init__(self.specification)  # type: ignore[misc]
            return
        for entry in read["entries"]:
            self.asha.apply(entry)
            self.seen = entry["id"]
            if decides(entry):
                self.last = entry["id"]

    def segments(self, slots: int) -> list[ScheduledSegment]:
        return [
            ScheduledSegment(d.trial, d.bracket, d.rung, d.target, {"lr": d.trial / 3})
            for d in self.asha.decide(slots)
        ]


class Interleavings(RuleBasedStateMachine):
    url: ClassVar[str]
    specification: ClassVar[Json] = SPECIFICATION

    def __init__(self) -> None:
        super().__init__()
        self.call = Mirror(self.url)
        self.fresh = (f"id-{number}" for number in itertools.count())
        self.coordinators = [self.coordinator(), self.coordinator()]
        self.messages: list[tuple[int, int, int]] = []
        self.hands: list[Hand] = []
        self.earlier: list[tuple[Any, ...]] = []
        self.copy: Any = None
        #: Tokens handed out per trial, on the server and in memory, roll-backs included.
        self.tokens: dict[tuple[int, int], list[int]] = defaultdict(list)
        assert self.call("submit", UID, "digits", self.specification) == UID

    def coordinator(self) -> Coordinator:
        return Coordinator(self.specification)

    # -- calls ---------------------------------------------------------------------------------

    def ask(self, doubled: bool, *call: Any) -> Any:
        """A call that may arrive twice; no honest party ever hears that it asks for the illegal."""
        answer = self.call(*call)
        assert answer != "ProtocolError", f"{call} is found illegal"
        if doubled:
            entries = self.journal()
            assert self.call(*call) == answer, f"{call} answers otherwise when it is repeated"
            assert self.journal() == entries, f"{call} has a second effect when it is repeated"
        self.earlier.append(call)
        return answer

    def journal(self) -> list[Json]:
        entries: list[Json] = self.call("read", UID, Id(0), 100_000)["entries"]
        return entries

    @property
    def claimed(self) -> list[Hand]:
        """The processes that have not started to train."""
        return [hand for hand in self.hands if not hand.started]

    @property
    def training(self) -> list[Hand]:
        """The processes that have started, those that nobody wants to hear of any more too."""
        return [hand for hand in self.hands if hand.started]

    def claim(self, message: tuple[int, int, int], worker: str, doubled: bool) -> None:
        claim = next(self.fresh)
        trial, rung, attempt = message
        ready = (trial + attempt) % 2 == 0
        answer = self.ask(doubled, "claim", UID, *message, claim, worker, ready)
        if answer["outcome"] != "run":
            return
        assert answer["begun"] == (ready and not answer["checkpoints"])
        token = answer["token"]
        for number, (_, names) in enumerate(self.call.sides):
            self.tokens[number, trial].append(names.value(token))
        target, step, checkpoints = answer["target"], answer["start"], answer["checkpoints"]
        self.hands.append(
            Hand(
                *(trial, rung, attempt, claim, worker, token, target, step, checkpoints),
                started=answer["begun"],
            )
        )

    # -- what honest parties do, a few calls at a time ------------------------------------------

    @rule(choices=WORK)
    def the_work_goes_on(self, choices: list[int]) -> None:
        for choice in choices:
            self.one_honest_call(choice)

    # Rules are drawn evenly; without more of this one too little happens that can be disturbed.
    the_work_goes_on_2 = rule(choices=WORK)(lambda self, choices: self.the_work_goes_on(choices))
    the_work_goes_on_3 = rule(choices=WORK)(lambda self, choices: self.the_work_goes_on(choices))
    the_work_goes_on_4 = rule(choices=WORK)(lambda self, choices: self.the_work_goes_on(choices))

    def one_honest_call(self, choice: int) -> None:
        live = [hand for hand in self.hands if not hand.ended]
        if live and (choice % 3 or not self.messages):
            self.go_on(live[choice % len(live)], saves=choice % 2 == 0)
        elif self.messages:
            self.claim(self.messages.pop(choice % len(self.messages)), "ab"[choice % 2], False)
        else:
            self.decide(choice % 2, slots=1 + choice % 3, fold=True, doubled=False)
            self.publish(marks=True)

    def go_on(self, hand: Hand, saves: bool) -> None:
        segment = (UID, hand.trial, hand.token)
        if not hand.started:
            hand.started = True
            answer = self.ask(False, "start", *segment, hand.step, [])
        elif hand.step < hand.target:
            hand.step += 1
            answer = self.ask(False, "checkpoint", *segment, hand.checkpoint()) if saves else "ok"
        else:
            hand.ended = True
            answer = self.ask(False, "complete", *segment, hand.outcome(saves))
        hand.ended |= answer == "stale"

    # -- coordinators --------------------------------------------------------------------------

    @rule(who=st.integers(0, 1), count=st.sampled_from([1, 3, 1000]))
    def a_coordinator_reads(self, who: int, count: int) -> None:
        self.coordinators[who].fold(self.call, count)

    @rule(who=st.integers(0, 1), slots=st.integers(1, 3), fold=st.booleans(), doubled=st.booleans())
    def a_coordinator_decides(self, who: int, slots: int, fold: bool, doubled: bool) -> None:
        self.decide(who, slots, fold, doubled)

    def decide(self, who: int, slots: int, fold: bool, doubled: bool) -> None:
        coordinator = self.coordinators[who]
        if fold:
            coordinator.fold(self.call, 1000)
        segments = coordinator.segments(slots)
        if coordinator.last == Id(0):
            return
        present = self.coordinator()
        present.fold(self.call, 1000)
        request = next(self.fresh)
        if segments:
            answer = self.ask(doubled, "schedule", UID, coordinator.last, request, segments)
        elif coordinator.asha.finished and coordinator.asha.snapshot()["state"] == "open":
            early = coordinator.asha.outstanding > 0
            decided = (UID, coordinator.last, request, "me", "done", early)
            answer = self.ask(doubled, "finish", *decided)
        else:
            return
        if answer == "ok":
            assert coordinator.asha.snapshot() == present.asha.snapshot(), "decided on a stale fold"

    @rule(who=st.integers(0, 1))
    def a_coordinator_crashes(self, who: int) -> None:
        self.coordinators[who] = self.coordinator()

    @rule(who=st.integers(0, 1), wants=st.integers(0, 3))
    def a_coordinator_leads(self, who: int, wants: int) -> None:
        claims = {"asha": {"wants": wants}} if wants else None
        self.call("lead", UID, f"coordinator {who}", wants, claims)
        self.call("claimants")

    @rule(
        newest=st.integers(0, 2),
        late=st.booleans(),
        trials=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=6),
    )
    def a_leader_evicts(self, newest: int, late: bool, trials: list[tuple[int, int]]) -> None:
        term = self.call("describe", UID)["term"] - late
        evictions = [Eviction(trial, rung, newest) for trial, rung in trials]
        self.ask(True, "evict", UID, term, evictions)
        due = self.call("removable", UID, 0, 3)
        held = {segment["token"] for segment in self.call("running", UID)}
        told = [c["path"] for h in self.hands if h.token in held for c in h.checkpoints]
        assert not {*due} & {*told}, "a claim relies on what is removed"

    @rule(marks=st.booleans())
    def what_is_due_is_published(self, marks: bool) -> None:
        self.publish(marks)

    def publish(self, marks: bool) -> None:
        due = sorted((s["trial"], s["rung"], s["attempt"]) for s in self.call("due", UID))
        self.messages += due
        if marks:
            self.ask(True, "published", UID, due)

    @rule()
    def a_tick_reaps(self) -> None:
        self.call("reap", UID)

    # -- people --------------------------------------------------------------------------------

    @rule(
        order=st.sampled_from(ORDERS),
        doubled=st.booleans(),
        trials=st.none() | st.lists(st.integers(0, 7), max_size=3),
        more=st.tuples(st.integers(0, 3), st.integers(0, 4)),
        earnest=st.integers(0, 3),
    )
    def a_person_gives_an_order(
        self,
        order: str,
        doubled: bool,
        trials: list[int] | None,
        more: tuple[int, int],
        earnest: int,
    ) -> None:
        request, by = (UID, next(self.fresh)), ("me", "because")
        if order == "cancel" and earnest == 3:  # else most runs would come to nothing
            self.ask(doubled, "cancel", *request, *by)
        elif order.startswith("pause"):
            self.ask(doubled, "pause", *request, *by, order == "pause now")
        elif order == "resume":
            self.ask(doubled, "resume", *request, *by)
        elif order == "retry":
            self.ask(doubled, "retry", *request, "me", trials)
        elif order == "extend":
            self.ask(doubled, "extend", *request, *by, self.raised(*more))
        for hand in self.hands[-4:]:  # their keepers hear of it soon
            self.call("renew", UID, hand.trial, hand.token)

    def raised(self, samples: int, top: int) -> Json:
        """Values to extend to, somewhat above those of the beginning; 0 leaves one as it is."""
        extended = self.call("describe", UID)["extended"]
        changed = {"num_samples": TRIALS + samples, "max_t": LADDER.max_t + 2 * top}
        raised = {
            name: max(value, extended.get(name, 0))
            for name, value, more in zip(changed, changed.values(), (samples, top), strict=True)
            if more
        }
        if self.specification is BUDGETED and samples > 1:
            present = extended.get("resource_budget", 12)
            raised["resource_budget"] = max(present, 12 + 5 * samples)
            if top == 4:
                raised["stop_at"] = {"loss": 0.1}
        return raised

    @rule(worker=st.sampled_from(["a", "b"]), drains=st.booleans())
    def a_worker_is_to_be_drained_or_not(self, worker: str, drains: bool) -> None:
        if drains:
            self.call("drain", [worker], "me")
        else:
            self.call("undrain", worker)

    # -- workers -------------------------------------------------------------------------------

    @precondition(lambda self: self.messages)
    @rule(
        back=st.integers(0, 5),
        worker=st.sampled_from(["a", "b"]),
        stays=st.booleans(),
        doubled=st.booleans(),
    )
    def a_message_arrives(self, back: int, worker: str, stays: bool, doubled: bool) -> None:
        place = -1 - back % len(self.messages)
        message = self.messages[place]
        if not stays:
            del self.messages[place]
        self.claim(message, worker, doubled)

    @precondition(lambda self: self.messages)
    @rule(worker=st.sampled_from(["a", "b"]), doubled=st.booleans())
    def a_node_refuses(self, worker: str, doubled: bool) -> None:
        self.ask(doubled, "refuse", UID, *self.messages[-1], worker, "no GPU")

    @precondition(lambda self: self.claimed)
    @rule(back=st.integers(0, 4), corrupt=st.integers(0, 2), doubled=st.booleans())
    def a_hand_starts(self, back: int, corrupt: int, doubled: bool) -> None:
        hand = latest(self.claimed, back)
        good = len(hand.checkpoints) - min(corrupt, len(hand.checkpoints))
        dropped = [checkpoint["path"] for checkpoint in hand.checkpoints[good:]]
        hand.step = hand.checkpoints[good - 1]["resource"] if good else 0
        hand.checkpoints = hand.checkpoints[:good]
        hand.started = True
        self.ask(doubled, "start", UID, hand.trial, hand.token, hand.step, dropped)

    @precondition(lambda self: self.training)
    @rule(back=st.integers(0, 4), doubled=st.booleans(), saves=st.booleans())
    def a_hand_trains_a_step(self, back: int, doubled: bool, saves: bool) -> None:
        hand = latest(self.training, back)
        hand.step = min(hand.step + 1, hand.target)
        if saves:
            call = ("checkpoint", UID, hand.trial, hand.token, hand.checkpoint())
            self.ask(doubled, *call)

    @precondition(lambda self: self.training)
    @rule(back=st.integers(0, 4), doubled=st.booleans(), saves=st.booleans())
    def a_hand_completes(self, back: int, doubled: bool, saves: bool) -> None:
        hand = latest(self.training, back)
        hand.step = hand.target
        self.ask(doubled, "complete", UID, hand.trial, hand.token, hand.outcome(saves))

    @precondition(lambda self: self.training)
    @rule(back=st.integers(0, 4), doubled=st.booleans(), saves=st.booleans())
    def a_hand_is_drained(self, back: int, doubled: bool, saves: bool) -> None:
        hand = latest(self.training, back)
        self.ask(doubled, "suspend", UID, hand.trial, hand.token, hand.outcome(saves))

    @precondition(lambda self: self.training)
    @rule(back=st.integers(0, 4), doubled=st.booleans())
    def a_hand_fails(self, back: int, doubled: bool) -> None:
        hand = latest(self.training, back)
        self.ask(doubled, "fail", UID, hand.trial, hand.token, "Traceback …", hand.step)

    @precondition(lambda self: self.messages)
    @rule(back=st.integers(0, 5))
    def a_trial_fails_until_it_has_failed_for_good(self, back: int) -> None:
        trial, rung, attempt = self.messages[-1 - back % len(self.messages)]
        while attempt < 9:
            hands = len(self.hands)
            self.claim((trial, rung, attempt), "honest", False)
            if len(self.hands) == hands:
                return
            hand = self.hands[-1]
            hand.started = hand.ended = True
            self.ask(False, "start", UID, trial, hand.token, hand.step, [])
            self.ask(True, "fail", UID, trial, hand.token, "Traceback …", hand.step)
            attempt += 1

    @precondition(lambda self: self.hands)
    @rule(back=st.integers(0, 4))
    def a_keeper_renews(self, back: int) -> None:
        hand = latest(self.hands, back)
        self.call("renew", UID, hand.trial, hand.token)

    @precondition(lambda self: self.hands)
    @rule(back=st.integers(0, 4), counts=st.booleans(), by_token=st.booleans())
    def a_keeper_releases(self, back: int, counts: bool, by_token: bool) -> None:
        hand = latest(self.hands, back)
        name = hand.token if by_token else hand.claim
        self.ask(True, "release", UID, hand.trial, name, "its process died", counts)

    @rule(trial=st.integers(0, 3))
    def a_keeper_releases_what_was_never_claimed(self, trial: int) -> None:
        self.ask(True, "release", UID, trial, "never arrived", "its process died", True)

    @rule(worker=st.sampled_from(["a", "b"]))
    def a_worker_is_found_dead(self, worker: str) -> None:
        self.call("release_worker", worker, "killed")

    @rule(worker=st.sampled_from(["a", "b"]), leaves=st.booleans())
    def a_worker_beats_or_leaves(self, worker: str, leaves: bool) -> None:
        if leaves:
            self.call("leave", worker)
        else:
            self.call("beat", worker, {"device": "cpu"})
        self.call("workers")

    @rule(worker=st.sampled_from(["a", "b"]))
    def a_worker_is_set_aside(self, worker: str) -> None:
        self.call("set_aside", worker, "its storage is full")
        self.call("workers")

    # -- the world -----------------------------------------------------------------------------

    @precondition(lambda self: self.earlier)
    @rule(back=st.integers(0, 20))
    def an_earlier_call_arrives_late(self, back: int) -> None:
        self.call(*self.earlier[-1 - back % len(self.earlier)])

    @rule(seconds=st.sampled_from([3, 100]))
    def time_passes(self, seconds: int) -> None:
        self.call.advance(seconds)

    @rule(back=st.integers(0, 3))
    def a_lease_runs_out(self, back: int) -> None:
        running = self.call("running", UID)
        if running:
            self.call.expire(UID, running[-1 - back % len(running)]["trial"])
            self.call("reap", UID)

    @rule()
    def the_store_is_copied(self) -> None:
        self.copy = self.call.save()

    @precondition(lambda self: self.copy is not None)
    @rule()
    def the_store_is_rolled_back(self) -> None:
        self.call.roll_back(self.copy)

    @rule()
    def the_store_is_lost_and_restored(self) -> None:
        before = self.call.server.records(UID)
        running = {segment["trial"]: segment for segment in self.call("running", UID)}
        started = {entry["token"] for entry in self.journal() if entry["type"] == "started"}
        described = self.call("describe", UID)
        self.call.lose_and_restore(UID)
        assert self.call("describe", UID) == described | {"leader": "", "term": 0, "stale": 0}
        assert self.call("running", UID) == [
            segment for segment in running.values() if segment["token"] in started
        ]
        for trial, record in self.call.server.records(UID).items():
            claimed = trial in running and running[trial]["token"] not in started
            told = before[trial] | ({"state": "QUEUED"} if claimed else {})
            lost = {"claim", "worker", "publications", "ended_claim"}
            if record["state"] == "CANCELLED":  # a claim that had not started was cancelled, too
                lost.add("ended_how")
            assert {k: v for k, v in record.items() if k not in lost} == {
                k: v for k, v in told.items() if k not in lost
            }
        opened = described["state"] == "open"  # and not ending any more: nobody has journalled that
        queued = [t for t, r in self.call.server.records(UID).items() if r["state"] == "QUEUED"]
        due = sorted(segment["trial"] for segment in self.call("due", UID))
        assert due == (queued if opened else [])

    @invariant()
    def both_stores_hold_the_same(self) -> None:
        self.call.compare(UID)

    # -- the end -------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # else a step has failed: its error is the one to see
                self.bring_to_its_end()
                self.give_it_an_afterlife()
                entries = self.journal()
                check_journal(entries, early=self.specification is BUDGETED)
                assert rules.check(self.call.server.store.read(UID, "", 100_000).entries) == []
                for tokens in self.tokens.values():
                    assert tokens == sorted(set(tokens)), "a token was handed out twice"
        finally:
            self.call.server.wipe()
            self.call.server.close()

    def give_it_an_afterlife(self) -> None:
        """What is finished goes on after a retry or an extension, and finishes again."""
        request, by = (UID, next(self.fresh)), ("me", "once more")
        if len(self.hands) % 2:
            self.ask(True, "retry", *request, "me", None)
        else:
            extended = self.call("describe", UID)["extended"]
            top = extended.get("max_t", LADDER.max_t) * 2
            changed: Json = {"num_samples": TRIALS + 4, "max_t": top}
            if self.specification is BUDGETED:
                changed |= {"resource_budget": 1000, "stop_at": {"loss": 0.01}}
            self.ask(True, "extend", *request, *by, changed)
        self.bring_to_its_end()

    def bring_to_its_end(self) -> None:
        """One honest coordinator and worker: the experiment finishes, whatever went before, unless
        it was cancelled."""
        self.call("resume", UID, next(self.fresh), "me", "to the end")
        for running in self.call("running", UID):
            self.call.expire(UID, running["trial"])
        self.call("reap", UID)
        for _ in range(100):
            coordinator = self.coordinator()
            coordinator.fold(self.call, 100_000)
            if self.call("describe", UID)["state"] != "open":
                return
            if coordinator.asha.finished:
                request = next(self.fresh)
                early = coordinator.asha.outstanding > 0
                decided = (UID, coordinator.last, request, "me", "nothing left", early)
                assert self.call("finish", *decided) == "ok"
                return
            if segments := coordinator.segments(2):
                request = next(self.fresh)
                assert self.call("schedule", UID, coordinator.last, request, segments) == "ok"
            self.call.advance(1000)
            for due in self.call("due", UID):
                self.claim((due["trial"], due["rung"], due["attempt"]), "honest", False)
            for running in self.call("running", UID):
                hand = next(hand for hand in self.hands if hand.token == running["token"])
                self.ask(False, "start", UID, hand.trial, hand.token, hand.step, [])
                hand.step = hand.target
                self.ask(False, "complete", UID, hand.trial, hand.token, hand.outcome(True))
        raise AssertionError("the experiment is stuck")


class BudgetedInterleavings(Interleavings):
    """An experiment that budgets end early, and that is extended then."""

    specification = BUDGETED


def check_journal(entries: list[Json], early: bool) -> None:
    """What must hold of every journal, said naively and without the code that decides; one that
    may finish `early` may do so with segments queued."""
    attempts: Counter[tuple[int, int]] = Counter()
    open_attempts: set[tuple[int, int]] = set()
    running: set[tuple[int, int]] = set()
    started: dict[Token, tuple[int, int]] = {}
    bracket_of: dict[int, int] = {}
    results: dict[tuple[int, int], list[tuple[float, int]]] = defaultdict(list)
    promoted: set[tuple[int, int]] = set()
    paused, top = False, LADDER.max_t
    for entry in entries:
        kind, segment = entry["type"], (entry.get("trial", -1), entry.get("rung", -1))
        trial, rung = segment
        if kind == "scheduled":
            attempts[segment] += 1
            bracket = bracket_of.setdefault(trial, entry["bracket"])
            assert entry["bracket"] == bracket, "a trial stays in its bracket"
            assert entry["attempt"] == attempts[segment], "attempts are numbered from 1"
            assert segment not in open_attempts, "a trial has one open attempt"
            assert entry["attempt"] > 1 or not paused, "a pause starts nothing"
            assert entry["target"] <= top, "the ladder was not extended so far"
            open_attempts.add(segment)
            if entry["attempt"] == 1 and rung > 0:
                below = sorted(results[bracket_of[trial], rung - 1])
                best = [number for _, number in below[: len(below) // 2]]
                assert trial in best, "promoted without being among the best half"
                assert (trial, rung) not in promoted, "promoted twice"
                promoted.add((trial, rung))
        elif kind == "started":
            assert entry["token"] not in started, "started once per token"
            assert entry["start"] < top
            started[entry["token"]] = segment
            running.add(segment)
        elif kind in ("completed", "failed", "lost", "suspended"):
            assert segment in open_attempts, "an end belongs to an open attempt"
            open_attempts.remove(segment)
            running.discard(segment)
        if kind == "completed":
            assert started[entry["token"]] == segment, "a completion bears the token of a start"
            assert trial not in [number for _, number in results[bracket_of[trial], rung]], (
                "completed once"
            )
            loss = entry["metrics"]["loss"]
            results[bracket_of[trial], rung].append(
                (float("inf") if loss == "NaN" else loss, trial)
            )
        if kind == "failed" and entry["final"]:
            results[bracket_of[trial], rung].append((float("inf"), trial))
        if kind == "retried":
            assert (float("inf"), trial) in results[bracket_of[trial], rung], (
                "retried without having failed"
            )
            results[bracket_of[trial], rung].remove((float("inf"), trial))
        elif kind in ("paused", "resumed"):
            paused = kind == "paused"
        elif kind == "extended":
            top = max(top, entry["changed"].get("max_t", 0))
        elif kind == "cancelled":
            assert entry is entries[-1], "nothing happens after a cancellation"
            open_attempts.clear()
        elif kind == "finished":
            trained = {segment for segment in open_attempts if segment in running}
            assert not (trained if early else open_attempts), "a finished experiment has ended"
            assert not paused, "a paused experiment does not finish"
    assert entries[-1]["type"] in ("finished", "cancelled")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("machine", "share"), [(Interleavings, 1.0), (BudgetedInterleavings, 0.2)], ids=["all", "early"]
)
def test_no_interleaving_breaks_the_rules_or_tells_the_stores_apart(
    broker: str, machine: type[Interleavings], share: float
) -> None:
    machine.url = broker
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=round(EXAMPLES * share),
            stateful_step_count=50,
            deadline=None,
            derandomize=not LONG,
            # A shorter run that fails as well is worth minutes only to those who wait for it.
            phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
