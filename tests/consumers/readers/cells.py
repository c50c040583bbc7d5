"""One text for each value, the same whichever reader it came from. Standard library only: every reader imports it.

Null stays null; a text names its type first, so that 1, 1.0, true and "1" differ.
"""
import base64
import datetime
import json
import math
import struct

class Microseconds(int):
    """An instant, as microseconds since 1970 in UTC, for readers whose Python values cannot say it."""


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


def cell(value):
    """The text of a value as a reader gave it."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, str):
        return "str:" + str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes:" + bytes(value).hex()
    if hasattr(value, "tolist"):
        value = value.tolist()  # numpy's scalars and arrays
    if isinstance(value, Microseconds):
        return f"ts:{int(value)}"
    if isinstance(value, bool):
        return f"bool:{str(value).lower()}"
    if isinstance(value, int):
        return f"int:{value}"
    if isinstance(value, float):
        # By its bits: -0.0 is not 0.0. NaN has many.
        return "f64:nan" if math.isnan(value) else "f64:" + struct.pack(">d", value).hex()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return f"naive:{value.isoformat()}"
        if getattr(value, "nanosecond", 0):
            return f"nanoseconds:{value.isoformat()}"
        if hasattr(value, "as_unit"):
            value = value.to_pydatetime()  # pandas' differences have nanoseconds, which end at the year 2262
        return f"ts:{(value - EPOCH) // MICROSECOND}"
    if isinstance(value, (list, tuple)):
        return "list:" + json.dumps([cell(item) for item in value])
    return f"{type(value).__name__}:{value!r}"


def parsed(kind, text):
    """The value that a field of the CSV files stands for, by the rules of docs/tables.md."""
    if text is None or kind in ("str", "json"):
        return text
    if text == "" and kind != "bytes":
        return None
    if kind in ("int32", "int64"):
        return int(text)
    if kind == "f64":
        return float(text)
    if kind == "bool":
        return {"true": True, "false": False}[text]
    if kind == "ts":
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if kind == "bytes":
        return base64.b64decode(text, validate=True)
    return json.loads(text)
