"""Orders to experiments and workers, as the command line's verbs give them.

Rules

* They are taken only where there is a login, from those who are logged in, never under
  `--read_only`, and not from other sites (Flower's `check_xsrf_cookie`, called before `prepare`).
* The journal says who gave them: `user@flower`, or the e-mail by which they are logged in.
* The body is a JSON object. Fields and types that are none are refused, and named.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from asha_queue.dashboard.replies import ApiHandler, Refused
from asha_queue.errors import OrderError
from asha_queue.handle import Handle, drain, uid_of
from asha_queue.search.limits import EXTENDABLE
from asha_queue.settings import LARGEST
from asha_queue.store.contract import Store

_NO_LOGIN: Final = (
    "orders need a login, and this Flower has none: start it with FLOWER_BASIC_AUTH=user:password "
    "in its environment, or with --auth"
)

T = TypeVar("T", bound=Struct)
Reason = Annotated[str, Meta(max_length=1000)]
Positive = Annotated[int, Meta(ge=1, le=LARGEST)]


class Pause(Struct, forbid_unknown_fields=True):
    now: bool = False
    reason: Reason = ""


class Resume(Struct, forbid_unknown_fields=True):
    reason: Reason = ""


class Cancel(Struct, forbid_unknown_fields=True):
    reason: Reason = ""


class Extend(Struct, forbid_unknown_fields=True):
    num_samples: Positive | None = None
    max_t: Positive | None = None
    time_budget: float | str | None = None
    resource_budget: Positive | None = None
    stop_at: float | dict[str, float] | None = None
    reason: Reason = ""


class Retry(Struct, forbid_unknown_fields=True):
    trials: list[Annotated[int, Meta(ge=0, le=10**9)]] | None = None


class Drain(Struct, forbid_unknown_fields=True):
    workers: Annotated[list[str], Meta(min_length=1)]


def _pause(handle: Handle, order: Pause) -> None:
    handle.pause(now=order.now, reason=order.reason)


def _resume(handle: Handle, order: Resume) -> None:
    handle.resume(reason=order.reason)


def _cancel(handle: Handle, order: Cancel) -> None:
    handle.cancel(reason=order.reason)


def _extend(handle: Handle, order: Extend) -> None:
    handle.extend(
        num_samples=order.num_samples,
        max_t=order.max_t,
        time_budget=order.time_budget,
        resource_budget=order.resource_budget,
        stop_at=order.stop_at,
        reason=order.reason,
    )


def _retry(handle: Handle, order: Retry) -> dict[str, Any]:
    return {"trials": handle.retry(order.trials)}


#: Orders to an experiment: what each takes, and what it does.
ORDERS: Final[Mapping[str, tuple[type[Struct], Callable[[Handle, Any], dict[str, Any] | None]]]] = {
    "pause": (Pause, _pause),
    "resume": (Resume, _resume),
    "cancel": (Cancel, _cancel),
    "extend": (Extend, _extend),
    "retry": (Retry, _retry),
}


class OrderHandler(ApiHandler):
    """Base of what changes something."""

    def prepare(self) -> None:
        options = self.application.options
        if not (options.basic_auth or options.auth):
            raise Refused(401, _NO_LOGIN)
        super().prepare()
        if options.read_only:
            raise Refused(403, "this Flower was started with --read_only: it takes no orders")

    @property
    def by(self) -> str:
        """Who gives the order, for the journal: the login's user, or their e-mail."""
        if isinstance(self.current_user, str):
            return self.current_user
        _, _, login = self.request.headers.get("Authorization", "").partition(" ")
        try:
            user = base64.b64decode(login).decode().partition(":")[0]
        except (
            binascii.Error,
            UnicodeDecodeError,
        ):  # Flower has accepted it, so it is none of ours
            user = ""
        return f"{user or 'somebody'}@flower"


class ExperimentOrderHandler(OrderHandler):
    """An order to an experiment, as the verbs of the command line give it."""

    async def post(self, name: str, verb: str) -> None:
        await self.answer(
            partial(_obey, self.experiments.store, name, verb, self.request.body, self.by)
        )


class DrainHandler(OrderHandler):
    """`asha-queue drain` for workers, each named itself or by its host."""

    async def post(self) -> None:
        store, body, by = self.experiments.store, self.request.body, self.by
        await self.answer(
            lambda: {"workers": drain(store, _read(body, Drain, "drain").workers, by)}
        )


def _obey(store: Store, name: str, verb: str, body: bytes, by: str) -> dict[str, Any]:
    """Gives the order; returns how the experiment stands then."""
    kind, give = ORDERS[verb]
    order = _read(body, kind, verb)
    handle = Handle(store, uid_of(store, name), by)
    done = give(handle, order) or {}
    now = handle.describe()
    specification = now.specification | now.extended
    return {
        "name": name,
        "state": "running" if now.state == "open" else now.state,
        **{
            field: specification[field]
            for field in EXTENDABLE
            if specification.get(field) is not None
        },
        **done,
    }


def _read(body: bytes, kind: type[T], verb: str) -> T:
    """The body of an order; an empty one is an order without fields."""
    fields = ", ".join(kind.__struct_fields__)
    try:
        return msgspec.json.decode(body.strip() or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise OrderError(f"{error}; {verb} takes {fields}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise OrderError(f"the body is no JSON object: {error}; {verb} takes {fields}") from None
