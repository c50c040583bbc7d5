"""ClickHouse, in this process: chdb."""
import chdb

from cells import Microseconds, parsed


def names():
    def query(sql):
        # Their default format for Python; 64-bit integers are exact in it.
        return chdb.query(sql, "ArrowTable")

    return {"query": query}


def text(value):
    """ClickHouse's String is bytes, also where it reads text."""
    return value.decode() if isinstance(value, bytes) else value


def columns(table, kinds, call):
    for name in table.column_names:
        column = table.column(name)
        kind = kinds[name]
        if kind == "ts" and call["format"] == "parquet":
            yield name, [None if v is None else Microseconds(v) for v in column.cast("int64").to_pylist()]
            continue
        if kind == "bytes" and call["format"] == "parquet":
            column = column.cast("binary")
        values = column.to_pylist()
        if kind in ("str", "json") or call["format"] == "csv":
            values = [text(value) for value in values]
        elif kind == "list<str>":
            values = [None if value is None else [text(item) for item in value] for value in values]
        if call["format"] == "csv":
            values = [parsed(kind, value) for value in values]
        yield name, values
