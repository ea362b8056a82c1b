"""`python -m hfcourse.world --seed 0 --output runs/world`: write the embedded world as JSONL files."""

import argparse
import sys
import time

from hfcourse.errors import InputError
from hfcourse.world import World, existing, write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hfcourse.world", description=__doc__, allow_abbrev=False)
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another world (default: 0)")
    parser.add_argument("--output", default="runs/world", help="a folder that does not exist (default: runs/world)")
    args = parser.parse_args()
    start = time.perf_counter()
    try:
        if existing(args.output, args.seed) is not None:
            print(f"{args.output} holds the world of seed {args.seed} already; left as it is.")
            return
        world = World.create(args.seed)
        counts = write(world, args.output)
    except InputError as error:
        sys.exit(_fail(error))
    print(
        f"{args.output}: {len(world.countries)} countries, {len(world.facts)} facts, {sum(counts.values()):,} rows "
        f"in {len(counts)} files, seed {args.seed}, {time.perf_counter() - start:.1f} s."
    )


def _fail(error: InputError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
