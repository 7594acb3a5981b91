"""From a file, the environment and flags to `Settings`: the only door for settings.

Precedence is file < environment < flags; within the environment the names of others (``OTEL_*``,
``CELERY_BROKER_URL``, ``ONEUPTIME_*``) give way to ``STREAM_*``. Only the value that wins is
validated. What is wrong is one sentence that names the setting and where the value came from,
and never shows a credential.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from .config import (
    BROKER_NAME,
    BeatRule,
    BrokerSettings,
    OtlpSettings,
    Settings,
    StuckRule,
)
from .declaration import (
    BROKERS,
    BY_KEY,
    PREFIX,
    RULES,
    SETTINGS,
    Setting,
    settings_of,
    shown,
)
from .environment import BORROWED, Borrowed, read_list, read_pairs
from .errors import ConfigError

S = TypeVar("S", bound=Struct)

_CONFIG_FILE: Final = "STREAM_CONFIG"
# How alike a variable must be to one of ours to count as its misspelling. Anything else with our
# prefix is somebody else's: Kubernetes sets STREAM_PORT beside a Service called "stream".
_MISSPELT: Final = 0.8


def _sections(settings: Iterable[Setting]) -> frozenset[str]:
    """The tables that hold settings."""
    return frozenset(
        ".".join(each.path[:depth]) for each in settings for depth in range(1, len(each.path))
    )


_SECTIONS: Final = _sections(SETTINGS) | RULES.keys()
_OF_BROKER: Final = {setting.key: setting for setting in settings_of(BrokerSettings)}
_IN_BROKER: Final = _sections(_OF_BROKER.values())
_NOWHERE: Final[Mapping[str, object]] = {"url": "", "name": None}
_TOKEN: Final = re.compile(r"[!-~]+")
_NAMED: Final = re.compile(rf"(?:({BROKER_NAME})=)?(.*)")


class _Found(Struct, frozen=True):
    """A value as it was given, and where."""

    value: object
    origin: str
    borrowed: Borrowed | None = None


def load(
    file: str | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """Read, merge and validate the settings.

    Args:
        file: path of a TOML file; None takes ``STREAM_CONFIG``, and where that is unset, no file.
        env: environment variables; None takes those of this process. Empty ones count as unset.
        flags: values by `Setting.name`; None values count as not given.

    Raises:
        ConfigError: a value, a key or the file is wrong.
    """
    variables = {name: text for name, text in (os.environ if env is None else env).items() if text}
    path = file or variables.get(_CONFIG_FILE)
    tree = {} if path is None else _read_file(path)
    rules = {name: _rules(name, tree.pop(name, []), str(path)) for name in RULES}
    several = tree.get("broker")
    several = several if isinstance(several, list) else []
    if several:
        del tree["broker"]
    found = {
        **_from_tree(tree, str(path)),
        **_from_environment(variables),
        **_from_flags(flags or {}),
    }
    values = {setting.key: _value(setting, found.get(setting.key)) for setting in SETTINGS}
    tables = _tables_of_brokers(several, str(path), values)
    brokers = _brokers(tables, found.get("broker"), values)
    settings = _build(Settings, {**values, **rules, BROKERS: brokers})
    otlp = _complete(settings.otlp, found.get("otlp.endpoint"), variables.get("ONEUPTIME_TOKEN"))
    return msgspec.structs.replace(settings, otlp=otlp)


def inherited_environment(**added: str) -> dict[str, str]:
    """Copy the environment for a child process, without what would lead it to another broker."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("CELERY_")}
    return kept | added


def _read_file(path: str) -> dict[str, object]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"The configuration file {path} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:  # not TOML, or not UTF-8
        raise ConfigError(f"The configuration file {path} is not TOML: {exc}") from exc


def _from_tree(
    tree: dict[str, object],
    path: str,
    prefix: str = "",
    *,
    label: str = "",
    keys: Iterable[str] = BY_KEY,
    sections: Iterable[str] = _SECTIONS,
) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for name, value in tree.items():
        key = prefix + name
        if key in keys:
            found[key] = _Found(value, path)
        elif key not in sections:
            raise _unknown(label + key, path, [label + each for each in (*keys, *sections)])
        elif not isinstance(value, dict):
            # Without the value: it may be the secret that belongs into the table.
            raise ConfigError(f"{label}{key} (from {path}) is not a table of settings")
        else:
            found |= _from_tree(value, path, f"{key}.", label=label, keys=keys, sections=sections)
    return found


def _from_environment(variables: Mapping[str, str]) -> dict[str, _Found]:
    found = {
        borrowed.key: _Found(variables[name], name, borrowed)
        for name, borrowed in BORROWED.items()
        if name in variables
    }
    ours = {setting.variable: setting.key for setting in SETTINGS}
    for name, text in variables.items():
        if name in ours:
            found[ours[name]] = _Found(text, name)
        elif name.startswith(PREFIX) and name != _CONFIG_FILE:
            _refuse_misspelling(name, ours)
    return found


def _refuse_misspelling(name: str, ours: Iterable[str]) -> None:
    bare = [known.removeprefix(PREFIX) for known in ours]
    if near := difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1, cutoff=_MISSPELT):
        raise ConfigError(f"{name} (in the environment) is no setting; {PREFIX}{near[0]} is")


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Found]:
    return {
        setting.key: _Found(" ".join(value) if isinstance(value, tuple) else value, setting.flag)
        for setting in SETTINGS
        if (value := flags.get(setting.name)) not in (None, ())
    }


