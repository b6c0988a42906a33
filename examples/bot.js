// A player in a program of its own: it bids as little as it may, and plays the card of the lowest rank.
//
// vecgame evaluate RUN --opponents 'cmd:node examples/bot.js'
//
// docs/protocol.md is the protocol that it speaks. It needs Node.js alone, and plays every game.

const lines = require("node:readline").createInterface({ input: process.stdin });

let cards = [];

// The rank of an action that plays a card, highest for one of no suit; lowest for any other action.
function rank(action) {
  const card = cards[action.id];
  if (card === undefined || card.name !== action.name) return -1;
  return card.rank === null ? 99 : card.rank;
}

function answer(message) {
  if (message.type === "hello") {
    cards = message.cards;
    return { type: "ready", protocol: 1, history: false };
  }
  const lowest = message.legal.reduce((best, action) => (rank(action) < rank(best) ? action : best));
  return { id: message.id, action: lowest.id };
}

lines.on("line", (line) => process.stdout.write(JSON.stringify(answer(JSON.parse(line))) + "\n"));
