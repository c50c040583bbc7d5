"""Delta Lake by delta-rs, without Spark."""
import shutil
import tempfile
from pathlib import Path

import deltalake
import pyarrow

from adapters.arrow import table_columns


def names():
    return {"deltalake": deltalake, "shutil": shutil, "Path": Path, "tempfile": tempfile, "pa": pyarrow}


def columns(result, kinds, call):
    return table_columns(pyarrow.table(result))
