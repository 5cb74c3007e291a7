"""What a segment leaves behind in the memory of its process, and of its GPU."""

import gc
import sys


def free() -> None:
    """Gives the GPU's memory back that PyTorch keeps for this process: other workers of the GPU,
    and programs that use no PyTorch, come next. Costs nothing without PyTorch on a GPU."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is not None and cuda.is_initialized():
        gc.collect()  # tensors in reference cycles, such as those of an exception
        cuda.empty_cache()
