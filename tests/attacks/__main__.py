"""`python -m tests.attacks`: the table of the attack corpus, each case with what is expected and got."""

import sys
import time

from decoder.framing import decode
from decoder.values import to_json
from rejection import RejectedError
from tests.attacks import containers, events, headers
from tests.attacks.attack import EVENT, Attack
from tests.unit.decoder.making import event_type

ATTACKS = [*events.ATTACKS, *containers.ATTACKS, *headers.ATTACKS]


def got(attack: Attack) -> tuple[str, str]:
    """Return the reason and the message of the dead letter, or `event` and its JSON."""
    of = event_type(attack.schema, topic=attack.topic)
    try:
        return EVENT, to_json(decode(attack.value, of, lambda: None))
    except RejectedError as rejection:
        return rejection.reason, str(rejection)


def main() -> int:
    """Print the table; 1 where a case came out otherwise."""
    wrong = 0
    print("| case | bytes | expected | got | ms |\n|---|---|---|---|---|")
    for attack in ATTACKS:
        start = time.process_time()
        outcome, message = got(attack)
        spent = (time.process_time() - start) * 1_000
        right = outcome == attack.expected and attack.said in message
        wrong += not right
        shown = outcome if right else f"**{outcome}: {message[:80]}**"
        print(f"| {attack.name} | {len(attack.value):,} | {attack.expected} | {shown} | {spent:.1f} |")
    print(f"\n{len(ATTACKS)} cases, {wrong} otherwise than expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
