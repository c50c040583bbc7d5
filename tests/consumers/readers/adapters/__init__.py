"""One module for each family of readers: `names()`, what a call may use, and `columns(result, kinds, call)`, the
result's columns as pairs of a name and Python values."""
