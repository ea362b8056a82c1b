"""Push a finished run to the Hub: `python -m hfcourse.run.push --run runs/sft/tiny --repo me/x [--private]`.

Prints the address of the commit. Exit codes: 0 pushed, 1 the push failed, 2 bad input.
"""

import argparse
import shlex
import sys
from pathlib import Path

from hfcourse.errors import InputError
from hfcourse.run.hub import PushError, check_write, push_folder
from hfcourse.run.show import finished_results, leave


def push(run: Path, repo_id: str, private: bool | None = None) -> str:
    """Push the finished run in folder `run` to the model repository `repo_id`; returns the address of the commit.

    Raises:
        InputError: `run` is no finished run, or the Hub says beforehand that it may not be pushed.
        PushError: the push failed.
    """
    try:
        results = finished_results(run)
    except (OSError, ValueError) as error:
        raise InputError(f"{run / 'results.json'} cannot be read: {error}") from None
    if results is None:
        raise InputError(f'{run} is not a finished run: expected its results.json to hold "finished": true')
    repo_id = check_write(repo_id, private=private)
    return push_folder(run, repo_id, message=f"{results['recipe']} {results['config']}", private=private)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m hfcourse.run.push", allow_abbrev=False, description="Push a finished run to the Hub."
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run, such as runs/sft/tiny")
    parser.add_argument("--repo", required=True, help="name or namespace/name of the model repository")
    parser.add_argument("--private", action="store_true", default=None, help="make a new repository private")
    arguments = parser.parse_args()
    try:
        print(push(arguments.run, arguments.repo, arguments.private))
    except InputError as error:
        leave(str(error), 2)
    except PushError as error:
        again = shlex.join(["python", "-m", "hfcourse.run.push", *sys.argv[1:]])
        leave(f"{error}; to try again: {again}", 1)


if __name__ == "__main__":
    main()
