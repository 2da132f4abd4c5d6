"""What a cell has shown, as a notebook shows it: text, pictures, tables. What is not harmless is kept apart."""

import html
from collections.abc import Sequence

from ..output.shown import as_plain
from .forms import SANDBOX, Form, Frame, Markup, Output, Picture, Text, form_of, text_of

_PRE = '<pre style="margin:.3em 0;white-space:pre-wrap">{}</pre>'


class CellOutput:
    """All that a cell has shown, which shows itself."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self.outputs = list(outputs)

    def __repr__(self) -> str:
        return outputs_as_text(self.outputs)

    def _repr_html_(self) -> str:
        return outputs_as_html(self.outputs)


def outputs_as_text(outputs: Sequence[Output]) -> str:
    """What a terminal can show of them."""
    return "\n".join(text for output in outputs if (text := as_plain(text_of(output)).rstrip("\n")))


def outputs_as_html(outputs: Sequence[Output]) -> str:
    """What a page shows of them, harmless whatever they are."""
    return "".join(_html(form_of(output)) for output in outputs)


def _html(form: Form) -> str:
    match form:
        case Text(text):
            shown = as_plain(text).strip("\n")
            return _PRE.format(html.escape(shown)) if shown else ""
        case Picture():
            return _picture(form)
        case Markup(written):
            return written
        case Frame():
            return (
                f'<iframe sandbox="{SANDBOX}" title="output" '
                f'style="border:0;width:100%;height:{form.height}px;resize:vertical" '
                f'srcdoc="{html.escape(form.document)}"></iframe>'
            )


def _picture(picture: Picture) -> str:
    sizes = "".join(
        f' {name}="{size}"' for name, size in (("width", picture.width), ("height", picture.height)) if size
    )
    return f'<div><img alt="figure" style="max-width:100%" src="{picture.address}"{sizes}></div>'
