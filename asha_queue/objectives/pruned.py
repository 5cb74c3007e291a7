"""`optuna.TrialPruned`, by which an objective ends itself."""


def pruned(error: BaseException) -> bool:
    """Whether it is Optuna's; known by its name, as Optuna need not be installed here."""
    return any(
        kind.__name__ == "TrialPruned" and kind.__module__.partition(".")[0] == "optuna"
        for kind in type(error).__mro__
    )
