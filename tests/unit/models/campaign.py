"""Bad and good weeks in number: ``python -m tests.unit.models.campaign --seeds 20``."""

from __future__ import annotations

import argparse

from tests.unit.models.weeks import BAD, bad_week, good_week


def main() -> int:
    """Judge each kind of bad week once, and as many good ones, each in a world of its own; the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--worlds", type=int, default=20, help="how many worlds the bad weeks are of")
    parser.add_argument("--first", type=int, default=100)
    options = parser.parse_args()
    wrong = refused = 0
    for place in range(options.seeds):
        kind = list(BAD)[place % len(BAD)]
        seed = options.first + place % options.worlds
        gate = bad_week(kind, seed)
        named = any(reason.startswith(f"{name}:") for reason in gate.reasons for name in BAD[kind])
        wrong += gate.open or not named
        print(
            f"{seed} {kind.__name__}: {'OPEN' if gate.open else 'refused'} {'' if named else 'WRONG '}{gate.reasons}",
            flush=True,
        )
    for place in range(options.seeds):
        gate = good_week(options.first + place)
        refused += not gate.open
        print(f"{options.first + place} good: {'passed' if gate.open else gate.reasons}", flush=True)
    print(f"{options.seeds} bad weeks, {wrong} let through or refused for another reason")
    print(f"{options.seeds} good weeks, {refused} refused")
    return int(wrong > 0 or refused > options.seeds / 20)


if __name__ == "__main__":
    raise SystemExit(main())
