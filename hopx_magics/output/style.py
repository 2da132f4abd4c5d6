"""Colours and styles of text: from SGR sequences, and back to them or to the tokens of the browser's side."""

from functools import lru_cache
from typing import NamedTuple

Color = int | tuple[int, int, int] | None
"""A place in the palette of 256, or red, green and blue, or the default."""


class Style(NamedTuple):
    """How text looks. Equal looks are equal values."""

    fg: Color = None
    bg: Color = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    inverse: bool = False
    strike: bool = False


PLAIN = Style()
"""Text without any style; `styled` returns this very object for it."""

_FLAGS = (
    ("bold", "b", 1),
    ("dim", "d", 2),
    ("italic", "i", 3),
    ("underline", "u", 4),
    ("inverse", "r", 7),
    ("strike", "s", 9),
)
"""Of each: its field, its token, and the code that switches it on; 20 more switches it off."""

_SWITCHES: dict[int, dict[str, bool]] = {
    **{code: {name: True} for name, _, code in _FLAGS},
    **{code + 20: {name: False} for name, _, code in _FLAGS},
    21: {"underline": True},  # twice
    22: {"bold": False, "dim": False},
}


@lru_cache(4096)
def styled(style: Style, sequence: str) -> Style:
    """The style after an SGR sequence. What is unknown in it, or no number, changes nothing."""
    parameters = sequence[2:-1].split(";")
    while parameters:
        parameter = parameters.pop(0)
        code, *rest = _numbers(parameter)
        if code in (38, 48, 58):
            color = _color(rest) if ":" in parameter else _taken_color(parameters)
            if color is not None and code != 58:  # the underline's own colour is not shown
                style = style._replace(**{"fg" if code == 38 else "bg": color})  # type: ignore[arg-type]
        elif code == 4 and rest:
            style = style._replace(underline=rest[0] != 0)
        elif code is not None and not rest:
            style = _switched(style, code)
    return PLAIN if style == PLAIN else style


def _numbers(parameter: str) -> list[int | None]:
    """The parts of a parameter such as `38:5:3`: nothing alone is 0, a left out part of several is None."""
    if not parameter:
        return [0]
    return [int(part) if part else None for part in parameter.split(":")]


def _switched(style: Style, code: int) -> Style:
    if code == 0:
        return PLAIN
    if code in _SWITCHES:
        return style._replace(**_SWITCHES[code])
    for first, bright, name in ((30, 90, "fg"), (40, 100, "bg")):
        if first <= code <= first + 7:
            return style._replace(**{name: code - first})  # type: ignore[arg-type]
        if bright <= code <= bright + 7:
            return style._replace(**{name: code - bright + 8})  # type: ignore[arg-type]
        if code == first + 9:
            return style._replace(**{name: None})  # type: ignore[arg-type]
    return style


def _taken_color(parameters: list[str]) -> Color:
    """The colour that the next parameters name, in `38;5;n` or `38;2;r;g;b`; they are taken away."""
    count = {"5": 2, "2": 4}.get(parameters[0].lstrip("0") if parameters else "", 1)
    taken = [number for parameter in parameters[:count] for number in _numbers(parameter)]
    del parameters[:count]
    return _color(taken)


def _color(numbers: list[int | None]) -> Color:
    """From `5, n`, `2, r, g, b` or `2, colour space, r, g, b`."""
    kind, *values = numbers or [None]
    if kind == 2 and len(values) > 3:
        values = values[1:4]
    parts = [value or 0 for value in values]
    if any(part > 255 for part in parts):
        return None
    if kind == 5 and len(parts) == 1:
        return parts[0]
    return (parts[0], parts[1], parts[2]) if kind == 2 and len(parts) == 3 else None


@lru_cache(4096)
def tokens(style: Style) -> str:
    """`b d i u r s` for what is on, `f` or `g` with a palette number, `F` or `G` with six hex digits."""
    names = [token for name, token, _ in _FLAGS if getattr(style, name)]
    for color, letter in ((style.fg, "f"), (style.bg, "g")):
        if isinstance(color, int):
            names.append(f"{letter}{color}")
        elif color is not None:
            names.append(letter.upper() + bytes(color).hex())
    return " ".join(names)


@lru_cache(4096)
def sgr(style: Style) -> str:
    """The one sequence that leads from plain text to this style."""
    codes = [str(code) for name, _, code in _FLAGS if getattr(style, name)]
    for color, first in ((style.fg, 30), (style.bg, 40)):
        if isinstance(color, int):
            codes.append(_palette_code(color, first))
        elif color is not None:
            codes.append(f"{first + 8};2;" + ";".join(map(str, color)))
    return f"\x1b[{';'.join(codes)}m" if codes else ""


def _palette_code(color: int, first: int) -> str:
    if color < 8:
        return str(first + color)
    return str(first + 52 + color) if color < 16 else f"{first + 8};5;{color}"
