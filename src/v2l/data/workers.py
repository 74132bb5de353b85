"""Worker processes that read or draw pictures."""

import os
from multiprocessing import parent_process
from threading import Thread


def end_with_parent() -> None:
    """Makes a worker process end when the process that started it is killed."""

    def watch() -> None:
        parent_process().join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
