"""polars."""
import polars

from cells import parsed


def names():
    return {"pl": polars}


def columns(frame, kinds, call):
    for name in frame.columns:
        values = frame[name].to_list()
        yield name, [parsed(kinds[name], value) for value in values] if call["format"] == "csv" else values
