# SPDX-License-Identifier: Apache-2.0
# Connections that try to get around the meter, all at once: each by an order {"to": [address, port], "silent"?: seconds,
# "name"?: SNI, "bytes"?: of the first flight ahead of a "pause", "record"?: version of its records, "before"?: bytes, "path"?, "host"?,
# "method"?, "headers"?, "model"?, "hidden"?, "plain"?, "start"?}. Prints, as JSON and in their order, the first line of what each was answered,
# "closed", or the error's name.
import json, socket, ssl, sys, threading, time


def with_encrypted_hello(data):
    """The record of a ClientHello, with the extension 0xfe0d."""
    extension = bytes.fromhex("fe0d0008") + bytes(8)
    at = 5 + 4 + 2 + 32
    at += 1 + data[at]
    at += 2 + int.from_bytes(data[at : at + 2], "big")
    at += 1 + data[at]
    longer = lambda start, size: (int.from_bytes(data[start : start + size], "big") + len(extension)).to_bytes(size, "big")
    return data[:3] + longer(3, 2) + data[5:6] + longer(6, 3) + data[9:at] + longer(at, 2) + data[at + 2 :] + extension


class Channel:
    """TLS over a socket whose first flight can be cut, delayed and rewritten; or no TLS."""

    def __init__(self, order):
        self.order = order
        self.socket = socket.create_connection(order["to"], 30)
        time.sleep(order.get("silent", 0))
        self.socket.sendall(bytes.fromhex(order.get("before", "")))
        self.tls = None
        if not order.get("plain"):
            self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl._create_unverified_context()
            self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=order.get("name"))
            self.pump(self.tls.do_handshake)

    def first_flight(self, data):
        if self.order.get("hidden"):
            data = with_encrypted_hello(data)
        if "record" in self.order:
            data = data[:1] + bytes.fromhex(self.order["record"]) + data[3:]
        cut = self.order.get("bytes", 0)
        if cut:
            self.socket.sendall(data[:cut])
            time.sleep(self.order["pause"])
        self.socket.sendall(data[cut:])

    def pump(self, step):
        send = self.first_flight
        while True:
            try:
                result = step()
                self.socket.sendall(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                send(self.outgoing.read())
                send = self.socket.sendall
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionResetError
                self.incoming.write(data)

    def send(self, data):
        if self.tls:
            self.pump(lambda: self.tls.write(data))
        else:
            self.socket.sendall(data)

    def receive(self):
        return self.pump(lambda: self.tls.read(65536)) if self.tls else self.socket.recv(65536)


def attempt(order):
    channel = Channel(order)
    body = json.dumps({"model": order.get("model", "gpt-4o"), "max_tokens": 50, "messages": [{"role": "user", "content": "mock:tokens=4"}]})
    channel.send((order.get("start", "") + f"""{order.get("method", "POST")} {order.get("path", "/v1/chat/completions")} HTTP/1.1\r
Host: {order.get("host", "api.openai.com")}\r
{order.get("headers", "")}Connection: close\r
Content-Length: {len(body)}\r
\r
{body}""").encode())
    answer = channel.receive()
    if not answer:
        raise ConnectionResetError
    return answer.split(b"\r\n")[0].decode()


orders = json.loads(sys.argv[1])
answers = [None] * len(orders)


def run(i):
    try:
        answers[i] = attempt(orders[i])
    except ConnectionError:
        answers[i] = "closed"
    except Exception as error:
        answers[i] = type(error).__name__


threads = [threading.Thread(target=run, args=(i,)) for i in range(len(orders))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(answers))
