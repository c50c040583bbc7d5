#!/usr/bin/env python3
"""Records a run in a terminal and draws docs/run.svg: `make picture`.

Starts the sandbox with a hidden rate limit, types commands into bash in a pseudoterminal, and reads what the terminal
would show. The picture plays once and stays at the end; where nothing moves (print, reduced motion) it shows the end.

    python3 docs/picture.py target/release/scale-export docs/run.svg
"""
import argparse
import codecs
import contextlib
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unicodedata
from xml.sax.saxutils import escape

COLUMNS, ROWS = 96, 60
SANDBOX = ["--limit", "token_bucket=400/s", "--latency", "20ms"]
TASKS = range(2001, 4001)
COMMANDS = ["scale-export --ids ids.txt --out export/", "scale-export verify export/"]
KEY = "test_key"

# Between two keys, after a command, and between two pictures of the terminal.
TYPING, PAUSE, FRAME = 0.04, 0.8, 0.2

# A gray dollar, and a mark that the terminal does not show: bash is ready for a command.
PROMPT = r"\[\e[90m\]$\[\e[0m\] \[\e]133;B\a\]"
ESCAPE = re.compile(r"\x1b(?:\[([?0-9;]*)([A-Za-z])|\]([^\x07\x1b]*)(?:\x07|\x1b\\))")

