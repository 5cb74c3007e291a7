"""How much each hyperparameter matters, by a random forest in a process of its own."""

from asha_queue.importance.forest import LEAST, MISSING, Columns, available, compute
from asha_queue.importance.importances import Importances, Known

__all__ = ["LEAST", "MISSING", "Columns", "Importances", "Known", "available", "compute"]
