"""What a notebook sets in libraries, as far as it is small and known: options, styles, seeds, filters of warnings.

It travels as calls that are made once the process has imported the module: a cell without pandas imports none.
"""

import pickle
import sys
from collections.abc import Iterator
from contextlib import suppress
from warnings import catch_warnings, simplefilter

from .packed import Call


def library_state() -> list[Call]:
    """What is set here other than libraries have it by themselves."""
    calls: list[Call] = []
    for collect in (_random, _numpy, _pandas, _matplotlib, _decimal, _locale):
        with suppress(Exception), catch_warnings():  # a library's inside is its own: what it won't tell stays behind
            simplefilter("ignore")
            calls += collect()
    return calls


def pickled(call: Call) -> bytes | None:
    """A call as it travels; None for one that can't. What the notebook itself has defined goes by value."""
    with suppress(Exception):
        plain = pickle.dumps(tuple(call), protocol=5)
        if b"__main__" not in plain:
            return plain
    with suppress(Exception):
        import cloudpickle  # type: ignore[import-untyped]

        return bytes(cloudpickle.dumps(tuple(call), protocol=5))
    return None


def _random() -> Iterator[Call]:
    if module := sys.modules.get("random"):
        yield Call("random", "setstate", (module.getstate(),))


def _numpy() -> Iterator[Call]:
    if module := sys.modules.get("numpy"):
        yield Call("numpy", "random.set_state", (module.random.get_state(),))
        options = module.get_printoptions()
        yield Call("numpy", "set_printoptions", (), {key: options[key] for key in options if key != "override_repr"})


def _pandas() -> Iterator[Call]:
    if module := sys.modules.get("pandas"):
        for key, option in vars(sys.modules["pandas._config.config"])["_registered_options"].items():
            value = module.get_option(key)
            if value != option.defval:
                yield Call("pandas", "set_option", (key, value))


def _matplotlib() -> Iterator[Call]:
    if module := sys.modules.get("matplotlib"):
        default = module.rcParamsDefault
        changed = {key: value for key, value in module.rcParams.items() if value != default[key] and key != "backend"}
        if changed:
            yield Call("matplotlib", "rcParams.update", (changed,))


def _decimal() -> Iterator[Call]:
    if module := sys.modules.get("decimal"):
        context = module.getcontext()
        if repr(context) != repr(module.DefaultContext):
            yield Call("decimal", "setcontext", (context,))


def _locale() -> Iterator[Call]:
    import locale

    for category in (locale.LC_NUMERIC, locale.LC_TIME, locale.LC_COLLATE, locale.LC_MONETARY):
        if (name := locale.setlocale(category)) != "C":
            yield Call("locale", "setlocale", (category, name))
