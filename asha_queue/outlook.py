"""What an experiment will take, of which the program is at hand: it may be measured here."""

from collections.abc import Sequence
from pathlib import Path

from asha_queue.errors import SpecificationError
from asha_queue.node.devices import devices
from asha_queue.planning import Forecast, checked, forecast
from asha_queue.specification import Specification
from asha_queue.training.saving import may_save
from asha_queue.training.tryout import try_out


def outlook(
    specification: Specification,
    roots: Sequence[Path],
    *,
    workers: Sequence[int] | None = None,
    seconds_per_unit: float | None = None,
    startup: float = 0.0,
    measure: bool = False,
    checkpoint_bytes: int | None = None,
    price: float | None = None,
    curve: bool = False,
) -> Forecast:
    """The forecast of an experiment that is resolved, whose program is in `roots`.

    Args:
        workers: numbers of workers to plan for; default: 1, 4, 16 and 64.
        seconds_per_unit: that one step of training takes, if it is known.
        startup: seconds that each segment takes besides.
        measure: trains the first trial for two segments here, on the first device, to find both
            out; nothing of it stays.
        checkpoint_bytes: the size of a checkpoint, if it is known.
        price: of an hour of one worker, in any currency.
        curve: whether the time is wanted over numbers of workers, too.

    Raises:
        SpecificationError: an argument is out of its range, or two exclude each other.
        ProgramError: the program fails when it is measured.
    """
    if measure and (seconds_per_unit is not None or startup):
        raise SpecificationError(
            "--measure finds out what a step and a segment take: leave out --seconds-per-unit and "
            "--startup, or leave out --measure"
        )
    known = 1.0 if measure else seconds_per_unit
    checked(workers, known, startup, checkpoint_bytes, price)  # before anything is trained
    measured = None
    if measure:
        measured = try_out(specification, roots, devices(None, None)[0].environment)
    return forecast(
        specification,
        workers,
        seconds_per_unit,
        startup,
        may_save(specification, roots),
        checkpoint_bytes,
        price,
        curve,
        measured,
    )
