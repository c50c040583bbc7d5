#!/usr/bin/env python3
"""What a codec and the size of its blocks cost a journal: processor time and size, for JSON lines of your own.

    python3 -m venv target/codecs && target/codecs/bin/pip install zstandard lz4
    target/codecs/bin/python benches/codecs.py tasks.jsonl

The contexts are kept from one block to the next, as the program keeps them. Fastest of five rounds.
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
    """Lines, gathered until they have so many bytes."""
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
    """What it gives, and the processor time it takes."""
    taken = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        out = [work(thing) for thing in things]
        taken.append(time.process_time() - begin)
    return out, min(taken)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lines", help="tasks, one a line")
    with open(parser.parse_args().lines, "rb") as file:
        lines = file.read().splitlines()
    size = sum(map(len, lines))
    codecs = {"lz4": (lz4.block.compress, lz4.block.decompress)}
    for level in LEVELS:
        compressor = zstandard.ZstdCompressor(level=level, write_checksum=False)
        codecs[f"zstd {level}"] = (compressor.compress, zstandard.ZstdDecompressor().decompress)
    if len(lines) >= 2 * SAMPLES:
        # Of the tasks themselves: more than a journal can know beforehand.
        samples = lines[:: len(lines) // SAMPLES][:SAMPLES]
        trained = zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=1)
        trained.precompute_compress(level=1)
        compressor = zstandard.ZstdCompressor(level=1, write_checksum=False, dict_data=trained)
        decompressor = zstandard.ZstdDecompressor(dict_data=trained)
        codecs["zstd 1 with a dictionary"] = (compressor.compress, decompressor.decompress)
    print("| codec | a block is | smaller by | written, MB/s | read, MB/s |\n|---|---|--:|--:|--:|")
    for name, (compress, decompress) in codecs.items():
        for block, bytes_ in BLOCKS.items():
            packed, writing = fastest(compress, list(blocks(lines, bytes_)))
            _, reading = fastest(decompress, packed)
            smaller = size / sum(map(len, packed))
            print(f"| {name} | {block} | {smaller:.2f} | {size / writing / 1e6:,.0f} | {size / reading / 1e6:,.0f} |")


main()
