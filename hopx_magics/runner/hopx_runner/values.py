"""The values that a cell gets: read from the files of a manifest, which `hopx_magics/values/storing.py` writes."""

import os
import sys

from . import PYTHON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import CodeType
    from typing import Any

    from .watch import Watch


class Given:
    """What a cell has got: the `wanted` names are to be kept at its end, `flags` are those of the notebook's compiler.

    `showing` is how the notebook shows values, where that is in another way than by itself.
    `types` are the functions and classes of the notebook, by the names under which the notebook knows them.
    `titles` and `lines` are those of its cells, by the names that they have in place of files.
    """

    def __init__(self) -> None:
        self.wanted: Sequence[str] = ()
        self.flags = 0
        self.showing: dict[str, Any] = {}
        self.types: dict[str, Any] = {}
        self.titles: dict[str, str] = {}
        self.lines: dict[str, list[str]] = {}
        self.magics: list[tuple[str, str, Any]] = []
        self.extensions: list[str] = []

    def add_magics(self, shell: "Any") -> None:
        """Adds the magics that the notebook has and IPython has not. What can't be loaded here is missed when used."""
        for extension in self.extensions:
            try:
                shell.extension_manager.load_extension(extension)
            except Exception:
                continue
        for kind, name, function in self.magics:
            shell.register_magic_function(function, kind, name)

    def show_lines(self, linecache: "Any") -> None:
        """Lets all who look for source find that of the notebook's cells."""
        linecache.cache.update((file, (1, None, lines, file)) for file, lines in self.lines.items())


def load_values(path: str, given: Given, namespace: "dict[str, Any]", watch: "Watch") -> None:
    """Puts the values of a manifest into the namespace, and adds to what the cell has got."""
    import _pickle as pickle  # without what pickle imports, which takes longer than all else here

    folder = os.path.dirname(path)
    with open(path, encoding="utf-8") as file:
        manifest = _from_json(file.read())
    base = manifest.get("base")
    if base:
        load_values(os.path.join(folder, base), given, namespace, watch)
    given.wanted = manifest["keep"]
    if manifest["futures"]:
        import __future__

        for name in manifest["futures"]:
            given.flags |= getattr(__future__, name).compiler_flag
    if manifest["state"]:
        with open(os.path.join(folder, manifest["state"]), "rb") as state:
            for after, content in pickle.load(state):
                if _can_run(manifest["python"], content):
                    call = _Calling(content)
                    watch.then(after, call) if after else call()
    if manifest["showing"]:
        with open(os.path.join(folder, manifest["showing"]), "rb") as showing:
            given.showing = pickle.load(showing)
        printers = given.showing["printers"]
        given.showing["printers"] = [one for one in printers if _can_run(manifest["python"], one[3])]
    if os.environ.get("HOPX_SWEEP_INDEX") and not base:
        watch.then("random", drawn_apart)
        watch.then("numpy", lambda numpy: drawn_apart(numpy.random))
    for name, module, attribute in manifest["imports"]:
        found = _imported(name, module, attribute)
        if name:
            namespace[name] = found
    for file, title, source in manifest["cells"]:
        given.titles[file] = title
        given.lines[file] = source.splitlines(True)
    for _, source, file, line in manifest["definitions"]:
        _put(source.splitlines(True), line, given.lines.setdefault(file, []))
    late = [one for one in manifest["definitions"] if not _is_defined(namespace, given.flags, *one)]
    if manifest["data"]:
        for _ in _load_data(folder, manifest, namespace):
            late = [one for one in late if not _is_defined(namespace, given.flags, *one)]
    for definition in late:
        exec(_placed(given.flags, *definition[1:]), namespace)
    for name in [*(one[0] for one in manifest["definitions"]), *manifest["data"]]:
        if callable(namespace[name]):
            given.types[name] = namespace[name]
    given.magics += [(kind, magic, namespace[name]) for kind, magic, name in manifest["magics"]]
    given.extensions += manifest["extensions"]
    watch.then("linecache", given.show_lines)


