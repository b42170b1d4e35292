"""One process of a run with LEADS, the Python module. It does what roles.rs does, and speaks as stage.rs does."""
import json
import os
import socket
import sys
import threading
import time
import typing

if not hasattr(typing, "override"):
    typing.override = lambda method: method  # Python 3.11 does not have it, and LEADS only decorates with it.

from leads.comm import Callback, create_client, create_server

STAMP = slice(6, 22)
BACKLOG = 4096


def sizes(kind):
    """The sizes of the messages, the same as in task.rs."""
    if isinstance(kind, dict):
        while True:
            yield kind["fixed"]
    mask = (1 << 64) - 1
    seed = 0x2545F4914F6CDD1D
    while True:
        seed ^= seed << 13 & mask
        seed ^= seed >> 7
        seed ^= seed << 17 & mask
        power = 16 << (seed >> 32) % 14
        yield power + seed % power


def payload(task, count):
    every = sizes(task["sizes"])
    return sum(next(every) for _ in range(count))


def messages(task, count):
    """Like `Messages` in task.rs."""
    every = sizes(task["sizes"])
    if task["content"] == "stamped":
        head, size = '{"t":"%016x","name":"speed","value":12.5,"unit":"km/h","note":"', next(every)
        filler = b"x" * (size - len(head % 0) - 2) + b'"}'
        for _ in range(count):
            yield (head % time.monotonic_ns()).encode() + filler
        return
    filler = b"x" * 256 * 1024 if task["sizes"] == "mixed" else b"x" * task["sizes"]["fixed"]
    for _ in range(count):
        yield filler[:next(every)]


