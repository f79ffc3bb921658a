"""Nobody takes the ring: forged gossip and forged requests between nodes change neither members nor owners nor data,
with a gossip key and without; who is told an address at which it is not found is not let in."""

import os
import socket
import struct
import uuid

import pytest

import harness
import hosts
from test_gossip_key import metric, new_key, write_keys

MASK = 0xFFFFFFFF
PEER_REQUEST, PEER_REPLY = 3, 4


# ---- Messages of proto/cluster.proto, by hand -------------------------------------------------------------------


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, value):
    """bytes are length-delimited, int a varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed(number, value, width):
    return varint(number << 3 | (5 if width == 4 else 1)) + value.to_bytes(width, "little")


def xxh32(text):
    """Of less than 16 bytes."""
    p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393

    def turn(x, bits):
        return (x << bits | x >> (32 - bits)) & MASK

    acc = p5 + len(text) & MASK
    while len(text) >= 4:
        acc = turn(acc + int.from_bytes(text[:4], "little") * p3 & MASK, 17) * p4 & MASK
        text = text[4:]
    for byte in text:
        acc = turn(acc + byte * p5 & MASK, 11) * p1 & MASK
    acc = (acc ^ acc >> 15) * p2 & MASK
    acc = (acc ^ acc >> 13) * p3 & MASK
    return acc ^ acc >> 16


def member(node_id, port, incarnation, state=0):
    return (field(1, node_id) + field(2, b"evil") + field(3, b"127.0.0.1") + field(4, port) + field(10, 1)
            + field(11, incarnation) + field(12, state) + field(14, incarnation))


def holdings(node_id, epoch, partitions=1024):
    everything = b"\xff" * (partitions // 8)
    return field(1, node_id) + field(2, epoch) + field(3, 1 << 20) + field(4, everything) + field(5, everything)


def gossip(sender, receiver, epoch, broadcasts, body=b""):
    return (fixed(1, xxh32(b"gyre"), 4) + field(2, 1) + field(3, sender) + fixed(4, 1, 8) + body
            + b"".join(field(9, each) for each in broadcasts) + field(10, receiver) + field(11, epoch)
            + field(12, 1 << 60) + field(99, bytes(96)))


def forged_datagrams(sender, receiver, others, port):
    """Whatever could take a ring: a death, a removal, another's address, everything held."""
    now = 1 << 41
    for about in [sender, receiver, *others]:
        for broadcast in (field(1, member(about, port, now)), field(2, field(1, about) + field(2, now) + field(3, sender)),
                          field(3, field(1, about) + field(2, now) + field(3, sender)), field(4, holdings(about, now)),
                          field(5, field(1, about) + field(3, 1) + field(4, 1000) + field(5, 1)),
                          field(5, field(1, about) + field(3, 1) + field(4, 1001) + field(5, 1) + field(6, 1)),
                          field(6, field(1, 1000) + field(2, sender) + field(3, 1))):
            yield gossip(sender, receiver, now, [broadcast])
    yield gossip(sender, receiver, now, [], field(5, field(1, 7) + field(2, receiver)))


def peer_requests(sender, receiver, port):
    """{name: an encoded PeerRequest}"""
    partitions = b"".join(varint(each) for each in range(1024))
    grants = b"".join(field(2, field(1, each) + field(2, sender) + field(2, receiver)) for each in range(1024))
    mutation = field(1, 5) + field(2, b"taken") + field(3, b"evil") + fixed(4, 1 << 60, 8)
    state = (fixed(1, xxh32(b"gyre"), 4) + field(2, sender) + field(3, 1024) + field(4, 2)
             + field(5, member(sender, port, 1 << 41)) + field(6, holdings(sender, 1 << 41)))
    return {
        "replicate": field(1, b"".join(field(1, field(1, each) + mutation[2:]) for each in range(1024))),
        "flush": field(1, b"".join(field(2, field(1, each) + fixed(2, 1 << 60, 8)) for each in range(1024))),
        "pull": field(2, field(1, sender) + field(2, 5)),
        "handover": field(3, field(1, sender) + field(2, partitions)),
        "take_over": field(4, field(1, sender) + grants),
        "resync": field(5, field(1, sender) + field(2, partitions)),
        "versions": field(7, field(1, sender) + field(2, 5) + field(4, 100)),
        "push_pull": field(8, state),
        "two in one": field(8, state) + field(4, field(1, sender) + grants),
        "confirm_down": field(9, field(1, receiver) + field(2, 1)),
        "offer": field(27, field(1, mutation) + field(2, sender) + field(3, 5)),
        "relay": field(45, field(1, receiver) + field(2, 3) + field(3, field(2, field(1, sender) + field(2, 5)))),
        "identify": field(46, field(1, sender) + field(2, receiver) + field(99, bytes(96))),
    }


