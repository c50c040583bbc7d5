"""pandas."""
import pandas

from cells import parsed


def names():
    return {"pd": pandas}


def columns(frame, kinds, call):
    for name in frame.columns:
        values = frame[name].tolist()
        if call["format"] == "csv":
            values = [parsed(kinds[name], value) for value in values]
        else:
            # JSON has no NaN: it always stands for null.
            values = [None if isinstance(value, float) and value != value else value for value in values]
        yield name, values
