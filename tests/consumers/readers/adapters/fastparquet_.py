"""fastparquet."""
import fastparquet

from adapters import pandas_


def names():
    return {"fastparquet": fastparquet}


columns = pandas_.columns
