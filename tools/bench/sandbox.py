# SPDX-License-Identifier: Apache-2.0
"""Where the benchmark runs: network and mount namespaces of its own, a test CA, the provider's answers."""
import json
import os
import pathlib
import resource
import subprocess
import sys

HOST = "api.openai.com"
INSIDE = "BENCH_INSIDE"
EVENTS = 1000
SHORT_EVENTS = 10
DESCRIPTORS = 65536  # what is wanted; what is allowed may be less
HERE = pathlib.Path(__file__).resolve().parent


def enter():
    """Starts this program again inside; returns only there. Loopback is the only way out."""
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0:
        sys.exit("make bench: must run as root (namespaces, BPF)")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", sys.executable] + sys.argv)


def prepare(directory):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # sslsplit resolves its listening address only where an interface besides loopback has one. No route leads out.
    for words in ("link add bench0 type veth peer name bench1", "address add 192.0.2.2/32 dev bench0", "link set bench0 up",
                  "link set bench1 up"):
        subprocess.run(["ip", *words.split()], check=True)
    # A new connection per request: ports must not run out.
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("12000 65000")
    directory.chmod(0o755)
    pins = directory / "pins"
    pins.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", pins], check=True)
    make_certificates(directory)
    make_answers(directory)
    make_requests(directory)


def template(name, directory):
    """Fills in a configuration beside this file."""
    text = (HERE / name).read_text().replace("@DIR@", str(directory))
    text = text.replace("@DESCRIPTORS@", str(descriptors())).replace("@CONNECTIONS@", str(proxied_connections()))
    target = directory / name
    target.write_text(text)
    return target


def descriptors():
    return min(DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def proxied_connections():
    """A proxy needs two descriptors for each in the worst case, and some of its own."""
    return (descriptors() - 100) // 2


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_leaf(directory, name, host):
    key, request, leaf, extensions = (directory / f"{name}.{kind}" for kind in ("key", "csr", "crt", "ext"))
    extensions.write_text(f"subjectAltName=DNS:{host}\nbasicConstraints=CA:false\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
            "-subj", f"/CN={host}")
    openssl("x509", "-req", "-in", request, "-CA", directory / "ca.pem", "-CAkey", directory / "ca.key", "-CAcreateserial",
            "-days", 2, "-extfile", extensions, "-out", leaf)
    (directory / f"{name}.pem").write_text(leaf.read_text() + key.read_text())


def make_certificates(directory):
    """All keys are P-256, as spendgate's own: the fastest that every peer can use."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-keyout",
            directory / "ca.key", "-out", directory / "ca.pem", "-subj", "/CN=bench CA")
    (directory / "ca-with-key.pem").write_text((directory / "ca.pem").read_text() + (directory / "ca.key").read_text())
    make_leaf(directory, "leaf", HOST)
    # HAProxy shows this one only to clients whose name it does not mint for.
    make_leaf(directory, "other", "proxy.invalid")


def chunk(delta, finish, usage):
    return {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1700000000,
            "model": "gpt-4o-mini-2024-07-18", "service_tier": "default", "system_fingerprint": "fp_bench",
            "choices": [] if usage else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
            "usage": usage}


def usage(completion_tokens):
    return {"prompt_tokens": 119, "completion_tokens": completion_tokens, "total_tokens": 119 + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}}


def stream(count):
    events = [chunk({"content": " word"}, None, None) for _ in range(count - 2)]
    events += [chunk({}, "stop", None), chunk({}, None, usage(count - 2))]
    return "".join(f"data: {json.dumps(event, separators=(',', ':'))}\n\n" for event in events) + "data: [DONE]\n\n"


def make_answers(directory):
    answers = directory / "answers"
    answers.mkdir()
    (answers / "answer.json").write_text(json.dumps({
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1700000000, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 160, "refusal": None},
                     "logprobs": None, "finish_reason": "stop"}],
        "usage": usage(160), "service_tier": "default", "system_fingerprint": "fp_bench"}))
    (answers / "answer.stream").write_text(stream(EVENTS))
    (answers / "answer-short.stream").write_text(stream(SHORT_EVENTS))


def make_requests(directory):
    request = {"model": "gpt-4o-mini", "max_tokens": 2000, "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "hello " * 100}]}
    (directory / "json.request").write_text(json.dumps(request))
    request["stream"] = True
    (directory / "stream-plain.request").write_text(json.dumps(request))
    request["stream_options"] = {"include_usage": True}
    (directory / "stream.request").write_text(json.dumps(request))
