"""How much each hyperparameter matters, by a random forest in a process of its own."""

from asha_queue.importance.forest import LEAST, Columns, compute
from asha_queue.importance.importances import Importances, Known

__all__ = ["LEAST", "Columns", "Importances", "Known", "compute"]