def _imported(name: str, module: str, attribute: "str | None") -> "Any":
    import importlib

    try:
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found
    except (ImportError, AttributeError) as error:
        raise _missing(name or module, error) from None


def _load_data(folder: str, manifest: "Mapping[str, Any]", namespace: "dict[str, Any]") -> "Iterator[str]":
    """Loads the data one after the other: those ahead that classes need of which others are."""
    import pickle

    buffers = [_mapped(os.path.join(folder, name)) for name in manifest["buffers"]]
    with open(os.path.join(folder, manifest["stream"]), "rb") as stream:
        if manifest["python"] != PYTHON and not _can_run(manifest["python"], stream.read()):
            raise ImportError(
                f"a lambda, a closure or the like of the notebook needs its Python {manifest['python']}, and here is "
                f"{PYTHON}: define it by a def of its own, or in this cell"
            )
        stream.seek(0)
        unpickler = pickle.Unpickler(stream, buffers=buffers)
        for name in manifest["data"]:
            namespace[name] = _loaded(name, unpickler)
            yield name


def _loaded(name: str, unpickler: "Any") -> "Any":
    try:
        return unpickler.load()
    except ImportError as error:
        raise _missing(name, error) from None


def _missing(name: str, error: Exception) -> ImportError:
    """What is said of something of the notebook that is other or missing where this cell runs."""
    module = getattr(error, "name", None)
    if isinstance(error, ModuleNotFoundError) and module:
        told = f"{name} needs the module {module}, which is not installed where this cell runs"
        return ModuleNotFoundError(told, name=module)
    return ImportError(f"{name} needs what is not there where this cell runs: {error}", name=module)


def _can_run(python: str, pickled: bytes) -> bool:
    """Whether what `python` has pickled can do no harm here: functions that go by value are its bytecode."""
    return python == PYTHON or b"cloudpickle" not in pickled


class _Calling:
    """A call of a module's function that is to be made; one that it no longer knows is not made."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __call__(self, *_: "Any") -> None:
        import _pickle

        try:
            name, function, args, options = _pickle.loads(self._content)
            __import__(name)
            module: Any = sys.modules[name]
            for name in function.split("."):
                module = getattr(module, name)
            module(*args, **options)
        except Exception:
            pass


def _from_json(text: str) -> "Any":
    """What our own JSON says, which Python takes as it is: `json` would have to be imported for it."""
    return eval(text, {"__builtins__": {}, "null": None, "true": True, "false": False})


def drawn_apart(module: "Any") -> None:
    """Seeds a generator of random numbers with what the notebook's would draw next, and the place in the sweep."""
    drawn = module.randint(0, 2**31 - 1)
    module.seed((drawn + 1_000_003 * int(os.environ["HOPX_SWEEP_INDEX"])) % 2**32)


def _is_defined(namespace: "dict[str, Any]", flags: int, name: str, source: str, file: str, line: int) -> bool:
    """Defines a function or class; False when it takes data to do so, which are not there yet."""
    try:
        exec(_placed(flags, source, file, line), namespace)
    except NameError:
        return False
    return True


def _placed(flags: int, source: str, file: str, line: int) -> "CodeType":
    """The code of a definition, in the lines that it has in its cell."""
    code: CodeType = compile("\n" * (line - 1) + source, file, "exec", flags, dont_inherit=True)
    return code


def _put(part: "list[str]", line: int, lines: "list[str]") -> None:
    """Puts a part of a cell in its place among the lines of the cell."""
    lines += ["\n"] * (line - 1 + len(part) - len(lines))
    lines[line - 1 : line - 1 + len(part)] = part


def _mapped(path: str) -> memoryview:
    """The bytes of a file, which may be changed without changing the file."""
    import mmap

    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
