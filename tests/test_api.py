"""The public names of the package."""

import hopx_magics as hopx


def test_every_public_name_exists_and_is_documented() -> None:
    assert hopx.__all__ == sorted(hopx.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    for name in hopx.__all__:
        value = getattr(hopx, name)
        assert name in dir(hopx)
        if callable(value):
            assert value.__doc__, name


def test_no_other_public_name() -> None:
    public = {name for name in vars(hopx) if not name.startswith("_")}
    modules = {"api", "client", "display", "durations", "errors", "magics", "models", "output", "protocol", "run"}
    hooks = {"load_ipython_extension", "unload_ipython_extension", "TYPE_CHECKING", "Any"}
    assert public - modules - hooks - {"session", "settings", "watcher"} <= set(hopx.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(hopx, "nothing_of_that_name")
