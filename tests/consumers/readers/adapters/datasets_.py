"""Hugging Face datasets."""
import functools
import os
import tempfile

CACHE = tempfile.TemporaryDirectory()
os.environ.update(HF_HOME=CACHE.name, HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")

import datasets  # noqa: E402


def names():
    # A separate cache for each export: offline, the library takes data from an earlier load of the same name.
    cache = tempfile.mkdtemp(dir=CACHE.name)
    return {"load_dataset": functools.partial(datasets.load_dataset, cache_dir=cache)}


def columns(dataset, kinds, call):
    for name in dataset.column_names:
        yield name, list(dataset[name])
