import os
import signal
import threading

from v2l.training.stopping import StoppedError, stop_request


def test_sigterm_is_a_request_while_the_context_lasts() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_request() as request:
        assert not request.made
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.made
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_than_the_main_one_go_without() -> None:
    seen: list[bool] = []

    def enter() -> None:
        with stop_request() as request:
            seen.append(request.made)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [False]


def test_message_says_where_it_stopped_and_what_to_do() -> None:
    assert str(StoppedError("train", 7)) == "train: stopped by SIGTERM at step 7; run again to go on"