def frame(kind, payload, number=1):
    return b"GY" + bytes([1, kind]) + struct.pack("<IQ", len(payload), number) + payload


def answer(node, payloads):
    """The frames that come back for these requests on one connection, [(type, payload)]; fewer where it closes."""
    got = []
    with socket.create_connection((node.host, node.port), 5 * harness.PATIENCE) as link:
        for number, payload in enumerate(payloads, 1):
            link.sendall(frame(PEER_REQUEST, payload, number))
        stream = link.makefile("rb")
        while len(got) < len(payloads):
            header = stream.read(16)
            if len(header) < 16:
                break
            size, _ = struct.unpack("<IQ", header[4:])
            got.append((header[3], stream.read(size)))
    return got


# ---- The ring and what it must keep -----------------------------------------------------------------------------


RECORDS = {f"k:{n}".encode(): b"%d" % n for n in range(300)}


@pytest.fixture(params=["without a key", "with a key"])
def ring(request, tmp_path):
    flags = {}
    if request.param == "with a key":
        flags["--gossip-key"] = write_keys(tmp_path / "gossip.key", new_key())
    with harness.Ring(3, flags) as made:
        with made.nodes[0].resp() as client:
            for key, value in RECORDS.items():
                client.call("SET", key, value)
        yield made


def ids(ring):
    by_name = {m["name"]: m["id"] for m in ring.nodes[0].status()["members"]}
    return [uuid.UUID(by_name[node.name]).bytes for node in ring.nodes]


def portrait(ring):
    """What no stranger may change."""
    return [(sorted((m["id"], m["name"], m["host"], m["port"], m["state"], m["on_ring"]) for m in node.status()["members"]),
             node.owners()) for node in ring.nodes]


def assert_unharmed(ring, before):
    for node in ring.nodes:
        with node.resp() as client:
            assert client.call("GET", "taken") is None
            for key, value in RECORDS.items():
                assert client.call("GET", key) == value
    assert portrait(ring) == before
    for node in ring.nodes:
        assert metric(node, "gyre_gossip_deaths_total") == 0, node.name
        assert "rebalance paused" not in node.log()


def refused(node):
    samples = harness.parse_metrics(node.http("/metrics")[1])
    return sum(value for name, value in samples.items()
               if name.split("{")[0] in ("gyre_gossip_datagrams_strange_total", "gyre_gossip_datagrams_forged_total",
                                         "gyre_gossip_refused_total"))


def test_forged_datagrams_change_nothing(ring):
    before, members = portrait(ring), ids(ring)
    count = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        for speaker in [os.urandom(16), *members]:
            for node, receiver in zip(ring.nodes, members):
                if speaker == receiver:
                    continue
                others = [each for each in members if each not in (speaker, receiver)]
                for datagram in forged_datagrams(speaker, receiver, others, sender.getsockname()[1]):
                    sender.sendto(datagram, (node.host, node.port))
                    count += node is ring.nodes[0]
        harness.wait_for(lambda: refused(ring.nodes[0]) >= count, f"n1 has refused {count} datagrams")
        sender.settimeout(0.2)
        with pytest.raises(TimeoutError):
            raise AssertionError(f"a stranger was answered: {sender.recv(2000)}")
    assert_unharmed(ring, before)


