"""Real text: at least 200,000 lines go in through the C++ client library and come out through RESP and memcached,
byte for byte."""

import gzip
import os
import pathlib
import re
import subprocess

from pymemcache.client.base import Client
import pytest
import redis as redis_py

import harness

RECORDS_MIN = 200_000
KEY_BYTES_MAX = 200  # memcached allows 250
NO_KEY = re.compile(rb"[\0-\x20\x7f]")  # nor these

# What Debian packages ship: a word list, licences, manual pages, and, where a system comes without those, the
# texts of Perl, Python and the C++ headers.
SOURCES = ["/usr/share/dict/american-english", "/usr/share/common-licenses",
           "/usr/share/man/man1", "/usr/share/man/man2",
           "/usr/share/man/man3", "/usr/share/man/man5", "/usr/share/man/man7", "/usr/share/man/man8",
           "/usr/share/perl", "/usr/share/doc", "/usr/lib/python3", "/usr/include"]


def lines_of(path):
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            yield from file.read().split(b"\n")
    except (OSError, EOFError):
        return


def files_of(source):
    root = pathlib.Path(source)
    if root.is_file():
        return [root]
    return sorted(pathlib.Path(folder) / name for folder, _, names in os.walk(root) for name in names)


def real_records():
    """{key: value}: words are keys themselves; other lines have their file and number as the key."""
    records = {}
    for source in SOURCES:
        for path in files_of(source):
            if path.suffix in (".pyc", ".so", ".png", ".svg", ".xz", ".bz2"):
                continue
            words = path.name == "american-english"
            for number, text in enumerate(lines_of(path)):
                key = text if words else b"%s:%d" % (os.fsencode(path), number)
                if not text or b"\0" in text or len(key) > KEY_BYTES_MAX or NO_KEY.search(key):
                    continue
                records[key] = b"%s is word %d of the list" % (text, number) if words else text
            if len(records) >= RECORDS_MIN + 5000:
                return records
    return records


@pytest.fixture(scope="module")
def loaded():
    records = real_records()
    assert len(records) >= RECORDS_MIN, f"only {len(records)} lines of text on this machine: install manpages, perl-doc"
    with harness.Ring(3) as ring:
        done = subprocess.run(
            [harness.binary("e2e_loader"), ",".join(node.address for node in ring.nodes)],
            input=b"".join(b"%s\t%s\n" % record for record in records.items()), capture_output=True,
            timeout=120 * harness.PATIENCE)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        assert done.stdout == b"stored %d\n" % len(records)
        yield ring, records


def batches(records, size):
    keys = list(records)
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def test_through_resp(loaded):
    ring, records = loaded
    client = redis_py.Redis(port=ring.nodes[2].resp_port, socket_timeout=30)
    assert client.dbsize() == len(records)
    wrong = []
    for keys in batches(records, 2000):
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.get(key)
        wrong += [(key, value, records[key]) for key, value in zip(keys, pipe.execute()) if value != records[key]]
    assert wrong == []


def test_through_memcached(loaded):
    ring, records = loaded
    # Some words have letters beyond ASCII.
    client = Client(("127.0.0.1", ring.nodes[1].memcached_port), timeout=30, allow_unicode_keys=True)
    wrong = []
    for keys in batches(records, 500):
        names = [key.decode("utf-8", "surrogateescape") for key in keys]
        found = {harness.as_bytes(key): value for key, value in client.get_many(names).items()}
        wrong += [(key, found.get(key), records[key]) for key in keys if found.get(key) != records[key]]
    assert wrong == []


def test_the_records_are_spread_over_the_nodes_twice(loaded):
    ring, records = loaded
    held = [node.status()["records"] for node in ring.nodes]
    assert sum(held) == 2 * len(records)
    assert all(0.30 < count / sum(held) < 0.37 for count in held), held