def _tables_of_brokers(
    tables: list[object], path: str, values: Mapping[str, object]
) -> list[BrokerSettings]:
    """Read ``[[broker]]`` tables; what one does not say is as *values* say for all."""
    read = []
    for number, table in enumerate(tables):
        if not isinstance(table, dict):
            raise ConfigError(f"broker (from {path}) is neither a URL nor [[broker]] tables")
        label = f"broker[{number}]."
        found = _from_tree(table, path, label=label, keys=_OF_BROKER, sections=_IN_BROKER)
        own = {key: _value(_OF_BROKER[key], value, label) for key, value in found.items()}
        read.append(_build(BrokerSettings, {**values, **_NOWHERE, **own}))
    return read


def _brokers(
    tables: Sequence[BrokerSettings], given: _Found | None, values: Mapping[str, object]
) -> tuple[BrokerSettings, ...]:
    """Return the brokers where there are several or one has a name; else nothing.

    URLs from a flag or a variable say which there are, and tables of the same name what else is
    known of them. Celery's own variable names but one broker and does not replace tables.
    """
    if tables and (given is None or given.borrowed):
        for number, table in enumerate(tables):
            if not table.url:
                raise ConfigError(f"broker[{number}] does not say its url")
        return tuple(tables)
    pairs = [_NAMED.fullmatch(text) for text in str(values["broker"]).split()]
    named = [match.groups() for match in pairs if match is not None]
    if not tables and [name for name, _ in named] == [None]:
        return ()
    plain = _build(BrokerSettings, {**values, **_NOWHERE})
    by_name = {table.name: table for table in tables if table.name is not None}
    return tuple(
        msgspec.structs.replace(by_name.get(name, plain), name=name, url=url) for name, url in named
    )


def _rules(name: str, rules: object, path: str) -> tuple[StuckRule | BeatRule, ...]:
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ConfigError(f"{name} (from {path}) is not a list of [[{name}]] tables")
    struct = RULES[name]
    return tuple(_rule(struct, rule, f"{name}[{index}]", path) for index, rule in enumerate(rules))


def _rule(struct: type[S], rule: dict[str, object], label: str, path: str) -> S:
    settings = list(settings_of(struct))
    for name in rule:
        if name not in struct.__struct_fields__:
            raise _unknown(f"{label}.{name}", path, (f"{label}.{s.key}" for s in settings))
    if "task" not in rule:
        raise ConfigError(f"{label} (from {path}) does not say which task it is for")
    found = {name: _Found(value, path) for name, value in rule.items()}
    return _build(struct, {s.key: _value(s, found.get(s.key), f"{label}.") for s in settings})


def _unknown(key: str, path: str, known: Iterable[str]) -> ConfigError:
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0)
    return ConfigError(f"{key} (in {path}) is no setting; the nearest is {near[0]}")


def _value(setting: Setting, found: _Found | None, label: str = "") -> object:
    """The setting's value, validated; its default where none was given."""
    if found is None:
        return setting.default
    try:
        value = _read(setting, found)
        return msgspec.convert(value, setting.type, strict=not isinstance(found.value, str))
    except (ValueError, msgspec.DecodeError):
        phrase = (found.borrowed and found.borrowed.phrase) or setting.phrase
        given = "" if setting.secret else f" = {shown(found.value)}"
        # Without the cause: what it says is in the sentence, or secret.
        raise ConfigError(
            f"{label}{setting.key}{given} (from {found.origin}) is not {phrase}"
        ) from None


def _read(setting: Setting, found: _Found) -> object:
    """The value in the type that the setting has, as far as its text allows."""
    if not isinstance(found.value, str):
        return found.value
    text = found.value.strip()
    if found.borrowed and found.borrowed.read:
        return found.borrowed.read(text)
    if setting.json:
        return msgspec.json.decode(text)
    if setting.shape is tuple:
        return read_list(text)
    if setting.shape is dict:
        return read_pairs(text)
    # OpenTelemetry has its enumerations in any case; all values of ours are in lower case.
    in_any_case = setting.shape is bool or (found.borrowed and setting.is_choice)
    return text.lower() if in_any_case else text


def _build(struct: type[S], values: Mapping[str, object], prefix: str = "") -> S:
    arguments: dict[str, object] = {}
    for field in msgspec.structs.fields(struct):
        key = prefix + field.name
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            arguments[field.name] = _build(field.type, values, f"{key}.")
        else:
            arguments[field.name] = values[key]
    return struct(**arguments)


def _complete(otlp: OtlpSettings, endpoint: _Found | None, token: str | None) -> OtlpSettings:
    """Fill in what follows from the rest."""
    if otlp.client_key and not otlp.client_certificate:
        raise ConfigError("otlp.client_key is set without otlp.client_certificate")
    headers = otlp.headers
    # The token goes only to the endpoint that it came with, never to one that replaced it.
    if token and endpoint and endpoint.origin == "ONEUPTIME_ENDPOINT":
        headers = {"Authorization": f"Bearer {_token(token)}"} | headers
    service_name = otlp.service_name or otlp.resource_attributes.get("service.name")
    return msgspec.structs.replace(otlp, headers=headers, service_name=service_name)


def _token(text: str) -> str:
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            "ONEUPTIME_TOKEN (in the environment) is not a text of printable ASCII characters "
            "without spaces"
        )
    return token
