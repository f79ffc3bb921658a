"""kill -9 of each node in turn, during a write load: with --replicas 2 --write-acks 2 no acknowledged write is lost."""

import harness
from load import Load, Reader, Writer, fill, missing, violations

THREADS = 4
KEYS_PER_THREAD = 400
ROUNDS = harness.soak(1, 10)


def writers(nodes, tag):
    return [Writer(nodes, first, [f"{tag}:{first}:{n}" for n in range(KEYS_PER_THREAD)]) for first in range(THREADS)]


def test_no_acknowledged_write_is_lost():
    records = {f"before:{n}": b"%d" % n * 20 for n in range(2000)}
    with harness.Ring(3, {"--replicas": 2, "--write-acks": 2}) as ring:
        fill(ring.nodes[0], records)
        everything = []
        for number in range(ROUNDS):
            for victim in list(ring.nodes):
                load = Load(*writers(ring.nodes, f"round{number}:{victim.name}"))
                everything += load.writers
                with load:
                    load.wait_progress()
                    victim.kill()
                    # Writes must resume: the survivors take over.
                    load.wait_progress()
                survivors = [node for node in ring.nodes if node is not victim]
                harness.wait_for(lambda: ring_answers(survivors), "the survivors answer for every slot",
                                 30 * harness.PATIENCE)
                # All of them, and none as an unknown outcome: two copies can still be had of every key.
                for node in survivors:
                    fill(node, {f"after:{n}": b"%d" % n for n in range(500)})
                for node in survivors:
                    assert violations(node, everything) == []
                    assert missing(node, records) == []
                ring.restart(victim)
                ring.wait_settled(3)
                assert violations(victim, everything) == []
                assert missing(victim, records) == []


def ring_answers(nodes):
    """Whether each of `nodes` knows a running owner for every slot."""
    ports = {node.cluster_port for node in nodes}
    return all(owner in ports for node in nodes for owner in node.owners())


def test_reads_go_on_after_a_death():
    records = {f"read:{n}": b"%d" % n * 20 for n in range(3000)}
    with harness.Ring(3, {"--replicas": 2, "--write-acks": 2}) as ring:
        fill(ring.nodes[0], records)
        survivors = ring.nodes[:2]
        # Through the survivors only: their connections live on, and a key whose owner died is read from who has it.
        with Load(*[Reader(survivors, first, records) for first in range(2)]) as load:
            load.wait_progress(500)
            ring.nodes[2].kill()
            load.wait_progress(2000)
        misses = [problem for reader in load.readers for problem in reader.problems if ": None instead" in problem]
        assert misses == []
        assert missing(survivors[0], records) == []


def test_a_paused_node_is_replaced_and_comes_back():
    records = {f"paused:{n}": b"%d" % n * 20 for n in range(2000)}
    with harness.Ring(3, {"--replicas": 2, "--write-acks": 2}) as ring:
        fill(ring.nodes[0], records)
        victim, survivors = ring.nodes[2], ring.nodes[:2]
        load = Load(*[Writer(survivors, first, [f"p:{first}:{n}" for n in range(200)]) for first in range(2)])
        with load:
            load.wait_progress()
            victim.pause()
            try:
                harness.wait_for(lambda: ring_answers(survivors), "the survivors took over", 30 * harness.PATIENCE)
                load.wait_progress()
            finally:
                victim.resume()
            ring.wait_settled(3)
            load.wait_progress()
        for node in ring.nodes:
            assert violations(node, load.writers) == []
            assert missing(node, records) == []
