"""HAProxy and NGINX with the configurations that are shipped, around nodes of a test."""

import csv
import io
import pathlib
import re
import shutil
import signal
import socket
import tempfile
import urllib.error
import urllib.request

import harness

DEPLOY = harness.ROOT / "scripts" / "deploy"
SECONDS_MAX = 30 * harness.PATIENCE


class HAProxy(harness.Process):
    """In front of `nodes`, each of which has an `agent_port`."""

    def __init__(self, nodes):
        self.nodes = list(nodes)
        self.redis_port, self.memcached_port = harness.free_port(), harness.free_port()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="haproxy-e2e-"))
        self.socket = self.directory / "admin.sock"
        self.config = self.directory / "haproxy.cfg"
        self.write_config()
        super().__init__("haproxy", ["haproxy", "-W", "-db", "-f", self.config], self.directory / "log")

    def write_config(self):
        text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
        text = text.replace("/run/haproxy/gyre.sock", str(self.socket))
        text = text.replace("bind :6379", f"bind 127.0.0.1:{self.redis_port}")
        text = text.replace("bind :11211", f"bind 127.0.0.1:{self.memcached_port}")
        for port in ("resp_port", "memcached_port"):
            number = {"resp_port": 6379, "memcached_port": 11211}[port]
            servers = "".join(f"    server {node.name} 127.0.0.1:{getattr(node, port)} check port {node.http_port} "
                              f"agent-port {node.agent_port}\n" for node in self.nodes)
            text, count = re.subn(rf"(    server n\d n\d\.example:{number} check\n)+", servers, text)
            assert count == 1, text
        self.config.write_text(text)

    def __enter__(self):
        self.spawn()
        self.wait_up()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(self.log(200))
        self.terminate()
        shutil.rmtree(self.directory, ignore_errors=True)

    def reload(self, nodes):
        self.nodes = list(nodes)
        self.write_config()
        self.signal(signal.SIGUSR2)
        self.wait_up()

    def admin(self, text):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(self.socket))
            link.sendall(text.encode() + b"\n")
            return link.makefile("r").read()

    def servers(self):
        """{node: what `show stat` says of it as a server of Redis}"""
        rows = csv.DictReader(io.StringIO(self.admin("show stat").lstrip("# ")))
        return {row["svname"]: row for row in rows if row["pxname"] == "redis_ring" and row["svname"] != "BACKEND"}

    def wait_up(self):
        def up():
            try:
                servers = self.servers()
            except OSError:
                return False
            return set(servers) == {node.name for node in self.nodes} and all(
                row["status"] == "UP" and row["agent_status"] == "L7OK" for row in servers.values())
        harness.wait_for(up, f"haproxy finds all nodes\n{self.log()}", SECONDS_MAX)


class Nginx(harness.Process):
    """In front of `nodes` and of an application at `application_port`."""

    def __init__(self, nodes, application_port):
        self.port, self.resp_port = harness.free_port(), harness.free_port()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="nginx-e2e-"))
        text = (DEPLOY / "nginx" / "nginx.conf").read_text()
        text = text.replace("load_module modules/", "load_module /usr/lib/nginx/modules/")
        text = text.replace("listen 80;", f"listen 127.0.0.1:{self.port};")
        text = text.replace("listen 6379 ", f"listen 127.0.0.1:{self.resp_port} ")
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{application_port}")
        for number, node in enumerate(nodes, 1):
            text = text.replace(f"n{number}.example:11211", f"127.0.0.1:{node.memcached_port}")
            text = text.replace(f"n{number}.example:6379", f"127.0.0.1:{node.resp_port}")
        paths = "".join(f"    {name}_temp_path {self.directory / name};\n"
                        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        text = text.replace("http {\n", f"http {{\n    access_log off;\n{paths}", 1)
        text = text.replace("worker_processes auto;", f"daemon off;\nuser root;\nworker_processes 1;\n"
                            f"pid {self.directory / 'pid'};\nerror_log {self.directory / 'error.log'};")
        (self.directory / "nginx.conf").write_text(text)
        super().__init__("nginx", ["nginx", "-c", self.directory / "nginx.conf", "-p", self.directory],
                         self.directory / "log")

    def __enter__(self):
        self.spawn()
        harness.wait_for(self.answers, f"nginx answers\n{self.log()}", SECONDS_MAX)
        return self

    def __exit__(self, kind, *_):
        error_log = self.directory / "error.log"
        if kind is not None and error_log.exists():
            print(error_log.read_text()[-4000:])
        self.terminate()
        shutil.rmtree(self.directory, ignore_errors=True)

    def answers(self):
        assert self.alive(), self.log()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def get(self, path, headers=None):
        """(status, body, headers)"""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers
