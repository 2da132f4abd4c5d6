"""Takes out of texts what is nobody's business, so that they can be pasted into an issue. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

HIDDEN = "[hidden]"

SHORTEST = 6
"""Characters of the shortest value of the environment that can be a secret: shorter ones are parts of words."""

_SECRET_NAME = re.compile(r"TOKEN|KEY|SECRET|PASSW|PWD_|_PWD|CREDENTIAL|WEBHOOK|HOPX_NOTIFY", re.IGNORECASE)

_PATTERNS = (
    (re.compile(r"(?<=://)[^/\s]+(?=@)"), HIDDEN),  # a user and password in a URL
    (re.compile(r"([?&;][\w-]*(?:token|key|secret|sig|passw)[\w-]*=)[^&;\s]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"), HIDDEN),  # a JSON Web Token
    (
        re.compile(r"\b(?:hopx|sk|ghp|gho|github_pat|glpat|xox[a-z]|hf)[-_][\w-]{12,}"),
        HIDDEN,
    ),  # keys of well-known form
    (
        re.compile(r"((?:token|api[_-]?key|secret|password|passwd)\s*[=:]\s*[\"']?)[^\s\"',;&]{4,}", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
)


def hushing(environ: Mapping[str, str], home: Path, secrets: Iterable[str] = ()) -> Callable[[str], str]:
    """What takes secrets out of a text: those that are known, those of the environment, and all that look like one.

    The home folder becomes `~`, which hides the user's name with it.
    """
    of_environment = (value for name, value in environ.items() if _SECRET_NAME.search(name))
    known = {secret.strip() for secret in (*secrets, *of_environment) if not home.is_relative_to(secret)}
    longest_first = sorted(
        (secret for secret in known if len(secret) >= SHORTEST),
        key=len,
        reverse=True,
    )
    homes = {str(home), str(home.resolve())} - {"/"}
    at_home = re.compile("|".join(rf"{re.escape(path)}(?![\w.-])" for path in sorted(homes))) if homes else None

    def hush(text: str) -> str:
        for secret in longest_first:
            text = text.replace(secret, HIDDEN)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return at_home.sub("~", text) if at_home else text

    return hush
