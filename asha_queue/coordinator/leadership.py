"""Leading an experiment: one coordinator at a time decides, for economy.

Safety does not rest on this: a decision is refused by the store when it was taken on an old fold.
The term fences what is not in the store, the exported files: a new term writes them anew.
"""

import os
import secrets
import socket

from asha_queue.store.contract import Json, Lead, Store


class Leadership:
    """This process's claim to lead the experiment `uid`."""

    def __init__(self, store: Store, uid: str) -> None:
        self._store = store
        self._uid = uid
        self.who = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.leading = False
        self.term = 0
        self.leader = ""

    def renew(self, wants: int, claims: Json | None) -> Lead:
        """Takes or keeps the lead if nobody else has it; `wants`: slots that could be used now.
        What a leader `claims` of each queue is kept, too. The answer has what was claimed before,
        and the server's time."""
        answer = self._store.lead(self._uid, self.who, wants, claims)
        self.leading, self.term, self.leader = answer.leading, answer.term, answer.leader
        return answer

    def resign(self) -> None:
        """Gives the lead up, so that another coordinator need not wait for the lease to expire."""
        if self.leading:
            self._store.resign(self._uid, self.who)
            self.leading = False
