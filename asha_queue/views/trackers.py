"""What coordinators say of the trackers of the experiments that they lead."""

from collections.abc import Sequence

from asha_queue.store.contract import Attendant


def troubles(coordinators: Sequence[Attendant]) -> list[str]:
    """What is wrong with trackers, as sentences that begin with the experiment's name."""
    return [
        f"{name}: {sentence}"
        for one in coordinators
        for name, sentences in sorted(dict(one.info.get("trackers") or {}).items())
        for sentence in sentences
    ]
