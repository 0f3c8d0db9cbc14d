#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""spendgate side by side with HAProxy, nginx, sslsplit and mitmproxy, in one run on one machine. docs/benchmark.md"""
import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import resource
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import cut_off  # noqa: E402
import http2  # noqa: E402
import live_change  # noqa: E402
import measure  # noqa: E402
import proxies  # noqa: E402
import report  # noqa: E402
import sandbox  # noqa: E402

Scenario = collections.namedtuple("Scenario", "key title request connections options body only")
Plan = collections.namedtuple("Plan", "rounds seconds peer_seconds warm_up idle")

FULL = Plan(rounds=5, seconds=0.8, peer_seconds=0.4, warm_up=0.15, idle=10000)
QUICK = Plan(rounds=1, seconds=0.6, peer_seconds=0.4, warm_up=0.1, idle=2000)

STREAM = ("--header", "X-Bench-Answer: stream")
# Slow peers open a connection in milliseconds: 10,000 would take minutes.
IDLE_PROXIES = ("haproxy", "nginx, bare", "spendgate")
# The ones that the goals compare get the longer runs.
MAIN_PROXIES = ("haproxy", "spendgate")


def scenarios():
    made = []
    for answer, title, options in (("json", "JSON", ()), ("stream", f"{sandbox.EVENTS:,} events", STREAM)):
        for way, way_title, way_options in (("keep", "keep-alive", ()), ("new", "new TLS connection each", ("--new",))):
            for connections in (1, 32):
                plural = "s" if connections > 1 else ""
                made.append(Scenario(f"{answer}-{way}-{connections}", f"{title}, {way_title}, {connections} connection{plural}",
                                     answer, connections, (*options, *way_options), f".{answer}", None))
    # The provider of the test sends as fast as it can: of a long stream the proxy meets the rest before the client has read
    # the first byte. Of a short one the first byte is the first byte.
    made.append(Scenario("short-stream-keep-1", f"{sandbox.SHORT_EVENTS} events, keep-alive, 1 connection", "stream", 1,
                         ("--header", "X-Bench-Answer: short-stream"), "-short.stream", None))
    for connections in (1, 32):
        made.append(Scenario(f"stream-filtered-{connections}",
                             f"{sandbox.EVENTS:,} events, usage asked for and taken out again, keep-alive, {connections} "
                             f"connection{'s' if connections > 1 else ''}",
                             "stream-plain", connections, STREAM, None, "spendgate"))
    return made


def start_all(directory, programs):
    """The provider (first) and every proxy that is there, and what is missing."""
    wanted = [proxies.Provider(directory), proxies.Haproxy(directory), proxies.Nginx(directory),
              proxies.Sslsplit(directory), proxies.Mitmproxy(directory), proxies.Spendgate(directory, programs)]
    running, missing = [], []
    for proxy in wanted:
        try:
            proxy.start()
            running.append(proxy)
        except proxies.Missing as problem:
            proxy.stop()
            missing.append(str(problem))
            print(f"\n*** MISSING: {problem}\n", file=sys.stderr)
    return running, missing


def check_bodies(directory, scenario, result):
    """Every answer must have come whole."""
    if not scenario.body or not result["requests"]:
        return None
    size = (directory / "answers" / f"answer{scenario.body}").stat().st_size
    if (result["body_bytes_least"], result["body_bytes_most"]) == (size, size):
        return None
    return f"bodies of {result['body_bytes_least']} to {result['body_bytes_most']} bytes instead of {size}"


def measure_one(load, proxy, provider, scenario, plan, problems):
    seconds = plan.seconds if proxy.name in MAIN_PROXIES else plan.peer_seconds
    try:
        result = measure.run(load, proxy, provider, scenario, seconds, 0 if scenario.key == "idle" else plan.warm_up)
    except measure.LoadFailed as failure:
        problems.append(f"{scenario.key}: {failure}")
        return None
    wrong = check_bodies(proxy.directory, scenario, result)
    if result["errors"]:
        wrong = f"{result['errors']} errors, the last: {result['last_error']}"
    if wrong:
        problems.append(f"{scenario.key}, {proxy.name}: {wrong}")
    return result


def measure_rounds(load, running, plan, problems):
    """All proxies in turn, several times, so that a change of the machine's mood meets all of them."""
    results = collections.defaultdict(list)
    wanted = scenarios()
    for number in range(plan.rounds):
        for scenario in wanted:
            report.progress(f"round {number + 1} of {plan.rounds}: {scenario.title}")
            for proxy in running:
                if scenario.only in (None, proxy.name):
                    result = measure_one(load, proxy, running[0], scenario, plan, problems)
                    if result:
                        results[scenario.key, proxy.name].append(result)
    return wanted, results


