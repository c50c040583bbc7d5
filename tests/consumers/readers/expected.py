"""What pyarrow reads of the Parquet exports, which is what every reader is compared with."""
import pyarrow.parquet

from cells import cell


def read(exports, schemas):
    """By export, table and column: the cells."""
    return {
        name: {table: {column: [cell(value) for value in values.to_pylist()]
                       for column, values in zip(file.column_names, file.columns)}
               for table in schemas
               for file in [pyarrow.parquet.read_table(f"{directory}/parquet/{table}.parquet")]}
        for name, directory in exports.items()
    }


def doubles_without_statistics(exports, schemas):
    """The float64 columns with values whose minimum and maximum pyarrow does not use."""
    found = []
    for directory in exports.values():
        for table, schema in schemas.items():
            metadata = pyarrow.parquet.read_metadata(f"{directory}/parquet/{table}.parquet")
            doubles = {column["name"] for column in schema["columns"] if column["type"] == "f64"}
            for group in range(metadata.num_row_groups):
                row_group = metadata.row_group(group)
                for place in range(row_group.num_columns):
                    column = row_group.column(place)
                    if column.path_in_schema not in doubles:
                        continue
                    statistics = column.statistics
                    has_values = statistics is None or statistics.null_count < column.num_values
                    if has_values and not (statistics and statistics.has_min_max):
                        found.append(f"{table}.{column.path_in_schema}")
    return found
