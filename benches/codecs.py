#!/usr/bin/env python3
"""CPU time and size of a journal by codec and block size, for a file of JSON lines.

    python3 -m venv target/codecs && target/codecs/bin/pip install zstandard lz4
    target/codecs/bin/python benches/codecs.py tasks.jsonl

Contexts are reused between blocks, as in the program. Fastest of five rounds.
"""

import argparse
import time

import lz4.block
import zstandard

ROUNDS = 5
BLOCKS = {"a task": 0, "64 KiB": 64 << 10, "256 KiB": 256 << 10}
LEVELS = (-7, -3, -1, 1, 2, 3)
SAMPLES, DICTIONARY_BYTES = 600, 64 << 10


def blocks(lines, size):
    """Groups of lines with at least this many bytes."""
    block, held = [], 0
    for line in lines:
        block.append(line)
        held += len(line)
        if held >= size:
            yield b"\n".join(block)
            block, held = [], 0
    if block:
        yield b"\n".join(block)


def fastest(work, things):
    """The results of the work, and the CPU time of the fastest round."""
    taken = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        out = [work(thing) for thing in things]
        taken.append(time.process_time() - begin)
    return out, min(taken)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lines", help="tasks, one per line")
    with open(parser.parse_args().lines, "rb") as file:
        lines = file.read().splitlines()
    size = sum(map(len, lines))
    codecs = {"lz4": (lz4.block.compress, lz4.block.decompress)}
    for level in LEVELS:
        compressor = zstandard.ZstdCompressor(level=level, write_checksum=False)
        codecs[f"zstd {level}"] = (compressor.compress, zstandard.ZstdDecompressor().decompress)
    if len(lines) >= 2 * SAMPLES:
        # Trained on the tasks themselves, which a journal does not know in advance.
        samples = lines[:: len(lines) // SAMPLES][:SAMPLES]
        trained = zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=1)
        trained.precompute_compress(level=1)
        compressor = zstandard.ZstdCompressor(level=1, write_checksum=False, dict_data=trained)
        decompressor = zstandard.ZstdDecompressor(dict_data=trained)
        codecs["zstd 1 with a dictionary"] = (compressor.compress, decompressor.decompress)
    print("| codec | block | ratio | written, MB/s | read, MB/s |\n|---|---|--:|--:|--:|")
    for name, (compress, decompress) in codecs.items():
        for block, bytes_ in BLOCKS.items():
            packed, writing = fastest(compress, list(blocks(lines, bytes_)))
            _, reading = fastest(decompress, packed)
            smaller = size / sum(map(len, packed))
            print(f"| {name} | {block} | {smaller:.2f} | {size / writing / 1e6:,.0f} | {size / reading / 1e6:,.0f} |")


main()