def say(event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def usage(begin=False):
    if begin:
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            pass
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    number = lambda name: int(status[name].split()[0])
    return {"cpu": time.process_time_ns(), "resident": number("VmRSS") * 1024, "peak": number("VmHWM") * 1024,
            "threads": number("Threads")}


def spread(samples):
    if not samples:
        return None
    samples.sort()
    at = lambda part: samples[min(max(-int(-len(samples) * part // 1), 1), len(samples)) - 1]
    return {"samples": len(samples), "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": samples[-1]}


class Stage:
    def __init__(self, task):
        self.task = task
        self.count = task["count"]
        self.per_round = min(task["round"] or self.count, self.count)
        self.go, self.rounds = threading.Event(), threading.Semaphore(0)
        self.began = self.ended = self.slowest_call = self.accepted = 0
        self.first, self.begin_usage = usage(True), None
        self.tallies, self.latencies, self.trips_missing = [], [], 0
        self.arrived = threading.Condition()
        threading.Thread(target=self.obey, daemon=True).start()

    def obey(self):
        for line in sys.stdin:
            if line == "go\n":
                self.go.set()
            elif line == "round\n":
                self.rounds.release()
            elif line == "stop\n":
                say({"report": self.report()})
                break
        os._exit(0)

    def ready(self):
        say("ready")
        self.go.wait()
        self.begin_usage = usage(True)
        say("going")

    def done(self):
        say("done")
        threading.Event().wait()

    def count_up(self, by=1):
        with self.arrived:
            self.accepted += by
            self.arrived.notify_all()

    def wait_for(self, condition):
        with self.arrived:
            self.arrived.wait_for(condition)

    def report(self):
        end = usage()
        wanted = payload(self.task, self.count)
        faults = [f"{tally.bytes} of {wanted} bytes" for tally in self.tallies if tally.bytes != wanted]
        if self.trips_missing:
            faults.append(f"{self.trips_missing} of {self.count} round trips missing")
        samples = self.latencies + [sample for tally in self.tallies for sample in tally.latencies]
        return {"began": self.began, "ended": max([self.ended] + [tally.ended for tally in self.tallies]),
                "faults": faults, "first": self.first, "begin": self.begin_usage or end, "end": end,
                "accepted": self.accepted, "latency": spread(samples), "slowest_call": self.slowest_call,
                "fragments": sum(tally.callbacks for tally in self.tallies)}


class Tally(Callback):
    """Counts bytes, because LEADS does not keep messages apart under load."""

    def __init__(self, stage):
        super().__init__()
        self.stage, self.bytes, self.callbacks, self.ended, self.latencies = stage, 0, 0, 0, []
        self.per_round = payload(stage.task, stage.per_round)
        self.due, self.rounds = self.per_round, 0
        self.stamped = stage.task["content"] == "stamped"
        self.lock = threading.Lock()
        stage.tallies.append(self)

    def on_connect(self, service, connection):
        self.stage.count_up()

    def on_receive(self, service, msg):
        if self.stamped and msg.startswith(b'{"t":"') and len(msg) > STAMP.stop:  # Otherwise a later part of one.
            self.latencies.append(time.monotonic_ns() - int(msg[STAMP], 16))
        if self.stage.task["job"] == "churn":
            with self.lock:  # Many connections, one tally.
                self.add(msg)
        else:
            self.add(msg)

    def add(self, msg):
        self.callbacks += 1
        self.bytes += len(msg)
        if self.bytes >= self.due:
            self.ended = time.monotonic_ns()
            self.due += self.per_round
            with self.stage.arrived:
                self.rounds += 1
                self.stage.arrived.notify_all()


class Greeter(Callback):
    """Counts connections, and sends back what arrives if it is told to."""

    def __init__(self, stage, echo=False):
        super().__init__()
        self.stage, self.echo = stage, echo

    def on_connect(self, service, connection):
        self.stage.count_up()

    def on_receive(self, service, msg):
        if self.echo:
            service.broadcast(msg)


class Trips(Callback):
    def __init__(self, stage):
        super().__init__()
        self.stage, self.message, self.started = stage, next(messages(stage.task, 1)), 0
        stage.trips_missing = stage.count

    def on_receive(self, service, msg):
        now = time.monotonic_ns()
        self.stage.latencies.append(now - self.started)
        self.stage.trips_missing -= 1
        if self.stage.trips_missing:
            self.started = now
            service.send(self.message)
        else:
            with self.stage.arrived:
                self.stage.ended = now
                self.stage.arrived.notify_all()


def send_all(stage, send):
    task = stage.task
    stage.began = time.monotonic_ns()
    if task["pace"]:
        due = time.monotonic()
        for message in paced(task, due):
            called = time.monotonic_ns()
            send(message)
            stage.slowest_call = max(stage.slowest_call, time.monotonic_ns() - called)
        return
    for number, message in enumerate(messages(task, stage.count)):
        if number and number % stage.per_round == 0:
            stage.rounds.acquire()
        send(message)


def paced(task, due):
    every = messages(task, task["count"])
    for _ in range(task["count"]):
        time.sleep(max(due - time.monotonic(), 0))
        due += 1 / task["pace"]
        yield next(every)


def receive_all(stage):
    rounds = stage.count // stage.per_round
    for number in range(1, rounds + 1):
        stage.wait_for(lambda: all(tally.rounds >= number for tally in stage.tallies))
        if number < rounds:
            say("round")


def serve(stage):
    task = stage.task
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    counts = task["job"] in ("send", "duplex", "churn")
    callback = Tally(stage) if counts else Greeter(stage, task["job"] == "trip")
    started = threading.Event()
    callback.on_initialize = lambda service: started.set()
    server = create_server(port, callback)
    server.start(True, BACKLOG)
    started.wait()
    say({"port": port})
    if task["job"] not in ("idle", "churn"):
        stage.wait_for(lambda: stage.accepted >= task["connections"] + task["stalled"])
    stage.ready()
    if task["job"] in ("broadcast", "duplex"):
        send_all(stage, server.broadcast)
    if counts:
        receive_all(stage)
    if task["job"] == "idle":
        stage.wait_for(lambda: stage.accepted >= task["connections"])
        stage.ended = time.monotonic_ns()
    stage.done()


def connected(port, callback):
    client = create_client(port, callback)
    client.start(True, "127.0.0.1")
    while not client._connection:
        time.sleep(0.0005)
    return client


def idle(port, count):
    return [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]


def connect(stage, port):
    task = stage.task
    if task["job"] == "idle":
        stage.ready()
        stage.began = time.monotonic_ns()
        held = idle(port, task["connections"])
        stage.done()
    elif task["job"] == "churn":
        stage.ready()
        stage.began = time.monotonic_ns()
        for _ in range(stage.count):
            client = connected(port, Callback())
            client.send(next(messages(task, 1)))
            client.close()
    elif task["job"] == "broadcast":
        held = [connected(port, Tally(stage)) for _ in range(task["connections"])], idle(port, task["stalled"])
        stage.ready()
        receive_all(stage)
    elif task["job"] == "trip":
        trips = Trips(stage)
        client = connected(port, trips)
        stage.ready()
        stage.began = trips.started = time.monotonic_ns()
        client.send(trips.message)
        stage.wait_for(lambda: not stage.trips_missing)
    else:
        client = connected(port, Tally(stage) if task["job"] == "duplex" else Callback())
        stage.ready()
        send_all(stage, client.send)
        if task["job"] == "duplex":
            receive_all(stage)
    stage.done()


if sys.argv[1] != "--try":
    current = Stage(json.loads(sys.argv[1]))
    connect(current, int(sys.argv[2])) if len(sys.argv) > 2 else serve(current)
