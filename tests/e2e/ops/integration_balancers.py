"""A real HAProxy and a real NGINX in front of a real ring, with the configurations that are shipped: no client sees that
nodes are drained, restarted and added.

Run by scripts/test --integrations, which installs what this needs; the name keeps it out of a plain run of pytest.
"""

import http.server
import threading
import time

import pytest

import balancers
import harness
from client_load import CLIENTS, Load


@pytest.fixture
def ring():
    with harness.Ring(0) as ring:
        for _ in range(3):
            add(ring)
        ring.wait_settled(3)
        yield ring


def add(ring):
    port = harness.free_port()
    node = ring.add(flags={"--agent-port": port, "--proxy-protocol": None, "--write-acks": "2"})
    node.agent_port = port
    return node


def through(proxy):
    return Load(lambda: harness.Resp(proxy.redis_port, timeout=10))


def test_haproxy_no_client_sees_that_nodes_are_restarted_drained_and_added(ring):
    with balancers.HAProxy(ring.nodes) as proxy:
        with through(proxy) as load:
            for node in list(ring.nodes):
                load.progress()
                assert node.terminate() == 0
                node.start(wait=True)
                proxy.wait_up()
            new = add(ring)
            ring.wait_settled(4)
            proxy.reload(ring.nodes)
            load.progress()
            drained = ring.nodes[0]
            assert harness.gyre("drain", drained.name, node=new, seconds=120).status == 0
            harness.wait_for(lambda: "DRAIN" in proxy.servers()[drained.name]["status"] or
                             proxy.servers()[drained.name]["agent_status"] == "L7STS", "haproxy hears of the drain", 10)
            load.progress()
            assert drained.terminate() == 0
            load.progress()
        load.check()
        assert load.requests > 2000, "it was a load"


def test_haproxy_a_killed_node_costs_what_was_in_flight_to_it(ring):
    with balancers.HAProxy(ring.nodes) as proxy:
        with through(proxy) as load:
            load.progress()
            ring.nodes[1].kill()
            time.sleep(3)
            load.progress()
        assert len(load.problems) <= CLIENTS, load.problems
        harness.wait_for(lambda: proxy.servers()[ring.nodes[1].name]["status"].startswith("DOWN"), "it is down", 10)
        load.problems.clear()
        load.check()


def test_haproxy_weighs_by_load_and_shows_the_clients(ring):
    with balancers.HAProxy(ring.nodes) as proxy:
        with harness.Resp(proxy.redis_port) as client:
            client.call("CLIENT", "SETNAME", "me")
            mine = [line for line in client.call("CLIENT", "LIST").decode().splitlines() if " name=me " in line]
            host, port = client.socket.getsockname()
            assert f" addr={host}:{port} " in mine[0], "the client's address, not the proxy's"
        weights = {name: int(row["weight"]) for name, row in proxy.servers().items()}
        assert all(10 <= weight <= 100 for weight in weights.values()), weights
        with harness.Resp(ring.nodes[0].resp_port) as direct:
            with pytest.raises(harness.ReplyError, match="--proxy-protocol"):
                direct.call("PING")
        with harness.Resp(proxy.memcached_port) as client:
            client.send_raw(b"set m 0 0 3\r\nabc\r\nget m\r\n")
            assert [client._line() for _ in range(4)] == [b"STORED", b"VALUE m 0 3", b"abc", b"END"]


class Application(http.server.BaseHTTPRequestHandler):
    made = 0

    def do_GET(self):
        type(self).made += 1
        body = f"{self.path} made {self.made}".encode()
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def application():
    Application.made = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def plain_ring():
    with harness.Ring(3) as ring:
        yield ring


def test_nginx_keeps_pages_in_the_ring(plain_ring, application):
    with balancers.Nginx(plain_ring.nodes, application) as nginx:
        first = nginx.get("/page?a=1&b=2%20c")
        assert first[0] == 200 and first[2]["X-Cache"] in ("MISS", "STORE")
        harness.wait_for(lambda: nginx.get("/page?a=1&b=2%20c")[2]["X-Cache"] == "HIT", "it is kept", 5)
        made = Application.made
        for _ in range(20):
            assert nginx.get("/page?a=1&b=2%20c")[:2] == first[:2]
        assert Application.made == made, "the application is spared"
        assert nginx.get("/page?a=1&b=3")[1] != first[1], "another query is another page"
        # What belongs to a user is neither kept nor served to others.
        mine = nginx.get("/mine", {"Authorization": "Basic eA=="})[1]
        assert nginx.get("/mine", {"Authorization": "Basic eA=="})[1] != mine
        assert nginx.get("/missing")[0] == 404
        with plain_ring.nodes[1].resp() as client:
            pages = [key for key in client.call("KEYS", "page:*")]
            assert len(pages) >= 2
            assert 0 < client.call("TTL", pages[0]) <= 60
        plain_ring.nodes[0].kill()
        for number in range(30):
            status, body, _ = nginx.get(f"/other/{number}")
            assert status == 200 and body.startswith(f"/other/{number} ".encode())


def test_nginx_serves_values_and_asks_the_application_for_others(plain_ring, application):
    with balancers.Nginx(plain_ring.nodes, application) as nginx:
        with plain_ring.nodes[0].resp() as client:
            client.call("SET", "greeting", "hello\r\nworld")
        assert nginx.get("/value/greeting")[:2] == (200, b"hello\r\nworld")
        assert Application.made == 0
        assert nginx.get("/value/none")[1].startswith(b"/")
        assert Application.made == 1
        for node in plain_ring.nodes:
            node.kill()
        assert nginx.get("/value/greeting")[0] == 200, "without the ring the application is asked"
        assert nginx.get("/page")[0] == 200


def test_nginx_passes_resp_with_the_clients_addresses(ring):
    with balancers.Nginx(ring.nodes, harness.free_port()) as nginx:
        with harness.Resp(nginx.resp_port) as client:
            client.call("SET", "k", "v")
            assert client.call("GET", "k") == b"v"
            client.call("CLIENT", "SETNAME", "me")
            mine = [line for line in client.call("CLIENT", "LIST").decode().splitlines() if " name=me " in line]
            host, port = client.socket.getsockname()
            assert f" addr={host}:{port} " in mine[0]
