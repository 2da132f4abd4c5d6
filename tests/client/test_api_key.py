"""Where the API key is found, which one wins, and that no error shows what is in a file."""

import sys
import traceback
from pathlib import Path
from types import ModuleType

import pytest
from rich.pretty import pretty_repr

from hopx_magics.client.api_key import ApiKey, find_api_key
from hopx_magics.errors import CredentialsError

KEYRING = {"default:api_key": "key-in-keyring", "work:api_key": "work-key-in-keyring"}

FLAT = "default:\n  api_key: key-in-config\nwork:\n  api_key: work-key-in-config\n"
NESTED = "default_profile: work\nprofiles:\n" + "".join(f"  {line}\n" for line in FLAT.splitlines())
CREDENTIALS = "default:\n  api_key: key-in-credentials\n  oauth_token: {access: other-secret}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, on a machine without the library `keyring`."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    (tmp_path / ".hopx").mkdir()
    return tmp_path


def write(home: Path, *, config: str | None = None, credentials: str | None = None) -> None:
    for name, text in (("config", config), ("credentials", credentials)):
        if text is not None:
            (home / ".hopx" / f"{name}.yaml").write_text(text)


@pytest.fixture
def keyring(home: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The library `keyring`, with two keys."""
    library = ModuleType("keyring")
    library.get_password = lambda service, user: KEYRING.get(user) if service == "hopx-cli" else None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", library)
    return library


def value(home: Path, **environ: str) -> str | None:
    found = find_api_key(environ, home)
    return None if found is None else found.value


def test_there_is_none(home: Path) -> None:
    assert find_api_key({"HOPX_API_KEY": " "}, home) is None
    assert find_api_key({}, home / "nobody") is None


def test_the_order(home: Path, keyring: ModuleType) -> None:
    write(home, config=FLAT, credentials=CREDENTIALS)
    assert find_api_key({"HOPX_API_KEY": " key-in-variable\n"}, home) == ApiKey("key-in-variable", "HOPX_API_KEY")
    found = find_api_key({}, home)
    assert found == ApiKey("key-in-config", f"{home / '.hopx' / 'config.yaml'}, profile 'default'")
    write(home, config="")
    assert find_api_key({}, home) == ApiKey("key-in-keyring", "the system's keyring, profile 'default'")
    keyring.get_password = lambda service, user: None  # type: ignore[attr-defined]
    assert value(home) == "key-in-credentials"


@pytest.mark.parametrize(
    ("config", "profile", "key"),
    [
        (FLAT, "", "key-in-config"),
        (FLAT, "work", "work-key-in-config"),
        (FLAT, "other", None),
        (NESTED, "", "work-key-in-config"),
        (NESTED, "default", "key-in-config"),
        ("profiles: {default: {api_key: plain}}", "", "plain"),
        ("profiles: {2024: {api_key: plain}}", "2024", "plain"),
        ("default: {api_key: '${MY_KEY}'}", "", "from-my-variable"),
        ("default: {api_key: 'hopx_${MY_KEY}'}", "", "hopx_from-my-variable"),
        ("default: {api_key: '${HOPX_API_KEY}'}", "", None),
        ("default: {api_key: 'hopx_${HOPX_API_KEY}'}", "", None),
        ("default: {api_key: null}", "", None),
        ("default: none", "", None),
        ("profiles: null", "", None),
        ("# nothing", "", None),
    ],
)
def test_the_configuration(home: Path, config: str, profile: str, key: str | None) -> None:
    write(home, config=config)
    assert value(home, HOPX_PROFILE=profile, MY_KEY="from-my-variable") == key


def test_the_keyring_has_profiles(home: Path, keyring: ModuleType) -> None:
    assert value(home, HOPX_PROFILE="work") == "work-key-in-keyring"
    write(home, config="default_profile: work")
    assert value(home) == "work-key-in-keyring"


def test_a_keyring_that_can_not_be_read_has_no_key(home: Path, keyring: ModuleType) -> None:
    def get_password(service: str, user: str) -> str:
        raise RuntimeError("no backend")

    keyring.get_password = get_password  # type: ignore[attr-defined]
    write(home, credentials=CREDENTIALS)
    assert value(home) == "key-in-credentials"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"default:\n  api_key: 'secret-key-1234\n", "no YAML from line"),
        (b"secret-key-1234", "no profiles"),
        (b"- secret-key-1234", "no profiles"),
        (b"default: {api_key: secret-key-1234, since: 2024-99-99}", "no YAML"),
        (b"default: {api_key: \xffsecret-key-1234}", "no YAML"),
        (b"default: {api_key: !!python/object/apply:os.system [secret-key-1234]}", "no YAML from line 1"),
        (b"default: {api_key: 'secret-key-1234 with spaces'}", "characters that no key has"),
        (b'default: {api_key: "secret-key-1234\\u00e9"}', "characters that no key has"),
    ],
)
@pytest.mark.parametrize("name", ["config.yaml", "credentials.yaml"])
def test_a_broken_file_is_named_and_not_shown(home: Path, name: str, content: bytes, words: str) -> None:
    (home / ".hopx" / name).write_bytes(content)
    with pytest.raises(CredentialsError, match=words) as caught:
        find_api_key({}, home)
    assert str(home / ".hopx" / name) in str(caught.value)
    assert "HOPX_API_KEY" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_can_not_be_opened(home: Path) -> None:
    (home / ".hopx" / "config.yaml").mkdir()
    with pytest.raises(CredentialsError, match="directory"):
        find_api_key({}, home)


def test_what_is_shown_of_a_key() -> None:
    key = ApiKey("secret-key-1234", "HOPX_API_KEY")
    assert repr(key) == str(key) == pretty_repr(key) == "ApiKey(source='HOPX_API_KEY')"