def measure_idle(load, running, plan, problems):
    results = {}
    for proxy in running:
        if proxy.name in IDLE_PROXIES:
            connections = min(plan.idle, proxy.most_connections())
            scenario = Scenario("idle", "idle", "json", connections, ("--idle",), None, None)
            report.progress(f"{connections:,} idle connections: {proxy.name}")
            result = measure_one(load, proxy, running[0], scenario, plan, problems)
            if result and result["open"]:
                result["kib_per_connection"] = result["grown_kib"] / result["open"]
                results[proxy.name] = result
    return results


def check_metered(proxy, problems):
    """What the ledger counted must be what the load client sent."""
    metered = proxy.metered_calls()
    if metered != proxy.answers:
        problems.append(f"spendgate metered {metered} calls, the load client had {proxy.answers} answers")
    return metered


def measure_ours(running, plan, problems):
    """What is measured of spendgate alone, where it runs."""
    proxy = next((proxy for proxy in running if proxy.name == report.OURS), None)
    if not proxy:
        return {"http2": {}, "metered": None, "live": {}, "cuts": {}}
    quick = plan is QUICK
    report.progress("HTTP/2 beside HTTP/1.1: spendgate")
    both = http2.measure(proxy, plan.rounds, 2000 if quick else 10000, problems)
    metered = check_metered(proxy, problems)
    report.progress("limits that change: spendgate")
    live = live_change.measure(proxy, 10 if quick else 40, problems)
    report.progress("agents that are cut off: spendgate")
    cuts = cut_off.measure(proxy, 20 if quick else 200, problems)
    return {"http2": both, "metered": metered, "live": live, "cuts": cuts}


def first_connection(load, running, plan):
    """HAProxy breaks off the first connection for which it mints a leaf; nobody's first one counts."""
    scenario = Scenario("first", "first", "json", 1, ("--new",), None, None)
    for proxy in running:
        measure_one(load, proxy, running[0], scenario, plan, [])


def restart(running):
    """So that the peaks of what follows are not those of what was."""
    for proxy in running[1:]:
        proxy.stop()
        proxy.start()


def versions():
    asked = {"haproxy": ["/usr/sbin/haproxy", "-v"], "nginx": ["/usr/sbin/nginx", "-v"],
             "sslsplit": ["/usr/bin/sslsplit", "-V"], "mitmproxy": ["/usr/bin/mitmdump", "--version"],
             "openssl": ["/usr/bin/openssl", "version"]}
    found = {}
    for name, words in asked.items():
        if shutil.which(words[0]):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            found[name] = (done.stdout + done.stderr).strip().splitlines()[0]
    return found


def raise_descriptor_limit():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = max(most, sandbox.DESCRIPTORS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except ValueError:  # not allowed, even to root, in some containers
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="folder of spendgate and spendgated")
    parser.add_argument("--load", type=pathlib.Path, required=True, help="the load client")
    arguments = parser.parse_args()
    arguments.programs, arguments.load = arguments.programs.resolve(), arguments.load.resolve()
    return arguments


def measure_all(directory, arguments, plan):
    problems = []
    running, missing = start_all(directory, arguments.programs)
    try:
        if not running or running[0].name != proxies.Provider.name:
            sys.exit("make bench: nothing to measure without the provider's nginx")
        first_connection(arguments.load, running, plan)
        idle = measure_idle(arguments.load, running, plan, problems)
        restart(running)
        first_connection(arguments.load, running, plan)
        wanted, results = measure_rounds(arguments.load, running, plan, problems)
        ours = measure_ours(running, plan, problems)
    finally:
        for proxy in reversed(running):
            proxy.stop()
    return {"scenarios": wanted, "results": results, "idle": idle, **ours, "missing": missing, "problems": problems, "running": running}


def main():
    arguments = parse_arguments()
    sandbox.enter()
    raise_descriptor_limit()
    plan = QUICK if os.environ.get("BENCH_QUICK") else FULL
    output = pathlib.Path(os.environ.get("BENCH_OUTPUT") or arguments.programs / "bench" / "result.json")
    began = datetime.datetime.now(datetime.timezone.utc)
    with tempfile.TemporaryDirectory(prefix="spendgate-bench.") as name:
        directory = pathlib.Path(name)
        sandbox.prepare(directory)
        try:
            outcome = measure_all(directory, arguments, plan)
        finally:
            subprocess.run(["umount", directory / "pins"], check=False)
    machine = {"began": began.isoformat(timespec="seconds"), "kernel": platform.release(),
               "processors": os.cpu_count(), "rounds": plan.rounds, "seconds": plan.seconds,
               "peer_seconds": plan.peer_seconds, "idle_connections": plan.idle, "versions": versions()}
    summary = report.summarise(outcome, machine)
    report.print_summary(summary)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(summary, indent=1) + "\n")
    print(f"\nAll figures: {output}")
    # Peers that fail are reported, and no fault of ours.
    return 1 if any(proxies.Spendgate.name in text for text in summary["problems"] + summary["missing"]) else 0


if __name__ == "__main__":
    sys.exit(main())