NO_BREAK_SPACE = "\xa0"
CELL, LINE, SIZE, MARGIN, BAR = 8.4, 20, 14, 20, 36
BACKGROUND, FOREGROUND, DIM = "#161b22", "#e6edf3", "#8b949e"
COLORS = ["#6e7681", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#e6edf3"]


class Screen:
    """A terminal that knows what the program and bash send; anything else is an error."""

    def __init__(self):
        self.rows = [[] for _ in range(ROWS)]
        self.row = self.column = 0
        self.style = (None, False, False)  # color, bold, dim
        self.pending = ""
        self.prompts = 0

    def feed(self, text):
        text = self.pending + text
        position = 0
        while position < len(text):
            if text[position] != "\x1b":
                self.put(text[position])
                position += 1
                continue
            match = ESCAPE.match(text, position)
            if not match:
                break
            self.escape(*match.groups())
            position = match.end()
        self.pending = text[position:]
        if len(self.pending) > 64:
            sys.exit(f"unknown escape sequence: {self.pending[:20]!r}")

    def put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row += 1
        elif character == "\b":
            self.column -= 1
        elif character == "\x07":
            pass
        elif character < " " or unicodedata.east_asian_width(character) in "WF":
            sys.exit(f"unknown character: {character!r}")
        else:
            if self.column == COLUMNS:
                self.row, self.column = self.row + 1, 0
            row = self.rows[self.row]
            row += [(" ", (None, False, False))] * (self.column + 1 - len(row))
            row[self.column] = (character, self.style)
            self.column += 1

    def escape(self, parameters, final, command):
        if command is not None:
            self.prompts += command == "133;B"
            return
        if parameters.startswith("?") and final in "hl":
            return  # the cursor, and pasting
        numbers = [int(number or 0) for number in parameters.split(";")]
        count = max(numbers[0], 1)
        row = self.rows[self.row]
        if final == "m":
            self.select(numbers)
        elif final == "K" and numbers[0] == 0:
            del row[self.column:]
        elif final == "K" and numbers[0] == 2:
            row.clear()
        elif final == "J" and numbers[0] == 0:
            del row[self.column:]
            for below in self.rows[self.row + 1:]:
                below.clear()
        elif final == "A":
            self.row -= count
        elif final == "B":
            self.row += count
        elif final == "C":
            self.column += count
        elif final == "D":
            self.column -= count
        elif final == "G":
            self.column = count - 1
        else:
            sys.exit(f"unknown escape sequence: CSI {parameters}{final}")

    def select(self, numbers):
        color, bold, dim = self.style
        numbers = iter(numbers)
        for number in numbers:
            if number == 0:
                color, bold, dim = None, False, False
            elif number in (1, 2):
                bold, dim = bold or number == 1, dim or number == 2
            elif number == 22:
                bold = dim = False
            elif 30 <= number <= 37 or 90 <= number <= 97:
                color = COLORS[number % 10]
            elif number == 38 and next(numbers) == 5:
                color = COLORS[next(numbers) % 8]
            elif number == 39:
                color = None
            else:
                sys.exit(f"unknown style: {number}")
        self.style = (color, bold, dim)

    def lines(self):
        """The rows as runs of characters in one style: (column, text, style)."""
        lines = []
        for row in self.rows:
            runs = []
            for column, (character, style) in enumerate(row):
                if runs and runs[-1][2] == style:
                    runs[-1][1].append(character)
                else:
                    runs.append((column, [character], style))
            runs = [(column, "".join(text), style) for column, text, style in runs]
            lines.append(tuple(run for run in runs if run[1].strip()))
        return lines


def record(directory, environment):
    """Types the commands; gives what the terminal showed, as (seconds, lines)."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(directory)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
    termios.tcsetwinsize(terminal, (ROWS, COLUMNS))
    screen, frames, start = Screen(), [], None
    decode = codecs.getincrementaldecoder("utf-8")().decode

    def read_until(done):
        nonlocal start
        while not done():
            if select.select([terminal], [], [], 0.02)[0]:
                screen.feed(decode(os.read(terminal, 65536)))
            if start is not None and (not frames or time.monotonic() - start - frames[-1][0] >= FRAME):
                frames.append((time.monotonic() - start, screen.lines()))

    def wait(seconds):
        end = time.monotonic() + seconds
        read_until(lambda: time.monotonic() >= end)

    def wait_for_prompt(number):
        end = time.monotonic() + 120
        read_until(lambda: screen.prompts >= number or time.monotonic() >= end)
        if screen.prompts < number:
            sys.exit("a command does not end")

    try:
        wait_for_prompt(1)
        start = time.monotonic()
        for number, command in enumerate(COMMANDS, 2):
            for key in command:
                os.write(terminal, key.encode())
                wait(TYPING)
            os.write(terminal, b"\r")
            wait_for_prompt(number)
            wait(PAUSE)
        frames.append((time.monotonic() - start, screen.lines()))
    finally:
        os.kill(process, signal.SIGHUP)
        os.close(terminal)
        os.waitpid(process, 0)
    return frames


def spans(frames):
    """For each row and content: from when until when it is there; None is the end of the recording."""
    found = []
    for row in range(ROWS):
        begin, content = 0.0, ()
        for seconds, lines in frames:
            if lines[row] != content:
                found.append((row, content, begin, seconds))
                begin, content = seconds, lines[row]
        found.append((row, content, begin, None))
    return [span for span in found if span[1]]


def draw(frames):
    shown = spans(frames)
    height = BAR + MARGIN + LINE * (1 + max(row for row, _, _, _ in shown))
    width = round(2 * MARGIN + COLUMNS * CELL)
    title = escape(" and ".join(COMMANDS))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' role="img" aria-labelledby="title">',
        f'<title id="title">A terminal that runs {title}</title>',
        "<style>",
        f"text {{ font: {SIZE}px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace;"
        f" fill: {FOREGROUND} }}",
        ".past { visibility: hidden }",
        "@keyframes show { from, to { visibility: visible } }",
        "@keyframes hide { from, to { visibility: hidden } }",
        "@media (prefers-reduced-motion: no-preference) {",
        ".past { animation-name: show }",
        ".end { animation-name: hide }",
        "}",
        "</style>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
    ]
    lines += [f'<circle cx="{MARGIN + 2 + 20 * index}" cy="{BAR // 2}" r="6" fill="{color}"/>'
              for index, color in enumerate(["#ff5f57", "#febc2e", "#28c840"])]
    for row, runs, begin, end in shown:
        y = BAR + LINE * row + SIZE
        if end is None:
            group = f'<g class="end" style="animation-duration:{begin:.2f}s">' if begin else "<g>"
        else:
            group = f'<g class="past" style="animation-duration:{end - begin:.2f}s;animation-delay:{begin:.2f}s">'
        lines.append(group + "".join(text(y, *run) for run in runs) + "</g>")
    return "\n".join([*lines, "</svg>"]) + "\n"


def text(y, column, content, style):
    """A run of characters, as wide as in a terminal in any font."""
    stripped = content.strip(" ")
    column += len(content) - len(content.lstrip(" "))
    color, bold, dim = style
    attributes = f' style="fill:{color or DIM}"' if color or dim else ""
    attributes += ' font-weight="bold"' if bold else ""
    attributes += ' opacity="0.6"' if dim and color else ""
    escaped = escape(stripped).replace(" ", NO_BREAK_SPACE)
    return (f'<text x="{MARGIN + column * CELL:.1f}" y="{y}" textLength="{len(stripped) * CELL:.1f}"'
            f'{attributes}>{escaped}</text>')


@contextlib.contextmanager
def sandbox(program):
    """The address of a sandbox that ends with the block."""
    command = [program, "sandbox", "--port", "0", "--key", KEY, "--tasks", str(TASKS[-1]), *SANDBOX]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            for line in process.stdout:
                if address := re.search(r"http://[0-9.:]+", line):
                    yield address[0]
                    return
            sys.exit("the sandbox did not start")
        finally:
            process.terminate()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("picture", type=pathlib.Path)
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    with tempfile.TemporaryDirectory() as directory, sandbox(program) as address:
        pathlib.Path(directory, "ids.txt").write_text("".join(f"task_{number}\n" for number in TASKS))
        frames = record(directory, {
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "HOME": directory,
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
            "PS1": PROMPT,
            "SCALE_API_KEY": KEY,
            "SCALE_API_URL": address,
        })
    arguments.picture.write_text(draw(frames))
    print(f"{arguments.picture}: {len(frames)} frames, {frames[-1][0]:.1f} s")


main()
