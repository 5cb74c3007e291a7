"""What is freed between two segments; `torch` is a stand-in that says what it was asked."""

import sys
from types import SimpleNamespace

import pytest

from asha_queue.training import memory


def stand_in_torch(used: bool) -> tuple[SimpleNamespace, list[str]]:
    asked: list[str] = []
    cuda = SimpleNamespace(
        is_initialized=lambda: used, empty_cache=lambda: asked.append("empty_cache")
    )
    return SimpleNamespace(cuda=cuda), asked


@pytest.mark.parametrize(("used", "expected"), [(True, ["empty_cache"]), (False, [])])
def test_the_cache_of_a_gpu_in_use_is_given_back(
    monkeypatch: pytest.MonkeyPatch, used: bool, expected: list[str]
) -> None:
    torch, asked = stand_in_torch(used)
    monkeypatch.setitem(sys.modules, "torch", torch)
    memory.free()
    assert asked == expected


def test_pytorch_is_not_imported_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    memory.free()
    assert "torch" not in sys.modules
