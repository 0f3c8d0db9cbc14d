# SPDX-License-Identifier: Apache-2.0
"""One measurement: the load client through one proxy, and the proxy's CPU time and memory around it."""
import json
import os
import subprocess

import sandbox


class LoadFailed(Exception):
    pass


def read_line(process, what):
    line = process.stdout.readline()
    if not line:
        process.stdin.close()
        raise LoadFailed(f"{what}: the load client ended: {process.stderr.read().strip()[-1000:]}")
    return line


def tell(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def place(proxy, provider, connections):
    """Where proxy and provider may run; returns the prefix that says where the load may.

    One connection is a game of catch between three processes, several times slower across processors than on one, and the
    scheduler's mood decides which it is. So then all run on one: what is measured is the length of the path, for everyone
    alike, and little else. Loads that fill the machine have all of it.
    """
    processors = sorted(os.sched_getaffinity(0))
    chosen = processors[-1:] if connections == 1 else processors
    provider.bind(chosen)
    proxy.bind(chosen)
    return ["taskset", "--cpu-list", ",".join(map(str, chosen))]


def run(load, proxy, provider, scenario, seconds, warm_up):
    """The load's figures, with cpu_us per request, peak_kib and idle memory of the proxy's processes."""
    words = [*proxy.load_prefix(), *place(proxy, provider, scenario.connections), load, "--address", proxy.address,
             "--host", sandbox.HOST, "--body", proxy.directory / f"{scenario.request}.request", "--connections", scenario.connections,
             "--seconds", seconds, "--warm-up", warm_up, *scenario.options]
    with subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=proxy.environment()) as process:
        read_line(process, proxy.name)
        proxy.reset_peak()
        memory, cpu = proxy.memory_kib("VmRSS"), proxy.cpu_seconds()
        tell(process)
        result = json.loads(read_line(process, proxy.name))
        cpu = proxy.cpu_seconds() - cpu
        result["peak_kib"] = proxy.memory_kib("VmHWM")
        result["grown_kib"] = proxy.memory_kib("VmRSS") - memory
        tell(process)
        process.wait()
    proxy.answers += result["requests_with_warm_up"]
    requests = result["requests"]
    result["cpu_us"] = cpu * 1e6 / requests if requests else None
    result["rate"] = requests / result["seconds"]
    return result
