"""What can't be forked: what runs in threads of its own that a fork has not, or holds a device. Nothing is imported."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import LaunchError

_HINT = "Launch without --fork: variables travel by copy then."


def check() -> None:
    """Raises LaunchError where this program can't be forked."""
    if sys.platform != "linux":
        raise LaunchError("a fork of the kernel is for Linux only", hint=_HINT)
    reason = next(_reasons(), None)
    if reason:
        raise LaunchError(
            f"this kernel can't be forked: {reason}", hint=f"{_HINT} Or restart it, and fork before that is used."
        )


def _reasons() -> Iterator[str]:
    for module, is_in_use, what in _RUNTIMES:
        if module in sys.modules and _is_true(is_in_use, sys.modules[module]):
            yield what
    threads = {name: what for name in _threads() for beginning, what in _THREADS.items() if name.startswith(beginning)}
    yield from threads.values()


def _is_true(is_in_use: Callable[[Any], Any], module: Any) -> bool:
    try:
        return bool(is_in_use(module))
    except Exception:  # another version of it
        return False


def _threads() -> set[str]:
    """What the threads of this process are called."""
    found = set[str]()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.add((task / "comm").read_text().strip())
        except OSError:  # it has ended
            continue
    return found


_CUDA = "CUDA is in use, whose contexts no fork can use"
_RUNTIMES: tuple[tuple[str, Callable[[Any], Any], str], ...] = (
    ("torch.cuda", lambda cuda: cuda.is_initialized(), _CUDA),
    ("torch.xpu", lambda xpu: xpu.is_initialized(), "PyTorch uses a GPU of Intel's, whose contexts no fork can use"),
    ("jax._src.xla_bridge", lambda bridge: bridge._backends, "JAX has started XLA, whose threads no fork has"),
    (
        "tensorflow.python.eager.context",
        lambda context: context._context is not None and context._context._initialized,
        "TensorFlow has started its runtime, whose threads no fork has",
    ),
    ("ray", lambda ray: ray.is_initialized(), "it is connected to Ray, by threads that no fork has"),
)
_THREADS = {
    "cuda-": _CUDA,
    "polars-": "Polars has started its threads, which no fork has",
    "grpc_": "gRPC is in use, whose threads no fork has",
}
