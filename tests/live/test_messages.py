"""What kernel and page tell each other: the page's typedefs are those of the Python structs."""

import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

import hopx_magics
from hopx_magics.live import intents, messages
from hopx_magics.live.row import Row
from hopx_magics.output.screen import Line
from hopx_magics.words import Status, Stream

PAGE = (Path(hopx_magics.__file__).parent / "live" / "page" / "messages.js").read_text()
TEXT = re.sub(r"\n \*", " ", PAGE)

PARTS = (
    messages.ConnectionState,
    messages.FoundLine,
    messages.CurvePart,
    messages.CurvesOfRun,
    messages.Initial,
    messages.OpenViewer,
    messages.LineState,
    intents.HeldLine,
    Row,
)
MESSAGES = [
    *get_args(messages.Message),
    *get_args(messages.Part),
    *get_args(messages.Answer),
    *get_args(messages.Form),
    *PARTS,
]
INTENTS = list(get_args(intents.Intent))
NAMED = {Status: "Status", Stream: "Stream", Line: "Line", Literal["before", "after"]: "Direction"}
BY_HAND = {
    ("Initial", "chosen"): "Record<string, boolean> | null",
    ("Row", "params"): "Record<string, string>",
    ("Row", "tags"): "Record<string, string>",
    ("Row", "metrics"): "Record<string, (number | string)[]>",
}
SENT_WITH_ALL = {"page", "request"}


def words(annotation: Any) -> str:
    """How the page writes this type."""
    if annotation in NAMED:
        return NAMED[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return words(arguments[0])
    if origin in (Union, types.UnionType):
        structs = {one for one in arguments if isinstance(one, type) and issubclass(one, msgspec.Struct)}
        names = [name for name in ("Part", "Answer", "Form") if set(get_args(getattr(messages, name))) == structs]
        return " | ".join([*names, *(words(one) for one in arguments if one not in structs)])
    if origin is Literal:
        return " | ".join(f'"{value}"' for value in arguments)
    if origin is list:
        items = words(arguments[0])
        return f"({items})[]" if " | " in items else f"{items}[]"
    if origin is tuple:
        return f"[{', '.join(map(words, arguments))}]"
    if origin is dict:
        return "Record<string, unknown>"
    plain = {int: "number", float: "number", bool: "boolean", str: "string", type(None): "null"}
    return plain.get(annotation) or str(annotation.__name__)


def fields_of(struct: type[msgspec.Struct]) -> dict[str, str]:
    """A struct's fields and types as the page writes them, its kind among them."""
    config, hints = struct.__struct_config__, get_type_hints(struct, include_extras=True)
    kind = {config.tag_field: f'"{config.tag}"'} if config.tag_field else {}
    fields = {}
    for field in msgspec.structs.fields(struct):
        given = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
        name = field.encode_name if given else f"[{field.encode_name}]"
        fields[name] = BY_HAND.get((struct.__name__, field.name)) or words(hints[field.name])
    return kind | fields


def typedefs() -> dict[str, dict[str, str]]:
    """The page's object types: their properties and types."""
    blocks = re.findall(r"@typedef \{object\} (\w+)(.*?)\*/", PAGE, re.DOTALL)
    return {name: {p: t for t, p in re.findall(r"@property \{(.*)\} (\S+)", body)} for name, body in blocks}


def union(name: str) -> set[str]:
    (members,) = re.findall(rf"@typedef \{{([^{{}}]*)\}} {name} ", TEXT)
    return {member.strip() for member in members.split("|")}


@pytest.mark.parametrize("struct", MESSAGES, ids=lambda struct: struct.__name__)
def test_a_message_is_the_same_on_both_sides(struct: type[msgspec.Struct]) -> None:
    assert typedefs()[struct.__name__] == fields_of(struct)


@pytest.mark.parametrize("struct", INTENTS, ids=lambda struct: struct.__name__)
def test_an_intent_is_the_same_on_both_sides(struct: type[msgspec.Struct]) -> None:
    fields = {name: told for name, told in fields_of(struct).items() if name.strip("[]") not in SENT_WITH_ALL}
    assert typedefs()[struct.__name__] == fields


def test_the_page_knows_no_others() -> None:
    assert typedefs().keys() == {struct.__name__ for struct in (*MESSAGES, *INTENTS)}


def test_the_unions_and_words_are_the_same() -> None:
    for name, members in (
        ("Message", messages.Message),
        ("Part", messages.Part),
        ("Answer", messages.Answer),
        ("Form", messages.Form),
    ):
        assert union(name) == {struct.__name__ for struct in get_args(members)}
    assert union("Intent") == {struct.__name__ for struct in INTENTS}
    for name, values in (("Status", Status), ("Stream", Stream), ("Direction", Literal["before", "after"])):
        assert union(name) == {f'"{value}"' for value in get_args(values)}
