"""The public names of the package."""

from types import ModuleType

import hopx_magics as hopx


def test_every_public_name_exists_and_is_documented() -> None:
    assert hopx.__all__ == sorted(hopx.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    for name in hopx.__all__:
        value = getattr(hopx, name)
        assert name in dir(hopx)
        if callable(value):
            assert value.__doc__, name


def test_no_other_public_name() -> None:
    public = {
        name for name, value in vars(hopx).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    hooks = {"load_ipython_extension", "unload_ipython_extension", "TYPE_CHECKING", "Any"}
    assert public - hooks <= set(hopx.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(hopx, "nothing_of_that_name")
