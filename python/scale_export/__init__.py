"""Exports of Scale annotation tasks: run them, read them.

>>> import scale_export
>>> run = scale_export.export(ids="ids.txt", out="export")
>>> x = scale_export.read("export")
>>> x.pandas("messages")
"""

from __future__ import annotations

from ._conversations import Alternative, Conversation, Message
from ._directory import Export, read
from ._errors import ScaleExportError
from ._export import Run, export

__all__ = [
    "Alternative",
    "Conversation",
    "Export",
    "Message",
    "Run",
    "ScaleExportError",
    "export",
    "read",
]


def __getattr__(name: str) -> str:
    # Computed when it is read: the metadata takes longer to import than the package.
    if name == "__version__":
        from ._program import version

        return version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
