"""A player in a program of its own: it bids as little as it may, and plays the card of the lowest rank.

vecgame evaluate RUN --opponents 'cmd:python examples/bot.py'

docs/protocol.md is the protocol that it speaks. It needs Python alone, and plays every game.
"""

import json
import sys


def rank(cards, action):
    """The rank of an action that plays a card, highest for one of no suit; lowest for any other action."""
    card = cards[action["id"]] if action["id"] < len(cards) else None
    if card is None or card["name"] != action["name"]:
        return -1
    return 99 if card["rank"] is None else card["rank"]


def main():
    """Answers each line with a line, until there are no more."""
    cards = []
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "hello":
            cards = message["cards"]
            answer = {"type": "ready", "protocol": 1, "history": False}
        else:
            action = min(message["legal"], key=lambda action: rank(cards, action))
            answer = {"id": message["id"], "action": action["id"]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
