# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 beside HTTP/1.1, both by h2load through spendgate: as many calls at a time, as many in all."""
import re
import subprocess

import sandbox

WAYS = {
    "HTTP/1.1, 32 connections": ["--h1", "-c", "32"],
    "HTTP/2, 1 connection of 32 calls": ["--npn-list=h2", "-c", "1", "-m", "32"],
    "HTTP/2, 8 connections of 4 calls": ["--npn-list=h2", "-c", "8", "-m", "4"],
}


def words(proxy, options, calls):
    return [str(word) for word in [
        *proxy.load_prefix(), "h2load", *options, "-n", calls, f"--connect-to={proxy.address}", "-d",
        proxy.directory / "json.request", "-H", "content-type: application/json",
        f"https://{sandbox.HOST}/v1/chat/completions"]]


def measure_way(proxy, title, options, calls, problems):
    cpu = proxy.cpu_seconds()
    done = subprocess.run(words(proxy, options, calls), env=proxy.environment(), capture_output=True, text=True, check=False)
    cpu = proxy.cpu_seconds() - cpu
    rate = re.search(r"finished in \S+, ([\d.]+) req/s", done.stdout)
    served = re.search(r"status codes: (\d+) 2xx", done.stdout)
    proxy.answers += int(served.group(1)) if served else 0
    if not rate or not served or int(served.group(1)) != calls:
        problems.append(f"spendgate, {title}: {(done.stdout + done.stderr).strip()[-400:]}")
        return None
    return {"rate": round(float(rate.group(1)), 1), "cpu_us": round(cpu * 1e6 / calls, 1)}


def measure(proxy, rounds, calls, problems):
    """The median round of each way, by rate; the ways in turn."""
    made = {title: [] for title in WAYS}
    for _ in range(rounds):
        for title, options in WAYS.items():
            result = measure_way(proxy, title, options, calls, problems)
            if result:
                made[title].append(result)
    return {title: sorted(results, key=lambda result: result["rate"])[len(results) // 2]
            for title, results in made.items() if results}
