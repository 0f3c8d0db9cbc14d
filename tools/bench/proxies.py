# SPDX-License-Identifier: Apache-2.0
"""The proxies side by side: how each is started, reached, and what it leaves out."""
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time

import sandbox

START_SECONDS = 30
STOP_SECONDS = 10
CPUCLOCK_SCHED = 2  # linux/posix-timers.h: the run time of a whole process, exited threads included, in nanoseconds


class Missing(Exception):
    """A peer is not there or does not start; the message says which and why."""


def process_tree(root):
    """The process and all its descendants."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    tree, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in tree} - tree
        tree |= more
        grown = bool(more)
    return sorted(tree)


class Proxy:
    name = ""
    leaves_out = ""
    address = ""
    port = 0

    def __init__(self, directory):
        self.directory = directory
        self.process = None
        self.answers = 0  # that came through it, all runs together

    def command(self):
        raise NotImplementedError

    def program(self):
        return self.command()[0]

    def most_connections(self):
        return sandbox.proxied_connections()

    def load_prefix(self):
        """What is put before the load client's command, so that it goes through this proxy."""
        return []

    def start(self):
        if not shutil.which(str(self.program())):
            raise Missing(f"{self.name}: {self.program()} is not installed")
        log = (self.directory / f"{type(self).__name__}.log").open("wb")
        self.process = subprocess.Popen([str(word) for word in self.command()], stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=subprocess.STDOUT, start_new_session=True, env=self.environment())
        self.wait_ready()

    def environment(self):
        return dict(os.environ)

    def log_text(self):
        return (self.directory / f"{type(self).__name__}.log").read_text(errors="replace")[-2000:]

    def is_ready(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Missing(f"{self.name} does not start:\n{self.log_text()}")
            time.sleep(0.02)

    def pids(self):
        return process_tree(self.process.pid)

    def cpu_seconds(self):
        return sum(time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED) for pid in self.pids())

    def memory_kib(self, field):
        total = 0
        for pid in self.pids():
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(field + ":"):
                    total += int(line.split()[1])
        return total

    def bind(self, processors):
        """Lets every thread run on these processors alone."""
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), processors)

    def reset_peak(self):
        for pid in self.pids():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def stop(self):
        if not self.process or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Provider(Proxy):
    name = "provider alone"
    leaves_out = "no proxy at all: what is left for one"
    address, port = "127.0.0.1:9443", 9443

    def command(self):
        return ["/usr/sbin/nginx", "-c", sandbox.template("nginx-provider.conf", self.directory)]


class Nginx(Proxy):
    name = "nginx, bare"
    leaves_out = "one fixed leaf, mints none; meters nothing"
    address, port = "127.0.0.1:10446", 10446

    def command(self):
        return ["/usr/sbin/nginx", "-c", sandbox.template("nginx-proxy.conf", self.directory)]


class Haproxy(Proxy):
    name = "haproxy"
    leaves_out = "mints leaves (generate-certificates), verifies the provider, reuses its connections; meters nothing, no budget, no journal"
    address, port = "127.0.0.1:10445", 10445

    def command(self):
        return ["/usr/sbin/haproxy", "-db", "-f", sandbox.template("haproxy.cfg", self.directory)]


class Sslsplit(Proxy):
    name = "sslsplit"
    leaves_out = "mints leaves; does not verify the provider, a provider connection for each of the client's; meters nothing"
    address, port = "127.0.0.1:10447", 10447

    def command(self):
        return ["/usr/bin/sslsplit", "-k", self.directory / "ca.key", "-c", self.directory / "ca.pem", "-K",
                self.directory / "leaf.key", "-P", "https", "127.0.0.1", "10447", "127.0.0.1", "9443"]


class Mitmproxy(Proxy):
    name = "mitmproxy"
    leaves_out = "mints leaves; does not verify the provider; parses every message, streams none smaller than 16 KiB; meters nothing"
    address, port = "127.0.0.1:10448", 10448

    def command(self):
        return ["/usr/bin/mitmdump", "-q", "--mode", "reverse:https://127.0.0.1:9443", "-p", "10448", "--set",
                "ssl_insecure=true", "--set", "stream_large_bodies=16k", "--set", f"confdir={self.directory}/mitmproxy",
                "--set", "flow_detail=0"]


class Spendgate(Proxy):
    name = "spendgate"
    leaves_out = "nothing: BPF redirect, leaves, verified provider, usage of every answer, a budget of money and one of calls, journal and ledger"
    address = "203.0.113.10:443"  # documentation address (RFC 5737): only the redirect makes it reachable

    def __init__(self, directory, programs):
        super().__init__(directory)
        self.programs = programs
        self.daemon = programs / "spendgated"
        self.directories = ["--run-dir", directory / "run", "--state-dir", directory / "state", "--pin-dir",
                            directory / "pins" / "spendgate"]
        self.status_file = directory / "status.json"
        self.governance = directory / "governance"
        self.token = secrets.token_hex(32)

    def most_connections(self):
        return sandbox.descriptors() - 1000  # idle ones hold no provider connection

    def environment(self):
        return dict(os.environ, SPENDGATE_RUN_DIR=str(self.directory / "run"),
                    SPENDGATE_STATE_DIR=str(self.directory / "state"),
                    SPENDGATE_PIN_DIR=str(self.directory / "pins" / "spendgate"))

    def command(self):
        configuration = self.directory / "spendgate.json"
        self.governance.mkdir(exist_ok=True)
        principal = {"name": "bench", "token_sha256": hashlib.sha256(self.token.encode()).hexdigest(),
                     "verbs": ["fleet.budget.set", "fleet.agent.cut"], "agents": ["*"]}
        configuration.write_text(json.dumps({"workers": 2, "log_level": "warn", "governance": str(self.governance),
                                             "api": {"principals": [principal]}}))
        return [self.daemon, "--config", configuration, *self.directories]

    def is_ready(self):
        return subprocess.run([self.programs / "spendgate", "status"], env=self.environment(), capture_output=True,
                              check=False).returncode == 0

    def run_prefix(self, agent, *options):
        return [self.programs / "spendgate", "run", "--agent", agent, "--limit-usd", "1000000", "--max-requests",
                "1000000000", "--window", "24h", "--origin", f"{sandbox.HOST}=127.0.0.1:9443", "--upstream-ca",
                self.directory / "ca.pem", *options, "--"]

    def load_prefix(self):
        return self.run_prefix("bench", "--status-file", self.status_file)

    def metered_calls(self):
        """As the ledger remembers for the agent's name, over all its runs."""
        return json.loads(self.status_file.read_text())["calls"]

    def stop(self):
        super().stop()
        subprocess.run([str(word) for word in (self.daemon, "--purge", *self.directories)], capture_output=True,
                       check=False)
