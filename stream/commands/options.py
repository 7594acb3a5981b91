"""The options that several commands have."""

from collections.abc import Callable
from typing import TypeVar

import click

from ..declaration import SETTINGS

F = TypeVar("F", bound=Callable[..., object])


def settings_options(command: F, *sections: str) -> F:
    """Give a command one option for each setting; texts, since `load` validates them.

    With *sections*, only for those that begin so.
    """
    for setting in reversed(SETTINGS):
        if not setting.key.startswith(sections or ("",)):
            continue
        flag = setting.flag
        yes_or_no = setting.shape is bool
        command = click.option(
            f"{flag}/--no-{flag.removeprefix('--')}" if yes_or_no else flag,
            setting.name,
            default=None,
            help=f"{setting.meaning}.  [{setting.variable}]",
            metavar=None if yes_or_no else "VALUE",
            multiple=setting.repeated,
        )(command)
    return command
