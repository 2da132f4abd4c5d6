"""The environment: variables that mean nothing, can't be used, or surprise."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from ..findings import Finding, attention, broken, ok
from ..settings import VARIABLES, read_settings

_OURS_BESIDE_SETTINGS = (
    *("HOPX_API_KEY", "HOPX_AGENT_TOKEN", "HOPX_PROFILE", "HOPX_NOTIFY"),
    *("HOPX_PROCESS_ID", "HOPX_SWEEP_INDEX", "HOPX_CELL_TITLE", "HOPX_FORMER", "HOPX_VALUES"),
    *("HOPX_CHROMIUM", "HOPX_SHOTS"),
    *("HOPX_REQUIRE_BROWSER", "HOPX_REQUIRE_NODE", "HOPX_REQUIRE_RAY", "HOPX_REQUIRE_SSHD"),
)
"""Variables that are no settings: keys, where notices go, what a cell is told, and what our own tests take."""

_SECRETS = ("HOPX_API_KEY", "HOPX_AGENT_TOKEN", "HOPX_NOTIFY")

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")

_PYTHON = {
    "PYTHONPATH": "Cells in the background and the local agent look there for modules, too, ahead of all others.",
    "PYTHONSTARTUP": "The notebook begins with what that file makes; cells in the background get what they use of it.",
    "PYTHONHOME": "Every Python that is started from here takes its library from there, whichever version it is.",
    "PYTHONINSPECT": "A Python that is started from here waits for input at its end.",
    "PYTHONOPTIMIZE": "Cells in the background run without assertions.",
    "PYTHONNOUSERSITE": "What is installed for the user alone is not found.",
    "LD_PRELOAD": "It is loaded into every process that is started from here.",
}
_HARMFUL = ("PYTHONHOME", "PYTHONINSPECT", "PYTHONOPTIMIZE")


def look_at_variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Settings, then names that are none, then what is set for others and acts here, too."""
    yield _settings(environ)
    for name in sorted(environ):
        if name.upper().startswith("HOPX_") and name not in (*VARIABLES, *_OURS_BESIDE_SETTINGS):
            yield _unknown(name)
    if proxies := [name for name in environ if name.upper() in _PROXIES and environ[name]]:
        told = ", ".join(f"{name}={environ[name]}" for name in sorted(proxies))
        yield ok("proxies", told, "Requests to other machines go through them; those to this one never do.")
    for name, means in _PYTHON.items():
        if environ.get(name):
            how = attention if name in _HARMFUL else ok
            yield how(name, environ[name], means)


def _settings(environ: Mapping[str, str]) -> Finding:
    try:
        read_settings(environ)
    except ValueError as error:
        return broken("settings", str(error), "Nothing works as long as that is so.", "Set or unset it, and restart.")
    told = [f"{name}={environ[name]}" for name in VARIABLES if name in environ]
    told += [f"{name} is set" for name in _SECRETS if environ.get(name)]
    return ok("settings", ", ".join(told) or "all as they are by default")


def _unknown(name: str) -> Finding:
    near = get_close_matches(name.upper(), [*VARIABLES, *_OURS_BESIDE_SETTINGS], n=1)
    advice = f"Did you mean {near[0]}?" if near else "Unset it, or see which there are in hopx_magics/settings.py."
    return attention("settings", f"{name} is set", "No setting has that name: it does nothing.", advice)
