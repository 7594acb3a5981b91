"""Every setting and what follows from its declaration in `config`: key, variable, flag, meaning."""

import re
from collections.abc import Iterable
from typing import Final, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

from .config import BeatRule, Settings, StuckRule
from .environment import BORROWED

PREFIX: Final = "STREAM_"
RULES: Final[dict[str, type[StuckRule | BeatRule]]] = {
    "stuck_rules": StuckRule,
    "beat_rules": BeatRule,
}
"""Lists of tables: only the file can hold them."""
BROKERS: Final = "brokers"
"""Likewise; in the file it is called as the setting of a single one is."""
_SHOWN_CHARACTERS: Final = 80
_USER: Final = re.compile("://.*@", re.DOTALL)
_QUERY: Final = re.compile(r"\?\S.*", re.DOTALL)


class Setting(Struct, frozen=True):
    """One leaf of the settings, and all that is derived from its declaration."""

    path: tuple[str, ...]
    type: object
    default: object
    """`msgspec.NODEFAULT` where a value must be given."""
    meaning: str
    phrase: str
    """What a good value is, to follow "is not"."""
    secret: bool
    json: bool = False
    """Whether it is JSON where it is given as text."""
    special_flag: str | None = None
    """Where it is not called as its key says."""
    repeated: bool = False
    """Whether the flag may be given several times; its texts are then one, with spaces."""

    @property
    def key(self) -> str:
        """In the file, and in messages."""
        return ".".join(self.path)

    @property
    def name(self) -> str:
        """In Python: the parameter of the command."""
        return "_".join(self.path)

    @property
    def variable(self) -> str:
        """In the environment."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """On the command line."""
        return self.special_flag or "--" + self.name.replace("_", "-")

    @property
    def shape(self) -> object:
        """The bare type: ``float``, ``bool``, ``dict`` and so on."""
        bare = get_args(self.type)[0]
        return get_origin(bare) or bare

    @property
    def is_choice(self) -> bool:
        """Whether its values, besides none, are enumerated."""
        bare = get_args(self.type)[0]
        return any(get_origin(each) is Literal for each in (bare, *get_args(bare)))


class Row(Struct, frozen=True):
    """One line of the reference table."""

    setting: str
    flag: str
    variables: tuple[str, ...]
    """Our own first, then those of others from the weakest to the strongest."""
    default: str
    """As in the file; empty where there is none."""
    meaning: str


def reference() -> list[Row]:
    """Tell every setting, in order of declaration: the configuration table of the README."""
    return [
        Row(
            setting=setting.key,
            flag=setting.flag,
            variables=(
                setting.variable,
                *(name for name, borrowed in BORROWED.items() if borrowed.key == setting.key),
            ),
            default="" if setting.default in (None, (), {}) else shown(setting.default),
            meaning=setting.meaning,
        )
        for setting in SETTINGS
    ]


def settings_of(struct: type[Struct], *prefix: str) -> Iterable[Setting]:
    """Derive the settings of a struct and of those within it."""
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from settings_of(field.type, *prefix, field.name)
        elif field.name not in {*RULES, BROKERS}:
            yield _setting((*prefix, field.name), field)


def _setting(path: tuple[str, ...], field: msgspec.structs.FieldInfo) -> Setting:
    bare, *notes = get_args(field.type)
    extra = {key: value for note in notes for key, value in (note.extra or {}).items()}
    choices = get_args(bare) if get_origin(bare) is Literal else ()
    ordinary = "true or false" if bare is bool else "a text"
    factory = field.default_factory
    return Setting(
        path=path,
        type=field.type,
        default=field.default if factory is msgspec.NODEFAULT else factory(),
        meaning=next((note.description for note in notes if note.description), ""),
        phrase=extra.get("phrase") or " or ".join(choices) or ordinary,
        secret=extra.get("secret", False),
        json=extra.get("json", False),
        special_flag=extra.get("flag"),
        repeated=extra.get("repeated", False),
    )


def shown(value: object) -> str:
    """Write a value as in the file, shortened, and nothing that may hold a password."""
    if isinstance(value, str):  # bytes of the environment may be no UTF-8
        value = value.encode(errors="replace").decode()
    # JSON has no infinity, which TOML has.
    text = str(value) if isinstance(value, float) else msgspec.json.encode(value).decode()
    if "@" in text:
        return "…"
    text = without_credentials(text)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def without_credentials(text: str) -> str:
    """Return text without the users and queries of URLs in it, and rather more than less."""
    return _QUERY.sub("?…", _USER.sub("://…@", text))


# What everybody sets comes first; a struct has the fields that it inherits before its own.
SETTINGS: Final = tuple(sorted(settings_of(Settings), key=lambda each: each.key != "broker"))
BY_KEY: Final = {setting.key: setting for setting in SETTINGS}