def test_requests_between_nodes_are_refused_from_others(ring):
    before, members = portrait(ring), ids(ring)
    victim = ring.nodes[0]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        for speaker in (os.urandom(16), members[1]):
            requests = peer_requests(speaker, members[0], unused.getsockname()[1])
            for name, payload in requests.items():
                for _, reply in answer(victim, [requests["identify"], payload])[1:]:
                    assert_says_nothing(name, reply)
    assert_unharmed(ring, before)


def assert_says_nothing(name, reply):
    error = reply[:1] == b"\x7a"  # PeerReply.error
    if name in ("push_pull", "two in one") and not error:
        assert b"k:" not in reply and len(reply) < 400, (name, reply)
    else:
        assert error or b"gossip key" in reply, (name, reply)


@pytest.mark.skipif(os.geteuid() != 0, reason="to capture datagrams needs root")
def test_captured_datagrams_are_of_no_use_at_another_node(ring):
    source, target, other = ring.nodes
    before = portrait(ring)
    ports = struct.pack(">HH", source.port, other.port)
    captured = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0800)) as wire:
        wire.bind(("lo", 0))
        wire.settimeout(5 * harness.PATIENCE)
        while len(captured) < 6:
            packet = wire.recv(65536)[14:]
            ip_header = (packet[0] & 15) * 4
            if packet[9] == 17 and packet[ip_header:ip_header + 4] == ports:
                captured.append(packet[ip_header + 8:])
    already = metric(target, "gyre_gossip_datagrams_forged_total")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in set(captured):
            sender.sendto(datagram, (target.host, target.port))
    harness.wait_for(lambda: metric(target, "gyre_gossip_datagrams_forged_total") >= already + len(set(captured)),
                     "each of them was refused")
    assert_unharmed(ring, before)


# ---- Addresses --------------------------------------------------------------------------------------------------


needs_hosts = pytest.mark.skipif(bool(hosts.unavailable()), reason=str(hosts.unavailable()))


@needs_hosts
def test_a_joiner_whose_address_means_nothing_to_others_is_not_let_in():
    """It forgot --host: 127.0.0.1 is each of them to itself."""
    switch = hosts.Hosts(3)
    try:
        with harness.Ring(2, hosts=switch) as ring:
            before = portrait(ring)
            lost = harness.Node("lost", ring.directory, within=switch.within(2))
            try:
                lost.start(join=ring.nodes[:1], wait=False)
                harness.wait_for(lambda: "start it with --advertise" in lost.log(), f"it is told why: {lost.log()}")
                harness.wait_for(lambda: "--advertise" in ring.nodes[0].log(), "and so is the ring's operator")
            finally:
                lost.kill()
            assert portrait(ring) == before
    finally:
        switch.close()


@needs_hosts
def test_what_is_advertised_is_what_others_are_told(tmp_path):
    """As in a container: each listens on all its addresses."""
    switch = hosts.Hosts(2)
    nodes = []
    try:
        for index in range(2):
            node = harness.Node(f"n{index + 1}", tmp_path, host=switch.address(index), within=switch.within(index))
            node.flags |= {"--host": "0.0.0.0", "--advertise": switch.address(index)}
            nodes.append(node)
            node.start(join=nodes[:index])

        def told(node):
            return {f"{m['host']}:{m['port']}" for m in node.status()["members"] if m["on_ring"]}

        addresses = {node.address for node in nodes}
        harness.wait_for(lambda: all(told(node) == addresses for node in nodes), "the ring of two")

        def owners():
            with nodes[0].cluster_resp() as client:
                return {owner[0].decode() for _, _, owner, *_ in client.call("CLUSTER", "SLOTS")}

        harness.wait_for(lambda: owners() == {node.host for node in nodes}, "both own slots, by their addresses")
    finally:
        for node in nodes:
            node.kill()
        switch.close()
