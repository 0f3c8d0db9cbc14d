# SPDX-License-Identifier: Apache-2.0
"""How soon the connections of an agent have ended that is cut off: the last one of them, of each kind as many."""
import json
import statistics
import subprocess
import sys
import time

import live_change
import sandbox

AGENT = "bench-cut"
CONNECTIONS = 50  # to the provider, and as many of loopback
BREAKER = '{"refusals": 1, "action": "cut", "cooldown": "1ms"}'

# "open": connects, and tells that it has; then when the last of its connections has ended. "call" is the same with a call, which is
# refused, and the moment at which it was sent.
AGENT_PROGRAM = """
import http.client, select, socket, ssl, sys, time
body = open(sys.argv[1], 'rb').read()
address, host, count = sys.argv[2], sys.argv[3], int(sys.argv[4])
server = socket.create_server(('127.0.0.1', 0), backlog=count)
context = ssl.create_default_context()
for line in sys.stdin:
    sockets = [socket.create_connection((address, 443)) for _ in range(count)]
    for _ in range(count):
        sockets += [socket.create_connection(server.getsockname()), server.accept()[0]]
    sent = 0
    if line.strip() == 'call':
        raw = socket.create_connection((address, 443))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body are two writes
        caller = http.client.HTTPConnection(host)
        caller.sock = context.wrap_socket(raw, server_hostname=host)
    watch = select.epoll()
    for one in sockets:
        watch.register(one, 0)
    print('ready', flush=True)
    if line.strip() == 'call':
        sent = time.monotonic_ns()
        caller.request('POST', '/v1/chat/completions', body, {'content-type': 'application/json'})
    left = len(sockets)
    while left:
        for number, _ in watch.poll(10):
            watch.unregister(number)
            left -= 1
            last = time.monotonic_ns()
    print(sent, last, flush=True)
    for one in sockets:
        one.close()
"""


def command(proxy, *words):
    subprocess.run([proxy.programs / "spendgate", *words], env=proxy.environment(), check=True, capture_output=True)


def by_api(proxy):
    connection = live_change.ApiConnection(proxy.directory / "run" / "api.sock")
    connection.request("POST", f"/v1/cut/{AGENT}", headers={"authorization": f"Bearer {proxy.token}"})
    if connection.getresponse().status != 202:
        raise RuntimeError("the control API does not cut it off")
    connection.close()


def by_command(proxy):
    command(proxy, "cut", AGENT)


# The last one by the agent's own call.
WAYS = {"the control API": by_api, "spendgate cut, its own start with it": by_command, "a breaker, at a refused call": None}


def cut(proxy, agent, way):
    """Milliseconds from the order, or the call, to the end of the last connection."""
    agent.stdin.write("open\n" if way else "call\n")
    if agent.stdout.readline() != "ready\n":
        raise RuntimeError("its agent does not connect")
    ordered = time.monotonic_ns()
    if way:
        way(proxy)
    sent, last = map(int, agent.stdout.readline().split())
    command(proxy, "resume", AGENT)
    return (last - (sent or ordered)) / 1e6


def measure(proxy, cuts, problems):
    made = {}
    words = [*proxy.run_prefix(AGENT), sys.executable, "-c", AGENT_PROGRAM, proxy.directory / "json.request",
             proxy.address.rpartition(":")[0], sandbox.HOST, CONNECTIONS]
    with subprocess.Popen([str(word) for word in words], env=proxy.environment(), text=True, bufsize=1,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as agent:
        try:
            for title, way in WAYS.items():
                if not way:
                    command(proxy, "budget", "set", AGENT, "--limit-usd", "0.000000001", "--field", f"breaker={BREAKER}")
                taken = sorted(cut(proxy, agent, way) for _ in range(cuts))
                made[title] = {"cuts": cuts, "connections": 3 * CONNECTIONS, "p50_ms": round(statistics.median(taken), 3),
                               "p99_ms": round(taken[int(len(taken) * 0.99)], 3), "most_ms": round(taken[-1], 3)}
        except (RuntimeError, OSError, ValueError, subprocess.CalledProcessError) as problem:
            problems.append(f"spendgate, agents that are cut off: {problem}")
        agent.terminate()
    return made
