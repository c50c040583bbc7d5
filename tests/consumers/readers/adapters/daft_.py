"""Daft."""
import daft

from adapters.arrow import table_columns


def names():
    return {"daft": daft}


def columns(frame, kinds, call):
    return table_columns(frame.to_arrow())
