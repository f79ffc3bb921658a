"""Fixtures: one node and one ring of three that the tests of a run share, emptied before each test.

A test that kills, fills or stops nodes starts its own (`harness.Ring`). Should a shared one have been hurt all the
same, the next test gets a new one.
"""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402


class _Shared:
    def __init__(self, count):
        self.count = count
        self.ring = None

    def get(self):
        if self.ring is not None and len(self.ring.running()) != self.count:
            self.ring.print_logs()
            self.close()
        if self.ring is None:
            self.ring = harness.Ring(self.count)
        return self.ring

    def close(self):
        if self.ring is not None:
            self.ring.close()
            self.ring = None


@pytest.fixture(scope="session")
def _single():
    shared = _Shared(1)
    yield shared
    shared.close()


@pytest.fixture(scope="session")
def _three():
    shared = _Shared(3)
    yield shared
    shared.close()


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, "failed_in_" + report.when, report.failed)


def _lend(shared, request):
    ring = shared.get()
    ring.flush()
    yield ring
    if getattr(request.node, "failed_in_call", False):
        ring.print_logs()


@pytest.fixture
def node(_single, request):
    """A single node with nothing in it."""
    for ring in _lend(_single, request):
        yield ring.nodes[0]


@pytest.fixture
def ring(_three, request):
    """Three nodes, one ring, nothing in it."""
    yield from _lend(_three, request)


@pytest.fixture(scope="session")
def redis():
    """The port of a redis-server."""
    with harness.redis_server() as port:
        yield port


@pytest.fixture(scope="session")
def memcached():
    """The port of a memcached."""
    with harness.memcached_server() as port:
        yield port
