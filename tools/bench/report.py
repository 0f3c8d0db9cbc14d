# SPDX-License-Identifier: Apache-2.0
"""Medians over the rounds, the table, the goals, and what to keep as JSON."""
import statistics
import sys

REFERENCE, OURS = "haproxy", "spendgate"
FIRST_BYTE_GOAL_US = 100
IDLE_GOAL_KIB = 64
LIVE_CHANGE_GOAL_MS = 10
CUT_OFF_GOAL_MS = 10

# heading, key in a row, format
COLUMNS = (("req/s", "rate", "{:,.0f}"), ("p50 us", "p50_us", "{:,.0f}"), ("p99 us", "p99_us", "{:,.0f}"),
           ("1st byte p50", "first_byte_p50_us", "{:,.0f}"), ("CPU us/req", "cpu_us", "{:,.1f}"),
           ("CPU/haproxy", "cpu_ratio", "{:.2f}"), ("peak MiB", "peak_mib", "{:,.1f}"))


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def median(values):
    kept = [value for value in values if value is not None]
    return statistics.median(kept) if kept else None


def part(result, name, percentile):
    return result[name][percentile] if result[name] else None


def row(results):
    return {
        "rate": median(result["rate"] for result in results),
        "p50_us": median(part(result, "whole_us", "p50") for result in results),
        "p99_us": median(part(result, "whole_us", "p99") for result in results),
        "first_byte_p50_us": median(part(result, "first_byte_us", "p50") for result in results),
        "first_byte_p99_us": median(part(result, "first_byte_us", "p99") for result in results),
        "handshake_p50_us": median(part(result, "handshake_us", "p50") for result in results),
        "cpu_us": median(result["cpu_us"] for result in results),
        "peak_mib": max(result["peak_kib"] for result in results) / 1024,
        "requests": sum(result["requests"] for result in results),
        "errors": sum(result["errors"] for result in results),
    }


def median_ratio(results, key, name, reference):
    """The median of the ratios within each round: both sides of a ratio were measured seconds apart."""
    return median(ours["cpu_us"] / theirs["cpu_us"] for ours, theirs in
                  zip(results.get((key, name), []), results.get((key, reference), []))
                  if ours["cpu_us"] and theirs["cpu_us"])


def summarise(outcome, machine):
    tables = []
    for scenario in outcome["scenarios"]:
        rows = {}
        for proxy in outcome["running"]:
            results = outcome["results"].get((scenario.key, proxy.name))
            if results:
                rows[proxy.name] = row(results)
                rows[proxy.name]["cpu_ratio"] = median_ratio(outcome["results"], scenario.key, proxy.name, REFERENCE)
        tables.append({"key": scenario.key, "title": scenario.title, "rows": rows})
    idle = {name: {"connections": result["open"], "kib_each": round(result["kib_per_connection"], 2)}
            for name, result in outcome["idle"].items()}
    summary = {"machine": machine, "tables": tables, "idle": idle, "http2": outcome["http2"],
               "live_change": outcome["live"], "cut_off": outcome["cuts"], "metered_calls": outcome["metered"],
               "missing": outcome["missing"], "problems": outcome["problems"],
               "leaves_out": {proxy.name: proxy.leaves_out for proxy in outcome["running"]}}
    summary["goals"] = goals(summary)
    return summary


def goal(text, value, limit, unit):
    reached = None if value is None else value <= limit
    return {"goal": text, "value": value, "limit": limit, "unit": unit, "reached": reached}


def ratio(rows, field):
    if OURS in rows and REFERENCE in rows and rows[OURS][field] and rows[REFERENCE][field]:
        return rows[OURS][field] / rows[REFERENCE][field]
    return None


