"""A notebook: progress below the cell, and the interruption of the cell, in a Jupyter kernel."""

from __future__ import annotations

import queue
import threading
import time

from jupyter_client.manager import KernelManager
from support import Case

CELL = """
import scale_export
run = scale_export.export(
    ids=[f"task_{{number}}" for number in range(1, 201)], out={out!r}, sandbox=True, rate={rate!r}, plan="ids")
print("reused", run.summary["reused"])
"""

# A kernel starts within seconds; the rest is for a busy machine.
SECONDS = 60


class Notebook(Case):
    def setUp(self) -> None:
        super().setUp()
        # Sockets below the directory of the test.
        self.manager = KernelManager(transport="ipc", ip=str(self.directory / "kernel"))
        self.manager.start_kernel()
        self.addCleanup(self.manager.shutdown_kernel, now=True)
        self.client = self.manager.client()
        self.client.start_channels()
        self.addCleanup(self.client.stop_channels)
        self.client.wait_for_ready(timeout=SECONDS)

    def run_cell(self, code: str, interrupt_at: str | None = None) -> tuple[str, str, str]:
        """The progress, the printed text and the name of the error of a cell."""
        shown, printed, error = [], [], ""
        self.client.execute(code)
        begin = time.monotonic()
        while time.monotonic() - begin < SECONDS:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind in ("display_data", "update_display_data"):
                shown.append(content["data"]["text/plain"])
                if interrupt_at and interrupt_at in shown[-1]:
                    interrupt_at = None
                    threading.Thread(target=self.manager.interrupt_kernel).start()
            elif kind == "stream":
                printed.append(content["text"])
            elif kind == "error":
                error = content["ename"]
            elif kind == "status" and content["execution_state"] == "idle" and shown:
                return "\n".join(shown), "".join(printed), error
        raise AssertionError(f"the cell does not end: {shown} {printed}")

    def test_an_interrupted_cell_resumes(self):
        out = str(self.out)
        shown, printed, error = self.run_cell(CELL.format(out=out, rate=20), interrupt_at="/200 tasks")
        self.assertEqual(error, "KeyboardInterrupt", shown + printed)
        self.assertIn("interrupted: ", printed)
        shown, printed, error = self.run_cell(CELL.format(out=out, rate="max"))
        self.assertEqual(error, "")
        self.assertIn("Exported 200 of 200 tasks", shown)
        self.assertRegex(printed, r"reused [1-9]")
