"""What ends a job."""

FAULT, INPUT, UNAVAILABLE, DAMAGED = 1, 2, 4, 5  # exit codes of compress.errors, which a device does not have


class Failure(Exception):
    """What ends a job, in one line, with the exit code that it gives compress."""

    def __init__(self, message: str, exit_code: int = UNAVAILABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code
