"""How well text is seen on its ground, computed from CSS as a browser would: WCAG's ratio, from 1 to 21."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path

import jupyterlab

Colour = tuple[float, float, float, float]
"""Red, green, blue and how opaque, 0 to 1."""

THEMES = ("light", "dark")

_NAMES = {"white": "#fff", "black": "#000", "transparent": "#0000"}
_SHARE = re.compile(r"(.*?)(?:\s+([\d.]+)%)?", re.DOTALL)
_VARIABLE = re.compile(r"(--[\w-]+)\s*:\s*([^;}]+)")


@functools.cache
def jupyterlab_theme(name: str) -> Mapping[str, str]:
    """The variables of one of JupyterLab's own themes."""
    folder = Path(jupyterlab.__file__).parent / "themes/@jupyterlab" / f"theme-{name}-extension"
    return dict(_VARIABLE.findall((folder / "index.css").read_text()))


def variables_in(css: str, selector: str) -> Mapping[str, str]:
    """The variables that the first rule for `selector` sets."""
    return dict(_VARIABLE.findall(rule_of(css, selector)))


def rule_of(css: str, selector: str) -> str:
    """What stands in the braces of the rule for `selector`, which is all of that rule's selector, or its last line."""
    found = re.search(rf"(?:^|\n){re.escape(selector)} \{{([^}}]*)\}}", css)
    assert found, f"no rule for {selector}"
    return found[1]


def property_of(rule: str, name: str) -> str:
    found = re.search(rf"(?:^|[;\s]){name}:\s*([^;]+)", rule)
    assert found, f"no {name} in {rule}"
    return found[1]


class Page:
    """Where colours are resolved: the variables that are set there, and whether it is dark."""

    def __init__(self, variables: Mapping[str, str], *, text: str, ground: str, is_dark: bool) -> None:
        self.variables = variables
        self._is_dark = is_dark
        self._text = self.colour(text)
        self._ground = self.colour(ground)

    def contrast(self, text: str, *grounds: str) -> float:
        """The ratio of `text` on `grounds`, each on the one before, the first on the page's."""
        ground = functools.reduce(lambda below, above: _over(self.colour(above), below), grounds, self._ground)
        one, other = sorted((_luminance(_over(self.colour(text), ground)), _luminance(ground)))
        return (other + 0.05) / (one + 0.05)

    def colour(self, css: str) -> Colour:
        css = css.strip()
        if css.lower() == "currentcolor":
            return self._text
        if not css.endswith(")"):
            return _hex(_NAMES.get(css, css))
        name, _, inner = css[:-1].partition("(")
        arguments = _split(inner)
        if name == "var":
            known = self.variables.get(arguments[0])
            return self.colour(known if known is not None else ",".join(arguments[1:]))
        if name == "light-dark":
            return self.colour(arguments[self._is_dark])
        if name == "color-mix":
            assert arguments[0] == "in srgb"
            return self._mix(*arguments[1:])
        assert name in ("rgb", "rgba"), css
        return _rgb(re.findall(r"[\d.]+%?", inner))

    def _mix(self, one: str, other: str) -> Colour:
        first, second = _SHARE.fullmatch(one), _SHARE.fullmatch(other)
        assert first
        assert second
        share = float(first[2]) / 100 if first[2] else 1 - float(second[2] or 50) / 100
        return _mixed(self.colour(first[1]), self.colour(second[1]), share)


def _split(arguments: str) -> list[str]:
    """Arguments, at the commas that are in no brackets."""
    parts, depth = [""], 0
    for char in arguments:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def _hex(css: str) -> Colour:
    digits = css.removeprefix("#")
    assert re.fullmatch(r"[0-9a-fA-F]{3,8}", digits), css
    if len(digits) < 6:
        digits = "".join(2 * digit for digit in digits)
    red, green, blue, opaque = bytes.fromhex(digits.ljust(8, "f"))
    return red / 255, green / 255, blue / 255, opaque / 255


def _rgb(parts: list[str]) -> Colour:
    red, green, blue, *opaque = parts
    share = opaque[0] if opaque else "1"
    return (
        float(red) / 255,
        float(green) / 255,
        float(blue) / 255,
        float(share[:-1]) / 100 if share.endswith("%") else float(share),
    )


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    opaque = one[3] * share + other[3] * (1 - share)
    red, green, blue = (
        (a * one[3] * share + b * other[3] * (1 - share)) / opaque for a, b in zip(one[:3], other[:3], strict=True)
    )
    return red, green, blue, opaque


def _over(colour: Colour, ground: Colour) -> Colour:
    red, green, blue = (
        above * colour[3] + below * (1 - colour[3]) for above, below in zip(colour[:3], ground[:3], strict=True)
    )
    return red, green, blue, 1.0


def _luminance(colour: Colour) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
