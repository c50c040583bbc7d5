"""What readers do to values by design. Each function gives the cells that such a reader shows instead."""
import datetime
import struct

from cells import EPOCH


def integers_with_nulls_become_float64(cells):
    """Also rounds integers past 2^53."""
    if None not in cells:
        return cells
    return [cell if cell is None else "f64:" + struct.pack(">d", float(cell.removeprefix("int:"))).hex()
            for cell in cells]


def null_text_becomes_empty(cells):
    """The reader does not distinguish null from an empty field."""
    return ["str:" if cell is None else cell for cell in cells]


def null_bytes_become_empty(cells):
    """The reader does not distinguish null from an empty field."""
    return ["bytes:" if cell is None else cell for cell in cells]


def null_list_becomes_empty(cells):
    """The column's type has no null."""
    return ["list:[]" if cell is None else cell for cell in cells]


def times_lose_their_zone(cells):
    """The values are right for UTC."""
    def naive(cell):
        time = EPOCH + datetime.timedelta(microseconds=int(cell.removeprefix("ts:")))
        return f"naive:{time.replace(tzinfo=None).isoformat()}"
    return [cell if cell is None else naive(cell) for cell in cells]
