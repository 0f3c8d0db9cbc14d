# SPDX-License-Identifier: Apache-2.0
# cut.py MODEL: an agent with connections of every kind. A line of standard input is an order, a line of JSON its answer:
#   open PORT    connects: a provider (idle, and one with an answer that streams), a server behind the splice, its own loopback, UDP
#   call         a whole call on a connection of its own: its status, or the error
#   ended        how each of the connections has ended, once it has
#   try PORT     the errors of new ones
import errno
import http.client
import json
import os
import socket
import ssl
import sys

context = ssl.create_default_context()
opened = {}


def provider(body):
    connection = http.client.HTTPSConnection('api.openai.com', timeout=20, context=context)
    connection.request('POST', '/v1/chat/completions', json.dumps({'model': sys.argv[1], 'max_tokens': 50, **body}),
                       {'content-type': 'application/json', 'authorization': 'Bearer sk-test'})
    return connection, connection.getresponse()


def content(text):
    return {'messages': [{'role': 'user', 'content': text}]}


def datagram(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(20)
    sock.connect(('127.0.0.1', port))
    sock.send(b'x')
    return sock


def exchange(address):
    sock = socket.create_connection(address, 20)
    sock.sendall(b'x')
    assert sock.recv(1) == b'x'
    return sock


def opening(port):
    idle = socket.create_connection(('api.openai.com', 443), 20)
    opened['idle'] = context.wrap_socket(idle, server_hostname='api.openai.com')
    opened['spliced'] = exchange(('203.0.113.20', 7000))
    opened['direct'] = exchange(('127.0.0.1', port))
    opened['datagram'] = datagram(port)
    connection, answer = provider({'stream': True, **content('mock:tokens=50 mock:delay=40')})
    answer.fp.readline()
    opened['stream'] = connection.sock
    return answer.status


def call():
    try:
        connection, answer = provider(content('mock:tokens=2'))
        answer.read()
        connection.close()
        return answer.status
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


# Below TLS, for which Python takes every error for an end.
def how_it_ended(sock):
    raw = socket.socket(fileno=os.dup(sock.fileno()))
    raw.settimeout(20)
    try:
        while raw.recv(65536):
            pass
        return 'closed'
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def attempt(connect):
    try:
        connect()
        return 'reached'
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def attempts(port):
    unconnected = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return {
        'provider': attempt(lambda: socket.create_connection(('203.0.113.10', 443), 5)),
        'spliced': attempt(lambda: socket.create_connection(('203.0.113.20', 7000), 5)),
        'direct': attempt(lambda: socket.create_connection(('127.0.0.1', port), 5)),
        'connected_datagram': attempt(lambda: datagram(port)),
        'datagram': attempt(lambda: unconnected.sendto(b'x', ('127.0.0.1', port))),
    }


for line in sys.stdin:
    order, *arguments = line.split()
    if order == 'open':
        result = opening(int(arguments[0]))
    elif order == 'call':
        result = call()
    elif order == 'ended':
        result = {name: how_it_ended(sock) for name, sock in opened.items()}
    else:
        result = attempts(int(arguments[0]))
    print(json.dumps(result), flush=True)
