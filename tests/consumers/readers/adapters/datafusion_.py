"""DataFusion."""
import datafusion

from adapters.arrow import table_columns


def names():
    return {"ctx": datafusion.SessionContext()}


def columns(frame, kinds, call):
    return table_columns(frame.to_arrow_table())
