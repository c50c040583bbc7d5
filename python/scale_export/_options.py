"""Options of the program from Python values. Pure."""

from __future__ import annotations

import datetime
import numbers
import os
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from collections.abc import Iterable

Scalar = Union[bool, int, float, str, "os.PathLike[str]", datetime.date, datetime.timedelta, None]
Option = Union[Scalar, "Iterable[Scalar]"]

# Options that take several values in one argument. Others are repeated.
COMMA_SEPARATED = ("tables", "expand", "opts")

# Options that the package sets itself.
RESERVED = {
    "log_format": "the package reads the log; its records go to logging.getLogger('scale_export')",
    "progress": "pass progress=True or progress=False",
    "summary": "it is the attribute `summary` of the result",
    "help": "call help(scale_export.export)",
    "version": "use scale_export.__version__",
}


def arguments(options: dict[str, Any]) -> list[str]:
    """The arguments of named options: ``max_failures=3`` is ``--max-failures=3``.

    True is a flag, and None and False leave an option out. A date or time is written in UTC, and a timedelta in seconds.
    """
    result: list[str] = []
    for name, value in options.items():
        if name in RESERVED:
            raise TypeError(f"option {name!r} cannot be set: {RESERVED[name]}")
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            result.append(option)
        elif is_list(value):
            values = [text(name, item) for item in value]
            if name in COMMA_SEPARATED:
                values = [",".join(values)]
            result.extend(f"{option}={item}" for item in values)
        else:
            result.append(f"{option}={text(name, value)}")
    return result


def is_list(value: object) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, (str, bytes))


def text(name: str, value: object) -> str:
    """A value as the program reads it."""
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise ValueError(f"the time of {name!r} has no time zone: {value}")
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return f"{round(value.total_seconds() * 1000)}ms"
    if isinstance(value, (str, numbers.Real)) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"option {name!r} cannot be a {type(value).__name__}: {value!r}")
