"""What readers that give Arrow tables share. pyarrow is imported by the caller's environment."""


def table_columns(table):
    """The columns of a pyarrow table as Python values."""
    for name in table.column_names:
        yield name, table.column(name).to_pylist()
