"""One evaluator shared by threads: their requests in batches, each answered with its own, and clean ends."""

import threading
import time
from array import array

import pytest

from veclab.reference.batched_evaluator import BatchedEvaluator


class Echo:
    """Instead of a network: answers each row with its own first two features, fails at a row that begins with -1."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def compute(self, rows: array, count: int) -> tuple[list[list[float]], list[list[float]]]:
        self.gate.wait(10)
        self.batches.append(count)
        assert len(rows) == 256 * count
        firsts = rows[::256]
        if -1.0 in firsts:
            raise ArithmeticError("a row of -1")
        return [[x] for x in firsts], [[x] for x in rows[1::256]]


def rows_of(*numbers: float) -> array:
    rows = array("f")
    for number in numbers:
        rows.extend([number, -number, *[0.0] * 254])
    return rows


def ask_at_once(evaluator: BatchedEvaluator, requests: list[list[float]]) -> list[object]:
    """Each request from a thread of its own: the answers or errors."""
    answers: list[object] = [None] * len(requests)

    def ask(i: int) -> None:
        try:
            answers[i] = evaluator(rows_of(*requests[i]), len(requests[i]))
        except Exception as error:
            answers[i] = error

    workers = [threading.Thread(target=ask, args=(i,)) for i in range(len(requests))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
        assert not worker.is_alive()
    return answers


@pytest.mark.parametrize("clients", [0, 8])
def test_requests_are_batched_and_answered_each_with_its_own(clients: int) -> None:
    network = Echo()
    requests = [[float(10 * i + k) for k in range(1 + i % 3)] for i in range(8)]
    rows = sum(map(len, requests))
    with BatchedEvaluator(network, rows if clients == 0 else 1000, timeout_ms=10_000, clients=clients) as evaluator:
        start = time.monotonic()
        answers = ask_at_once(evaluator, requests)
        assert time.monotonic() - start < 8  # a full batch, or one with all clients in it, does not wait
    assert answers == [([[x] for x in request], [[-x] for x in request]) for request in requests]
    assert network.batches == [rows]
    traffic = evaluator.traffic
    assert (traffic.requests, traffic.calls, traffic.rows, traffic.largest) == (8, 1, rows, rows)


def test_batch_size_is_the_limit() -> None:
    network = Echo()
    with BatchedEvaluator(network, batch_size=5, timeout_ms=50) as evaluator:
        answers = ask_at_once(evaluator, [[float(i), float(i)] for i in range(7)] + [[float(i) for i in range(9)]])
    assert [len(logits) for logits, _ in answers] == [2] * 7 + [9]
    assert sum(network.batches) == 2 * 7 + 9
    assert sorted(set(network.batches) - {2, 4}) == [9]  # requests are not split, and the large one is alone


def test_a_lone_request_waits_for_the_timeout_only() -> None:
    with BatchedEvaluator(Echo(), batch_size=100, timeout_ms=200, clients=2) as evaluator:
        start = time.monotonic()
        assert evaluator(rows_of(3.0), 1) == ([[3.0]], [[-3.0]])
        assert 0.2 <= time.monotonic() - start < 10
    with BatchedEvaluator(Echo(), batch_size=100, timeout_ms=60_000, clients=2) as evaluator:
        evaluator.leave()
        start = time.monotonic()
        evaluator(rows_of(3.0), 1)
        assert time.monotonic() - start < 10  # nobody is left to wait for


def test_an_error_of_the_network_reaches_all_who_wait_for_it() -> None:
    with BatchedEvaluator(Echo(), batch_size=3, timeout_ms=10_000) as evaluator:
        assert [type(answer) for answer in ask_at_once(evaluator, [[1.0], [-1.0], [2.0]])] == [ArithmeticError] * 3
        assert [type(answer) for answer in ask_at_once(evaluator, [[1.0], [3.0], [2.0]])] == [tuple] * 3
    assert evaluator.traffic.calls == 1


def test_closing_answers_what_was_asked_and_refuses_the_rest() -> None:
    network, before = Echo(), threading.active_count()
    network.gate.clear()
    evaluator = BatchedEvaluator(network, batch_size=1, timeout_ms=10_000)
    answers: list[object] = []
    askers = [threading.Thread(target=lambda: answers.append(evaluator(rows_of(1.0), 1))) for _ in range(3)]
    for asker in askers:
        asker.start()
    while evaluator._queue.qsize() < 2:  # the third is with the network
        time.sleep(0.001)
    closer = threading.Thread(target=evaluator.close)
    closer.start()
    network.gate.set()
    for thread in (closer, *askers):
        thread.join(10)
    assert answers == [([[1.0]], [[-1.0]])] * 3
    evaluator.close()
    with pytest.raises(RuntimeError, match="closed"):
        evaluator(rows_of(1.0), 1)
    assert threading.active_count() == before
    for wrong in ({"batch_size": 0, "timeout_ms": 1}, {"batch_size": 1, "timeout_ms": -1}):
        with pytest.raises(ValueError, match="must be at least"):
            BatchedEvaluator(network, **wrong)
