"""Packs the digits' table into the two IDX files that the crate embeds.

    python3 pack_digits.py digits.csv.gz            writes them beside this script
    python3 pack_digits.py --check digits.csv.gz    says whether they hold what they would hold

README.md says where the table comes from.
"""

import gzip
import hashlib
import pathlib
import struct
import sys

SOURCE = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"


def idx(axes, elements):
    """Unsigned bytes of these axes in the IDX format."""
    return struct.pack(f">BBBB{len(axes)}I", 0, 0, 8, len(axes), *axes) + bytes(elements)


def main():
    *options, source = sys.argv[1:] or [""]
    if options not in ([], ["--check"]) or not source:
        sys.exit(__doc__)
    table = pathlib.Path(source).read_bytes()
    if hashlib.sha256(table).hexdigest() != SOURCE:
        sys.exit(f"{source} is not the file that README.md names: its SHA-256 should be {SOURCE}")
    rows = [[int(cell) for cell in line.split(b",")] for line in gzip.decompress(table).splitlines()]
    files = {
        "digits-images-idx3-ubyte.gz": idx((len(rows), 8, 8), (pixel for row in rows for pixel in row[:64])),
        "digits-labels-idx1-ubyte.gz": idx((len(rows),), (row[64] for row in rows)),
    }
    for name, content in files.items():
        path = pathlib.Path(__file__).with_name(name)
        if not options:
            path.write_bytes(gzip.compress(content, 9, mtime=0))
        elif gzip.decompress(path.read_bytes()) != content:
            sys.exit(f"{name} is stale: run this script without --check")


if __name__ == "__main__":
    main()
