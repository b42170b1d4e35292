"""A peer that is LEADS itself: `peer.py server|client PORT SEPARATOR`, with the folder of LEADS in PYTHONPATH.

It does what it reads from stdin, a command a line, and writes what happens to stdout, a line each:

    echo            from now on, each message that is received is sent back: `echoing`
    listen          from now on, each is told, by `received HEX`: `listening`
    burst COUNT     sends so many messages, one right after the other: `sent`
    close           closes: `closed`
    rest            waits a little: `rested THREADS CPU`, how many threads it has and how much they took, in nanoseconds

    ready PORT, connect, disconnect, fail ERROR    without being asked

With a LEADS_TOKEN in the environment, that is the first message on each connection.

It ends when stdin does, as a program of LEADS ends: by returning, with LEADS to clean up.
"""
import os
import sys
import threading
import time
import typing

if not hasattr(typing, "override"):
    typing.override = lambda method: method  # Python 3.11 does not have it, and LEADS only decorates with it.

from leads.comm import Callback, create_client, create_server, start_client, start_server


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def burst(count, separator):
    """The messages of a burst, the same as `burst` in main.rs: numbered, with every byte that may occur, and empty ones."""
    alphabet = bytes(byte for byte in range(256) if byte not in separator)
    alphabet *= 5
    for number in range(count):
        at = number % 200
        yield b"" if number % 100 == 7 else b"%d:" % number + alphabet[at:at + number % 700]


class Peer(Callback):
    def __init__(self):
        super().__init__()
        self.receive = lambda message: None

    def on_initialize(self, service):
        # A server has bound its port by now, whichever it was given.
        say("ready", service._socket.getsockname()[1])

    def on_connect(self, service, connection):
        if "LEADS_TOKEN" in os.environ:
            connection.send(os.environ["LEADS_TOKEN"].encode())
        say("connect")

    def on_receive(self, service, message):
        self.receive(message)

    def on_disconnect(self, service, connection):
        say("disconnect")

    def on_fail(self, service, error):
        say("fail", repr(error))


def main():
    role, port, separator = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
    peer = Peer()
    if role == "server":
        service = start_server(create_server(port, peer, separator), True)
        send, can_send = service.broadcast, service.num_connections
    else:
        service = start_client("127.0.0.1", create_client(port, peer, separator), True)
        send, can_send = service.send, lambda: service._connection
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "echo":
            peer.receive = send
            say("echoing")
        elif command == "listen":
            peer.receive = lambda message: say("received", message.hex())
            say("listening")
        elif command == "burst":
            # LEADS tells of a connection a little before it can send to it.
            while not can_send():
                time.sleep(0.001)
            for message in burst(int(arguments[0]), separator):
                send(message)
            say("sent")
        elif command == "close":
            service.close()
            say("closed")
        elif command == "rest":
            before = time.process_time_ns()
            time.sleep(0.2)
            say("rested", threading.active_count(), time.process_time_ns() - before)


main()
