"""SIGINT and SIGTERM: a checkpoint first while training, one sentence in any case; a second signal stops at once."""

import os
import signal
import sys
from types import FrameType


class Interrupted(BaseException):
    """Raised by the first signal where there is no step to finish. No Exception, so that nothing swallows it."""

    def __init__(self, signum: int, kept: str = "the last checkpoint"):
        super().__init__(f"stopped by {signal.Signals(signum).name}; the same command continues from {kept}")
        self.exit_code = 128 + signum


class Signals:
    """Remembers the first signal; `training` says whether the training loop will look at `received` after its step.

    `kept` says what the same command continues from.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.training = False
        self.kept = "the last checkpoint"

    def install(self) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.received is not None:
            os.write(sys.stderr.fileno(), b"\nstopped at once, without a checkpoint of the last steps\n")
            os._exit(128 + signum)
        self.received = signum
        if not self.training:
            raise Interrupted(signum, self.kept)
        name = signal.Signals(signum).name
        os.write(
            sys.stderr.fileno(), f"\n{name}: finishing this step and writing a checkpoint (again: stop now)\n".encode()
        )