def goals(summary):
    rows = {table["key"]: table["rows"] for table in summary["tables"]}
    made = []
    for key, ours in ((key, one) for key, one in rows.items() if "-keep-" in key and not key.startswith("short")):
        cpu = ours.get(OURS, {}).get("cpu_ratio")
        made.append(goal(f"{key}: CPU a request, to haproxy's", cpu, 1.0, "x"))
        made.append(goal(f"{key}: p50, to haproxy's", ratio(ours, "p50_us"), 1.0, "x"))
    for key, ours in ((key, one) for key, one in rows.items() if "-new-" in key):
        made.append(goal(f"{key}: CPU a request, to haproxy's", ours.get(OURS, {}).get("cpu_ratio"), 0.5, "x"))
    for reference in (REFERENCE, "nginx, bare"):
        for key in ("short-stream-keep-1", "stream-keep-1"):
            stream, later = rows.get(key, {}), None
            if OURS in stream and reference in stream:
                later = stream[OURS]["first_byte_p50_us"] - stream[reference]["first_byte_p50_us"]
            made.append(goal(f"{key}: first byte, p50, later than {reference}'s", later, FIRST_BYTE_GOAL_US, "us"))
    each = summary["idle"].get(OURS, {})
    for title, one in summary["live_change"].items():
        made.append(goal(f"a limit changed by {title}: the last call that did not obey was sent later, at most", one["most_ms"],
                         LIVE_CHANGE_GOAL_MS, "ms"))
    for title, one in summary["cut_off"].items():
        made.append(goal(f"cut off by {title}: the last connection has ended, p99", one["p99_ms"], CUT_OFF_GOAL_MS, "ms"))
    made.append(goal(f"memory of each of {each.get('connections', 0):,} idle connections", each.get("kib_each"),
                     IDLE_GOAL_KIB, "KiB"))
    return made


def print_table(table):
    print(f"\n{table['title']}")
    print(f"  {'':16}" + "".join(f"{heading:>14}" for heading, _, _ in COLUMNS))
    for name, values in table["rows"].items():
        cells = "".join(f"{'-' if values[key] is None else form.format(values[key]):>14}" for _, key, form in COLUMNS)
        print(f"  {name:16}{cells}" + (f"   {values['errors']} ERRORS" if values["errors"] else ""))


def print_goals(made):
    print("\nGoals")
    for one in made:
        verdict = {True: "reached", False: "MISSED", None: "NOT MEASURED"}[one["reached"]]
        value = "-" if one["value"] is None else f"{one['value']:.2f}"
        print(f"  {verdict:13}{one['goal']}: {value} {one['unit']} (at most {one['limit']:g})")


def print_summary(summary):
    machine = summary["machine"]
    progress("")
    print(f"{machine['processors']} processors, Linux {machine['kernel']}; medians of {machine['rounds']} rounds of "
          f"{machine['seconds']} s (other peers: {machine['peer_seconds']} s), all through the same load client")
    for version in machine["versions"].values():
        print(f"  {version}")
    for table in summary["tables"]:
        print_table(table)
    print("\nIdle connections, after one request each: resident memory that the proxy's processes grew by")
    for name, one in summary["idle"].items():
        print(f"  {name:16}{one['connections']:>8,} connections{one['kib_each']:>10.1f} KiB each")
    print_goals(summary["goals"])
    print("\nWhat each does, and leaves out")
    for name, text in summary["leaves_out"].items():
        print(f"  {name:16}{text}")
    print("\nHTTP/2 beside HTTP/1.1, both by h2load through spendgate, 32 calls at a time:")
    for title, one in summary["http2"].items():
        print(f"  {title}: {one['rate']:,.0f} requests/s, {one['cpu_us']:.0f} us of CPU each")
    print("\nLimits that change under an agent that calls without a pause: how long after the change the last call was sent "
          "that did not obey it yet (0: the next one obeyed)")
    for title, one in summary["live_change"].items():
        print(f"  by {title}: p50 {one['p50_ms']:.2f} ms, at most {one['most_ms']:.2f} ms, of {one['changes']} changes, at a call each "
              f"{one['step_ms']:.2f} ms")
    print("\nAgents that are cut off: from then to the end of the last of their connections")
    for title, one in summary["cut_off"].items():
        print(f"  by {title}: p50 {one['p50_ms']:.2f} ms, p99 {one['p99_ms']:.2f} ms, at most {one['most_ms']:.2f} ms, of {one['cuts']} "
              f"times {one['connections']} connections")
    print(f"\nspendgate's ledger has {summary['metered_calls']} calls, as many as were sent through it."
          if not any("metered" in problem for problem in summary["problems"]) else "")
    for problem in summary["problems"]:
        print(f"*** PROBLEM: {problem}")
    for missing in summary["missing"]:
        print(f"*** MISSING: {missing}")
