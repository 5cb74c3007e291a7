"""Ray Tune's schedulers: ASHA, and none."""

from asha_queue.errors import SpecificationError

_INSTEAD = (
    *("HyperBandScheduler", "HyperBandForBOHB", "MedianStoppingRule", "PB2"),
    *("PopulationBasedTraining", "PopulationBasedTrainingReplay", "ResourceChangingScheduler"),
)


class ASHAScheduler:
    """Asynchronous successive halving: rungs at grace_period · reduction_factor^k, up to max_t.

    One in reduction_factor of a rung's results is promoted to the next rung, at once or later.
    Resource is the count of reports.
    """

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: int = 100,
        grace_period: int = 1,
        reduction_factor: int = 4,
        brackets: int = 1,
        stop_last_trials: bool = True,
    ) -> None:
        if time_attr != "training_iteration":
            raise SpecificationError(
                f"time_attr={time_attr!r}: is not supported; reports are what is counted: "
                f"report once for each unit of it, and leave time_attr out"
            )
        if not stop_last_trials:
            raise SpecificationError(
                "stop_last_trials=False: is not supported, trials end at max_t; give a higher max_t"
            )
        self.metric = metric
        self.mode = mode
        self.fields = {
            "max_t": max_t,
            "grace_period": grace_period,
            "reduction_factor": reduction_factor,
            "brackets": brackets,
        }


AsyncHyperBandScheduler = ASHAScheduler


class FIFOScheduler:
    """Trains every trial in full."""


def __getattr__(name: str) -> object:
    if name in _INSTEAD:
        raise SpecificationError(
            f"tune.schedulers.{name} is not supported; instead: ASHAScheduler, or FIFOScheduler to "
            f"train every trial in full"
        )
    raise AttributeError(f"module 'asha_queue.tune.schedulers' has no attribute {name!r}")
