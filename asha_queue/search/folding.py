"""Rule 5 of journals (`rules.py`): the search itself folds them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from asha_queue.errors import AshaQueueError
from asha_queue.search.asha import Asha
from asha_queue.search.plan import Plan


def check_fold(journal: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the search says of a journal that keeps the other rules."""
    plan = Plan.of(journal[0]["experiment"])
    search = Asha(plan)
    try:
        for entry in journal:
            search.apply(entry)
    except AshaQueueError as error:
        return [f"the search refuses the journal: {error}"]
    first = json.dumps(search.snapshot())
    restored = Asha.restore(plan, json.loads(first))
    if json.dumps(restored.snapshot()) != first:
        return ["the search's state differs after its snapshot was restored"]
    return []
