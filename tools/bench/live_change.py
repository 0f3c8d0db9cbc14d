# SPDX-License-Identifier: Apache-2.0
"""How soon calls obey a limit that changes: an agent calls without a pause while its cap is closed and opened again."""
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time

import sandbox

AGENT = "bench-live"
OPEN, CLOSED = 1000000000, 1
SETTLED_SECONDS = 0.15  # after a change: far longer than any call
FIRST_SECONDS = 20

# One call after the other on one connection; a line each: when it was sent, and whether it was served.
CALLER = """
import http.client, ssl, socket, sys, time
body = open(sys.argv[1], 'rb').read()
context = ssl.create_default_context()
def connect():
    raw = socket.create_connection((sys.argv[2], 443))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body are two writes
    connection = http.client.HTTPConnection(sys.argv[3])
    connection.sock = context.wrap_socket(raw, server_hostname=sys.argv[3])
    return connection
connection = connect()
while True:
    sent = time.monotonic_ns()
    connection.request('POST', '/v1/chat/completions', body, {'content-type': 'application/json'})
    answer = connection.getresponse()
    answer.read()
    print(sent, int(answer.status == 200), flush=True)
    if answer.will_close:
        connection = connect()
"""


class ApiConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("api")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def by_command(proxy, limit):
    subprocess.run([proxy.programs / "spendgate", "budget", "set", AGENT, "--max-requests", str(limit)],
                   env=proxy.environment(), check=True, capture_output=True)


def by_api(proxy, limit):
    connection = ApiConnection(proxy.directory / "run" / "api.sock")
    connection.request("PATCH", f"/v1/budgets/{AGENT}", json.dumps({"max_requests": limit}),
                       {"authorization": f"Bearer {proxy.token}", "content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"the control API answers {answer.status}")
    connection.close()


def by_file(proxy, limit):
    folder = proxy.governance / AGENT
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / ".new"
    written.write_text(json.dumps({"max_requests": limit}))
    os.rename(written, folder / "budget.json")


# The file first: what the others set is stronger.
WAYS = {"a governance file": by_file, "spendgate budget set": by_command, "the control API": by_api}


class Caller:
    """The agent, and what its calls were answered."""

    def __init__(self, proxy):
        words = [*proxy.run_prefix(AGENT), sys.executable, "-c", CALLER, proxy.directory / "json.request",
                 proxy.address.rpartition(":")[0], sandbox.HOST]
        self.process = subprocess.Popen([str(word) for word in words], env=proxy.environment(), stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, bufsize=0)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest = b""

    def calls(self):
        """(sent, served) of the calls that ended since it was asked last."""
        text = self.rest + (self.process.stdout.read() or b"")
        *lines, self.rest = text.split(b"\n")
        return [tuple(int(word) for word in line.split()) for line in lines]

    def wait_for_calls(self):
        deadline = time.monotonic() + FIRST_SECONDS
        while not self.calls():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError("its agent makes no calls")
            time.sleep(0.01)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def change(proxy, caller, way, limit):
    """How long after the change a call was sent that did not obey it yet: 0 when none was; and from one call to the next.
    In milliseconds."""
    caller.calls()
    way(proxy, limit)
    returned = time.monotonic_ns()
    time.sleep(SETTLED_SECONDS)
    calls = caller.calls()
    wanted = int(limit == OPEN)
    if len(calls) < 2 or calls[-1][1] != wanted:
        raise RuntimeError("a change is not obeyed")
    late = [sent for sent, served in calls if sent > returned and served != wanted]
    return (max(late, default=returned) - returned) / 1e6, (calls[-1][0] - calls[0][0]) / (len(calls) - 1) / 1e6


def measure(proxy, changes, problems):
    made = {}
    try:
        caller = Caller(proxy)
        try:
            caller.wait_for_calls()
            for title, way in WAYS.items():
                late, steps = zip(*(change(proxy, caller, way, limit)
                                    for _ in range(changes // 2) for limit in (CLOSED, OPEN)))
                made[title] = {"changes": len(late), "p50_ms": round(statistics.median(late), 3),
                               "most_ms": round(max(late), 3), "step_ms": round(statistics.median(steps), 3)}
        finally:
            caller.stop()
    except (RuntimeError, OSError, subprocess.CalledProcessError) as problem:
        problems.append(f"spendgate, limits that change: {problem}")
    return made
