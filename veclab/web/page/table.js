// Draws what the server tells of the match, and asks for what is chosen. Whatever is legal, the server decides.
"use strict";

const PATIENCE = 10000; // milliseconds until a request has failed
const $ = (id) => document.getElementById(id);
let shown = null; // what the server told last
let digits = { typed: "", when: 0 };

// -- elements; words get into the page as text only ------------------------------------------------------------------

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function show(id, visible, ...children) {
  $(id).hidden = !visible;
  $(id).replaceChildren(...children.filter((child) => child !== null));
}

function calledInFull(told) {
  return told.suit ? `${told.name}, ${told.suit}` : told.name;
}

function card(told, kind = "span", attributes = {}, ...more) {
  const long = told.sign.length > 1 || told.rank.length > 2;
  const classes = `card ink${told.ink} ${long ? "words" : ""} ${attributes.class || ""}`;
  const label = calledInFull(told);
  return el(kind, { role: kind === "span" ? "img" : null, "aria-label": label, title: label, ...attributes, class: classes },
    el("span", { class: "rank" }, told.rank),
    told.sign ? el("span", { class: "sign" }, told.sign.length === 1 ? told.sign + "\uFE0E" : told.sign) : null,
    told.sign.length === 1 ? el("span", { class: "letter" }, told.suit[0].toUpperCase()) : null,
    ...more);
}

function backs(count) {
  return Array.from({ length: count }, () => el("span", { class: "card back", role: "img", "aria-label": "a card that you do not see" }));
}

function table(rows, classes = () => "", caption = "") {
  const [head, ...body] = rows;
  return el("table", {},
    caption ? el("caption", {}, caption) : null,
    el("thead", {}, el("tr", {}, ...head.map((words) => el("th", { scope: "col" }, words)))),
    el("tbody", {}, ...body.map((row, number) => el("tr", { class: classes(number, -1) },
      ...row.map((words, column) => el(column ? "td" : "th", { class: classes(number, column), scope: column ? null : "row" }, words))))));
}

// -- the parts of the page -------------------------------------------------------------------------------------------

function drawSeat(told, seat) {
  if (seat === null) return el("div");
  const one = told.seats[seat];
  const own = one.hand.length || one.unseen;
  const playing = told.seats.some((other) => other.played);
  return el("div", { class: one.mover ? "seat mover" : "seat" },
    el("span", { class: "who" }, `${one.mover ? "▸ " : ""}${one.name}`),
    el("span", { class: "notes" }, [one.dealer ? "dealer" : "", one.notes].filter(Boolean).join(", ")),
    own && !told.watching ? el("span", { class: "notes" }, count(one.hand.length + one.unseen, "card")) : null,
    one.played ? card(one.played, "span", { class: one.best ? "best" : "" }) : playing ? el("span", { class: "spot" }) : null,
    one.best ? el("span", { class: "best-word" }, one.best) : null,
    ...one.piles.map(drawPile));
}

function drawPile(pile) {
  return el("div", { class: "pile" },
    el("span", { class: "notes" }, pile.label),
    el("div", { class: "cards" }, ...pile.cards.map((one) => cardOrChoice(one)), ...backs(pile.unseen)));
}

function cardOrChoice(one, other = "", whose = "") {
  if (one.action == null) return card(one, "span", { class: other });
  const label = `${one.word} ${whose}${calledInFull(one)}`;
  return card(one, "button", { class: "choice", "data-action": one.action, "data-number": one.number, "aria-label": label,
    title: label, onclick: () => act(one.action) }, one.number === null ? null : el("span", { class: "number" }, one.number));
}

function drawRow(told, row) {
  const seats = row.filter((seat) => seat !== null);
  if (seats.length > 1) return el("div", { class: "row" }, ...row.map((seat) => drawSeat(told, seat)));
  const seat = drawSeat(told, seats[0]);
  seat.classList.add("wide");
  return el("div", { class: "row" }, seat);
}

function count(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

function drawFelt(told) {
  show("felt", !told.resting,
    el("p", {}, told.above),
    ...told.places.slice(0, -1).map((row) => drawRow(told, row)),
    told.piles.length ? el("div", { class: "middle" }, ...told.piles.map(drawPile)) : null,
    ...told.places.slice(-1).map((row) => drawRow(told, row)),
    el("p", { class: told.seats.some((one) => one.best) ? "below" : "" }, told.below));
}

function held(hand, whose = "") {
  const choosing = hand.some((one) => one.action != null);
  return hand.map((one) => cardOrChoice(one, choosing ? "no" : "", whose));
}

function drawHand(told) {
  $("hand").replaceChildren(...held(told.hand), ...backs(told.unseen));
  $("choices").replaceChildren(...told.choices.map((one) => {
    const numbered = one.number !== null && !one.name.endsWith(String(one.number));
    return el("button", { class: "choice", "data-action": one.action, "data-number": one.number, onclick: () => act(one.action) },
      numbered ? el("span", { class: "number" }, one.number) : null, one.name);
  }));
}

function drawHands(told) {
  const seats = told.seats.filter((one) => one.hand.length && (told.watching || one.name !== "You"));
  $("hands").replaceChildren(...seats.map((one) => el("div", {},
    el("p", { class: "name" }, one.name), el("div", { class: "cards" }, ...held(one.hand, `${one.name}'s `), ...backs(one.unseen)))));
}

function drawRest(told) {
  if (!told.resting) return show("rest", false);
  show("rest", true,
    el("h2", {}, told.rest.heading),
    ...told.log.slice(-2).map((line) => el("p", {}, line)),
    told.rest.trick.length ? el("p", { class: "faint" }, "the last trick") : null,
    el("div", { class: "cards" }, ...told.rest.trick.map((play) => el("div", { class: "with-name" }, card(play.card), play.who))),
    el("button", { class: "primary choice", id: "next", onclick: () => ask("go on") }, told.rest.next));
}

function drawScores(told) {
  if (told.resting) return show("scores", false);
  const place = told.scores[0].indexOf("won");
  const classes = (seat, column) => column === -1 ? (told.seats[seat].mover ? "mover" : "") : column === place ? told.progress[seat] : "";
  const last = told.last.length ? el("details", {}, el("summary", { "data-key": "trick" }, "last trick"),
    el("div", { class: "last" }, ...told.last.map((play) => el("div", { class: "with-name" }, card(play.card, "span", { class: play.best ? "best" : "" }), play.who)))) : null;
  if (last && $("scores").querySelector("details[open]")) last.open = true;
  const marked = told.scores.map((row, number) => row.map((words, column) =>
    number && column === place && told.progress[number - 1] ? `${words} ${told.progress[number - 1] === "met" ? "✓" : "✗"}` : words));
  show("scores", true, table(marked, classes),
    told.bids ? el("p", { class: "faint" }, told.bids) : null, told.facts ? el("p", {}, told.facts) : null, last);
}

function drawSheet(told) {
  show("sheet", Boolean(told.sheet), ...(told.sheet ? [table(told.sheet.rows, undefined, told.sheet.title)] : []));
}

function percent(share) {
  return share === null ? "" : `${Math.round(100 * share)}%`;
}

function drawHint(told) {
  const title = told.watching ? "What the agent thinks" : "Hint";
  if (told.asked) return show("hint", true, el("h2", {}, title), el("p", {}, "Thinking .."));
  if (!told.hint) return show("hint", false);
  const network = told.watching && told.hint.advice.some((one) => one.prior !== null);
  const rows = told.hint.advice.map((one) => {
    const bar = el("div", { class: "bar" });
    bar.style.width = `${100 * one.probability}%`;
    return el("tr", {}, el("th", { scope: "row" }, [one.action, ...one.copies].includes(told.taken) ? `${one.name} (taken)` : one.name),
      network ? el("td", {}, percent(one.prior)) : null,
      el("td", {}, percent(one.probability)), el("td", {}, one.points), el("td", { class: "bars" }, bar));
  });
  const head = ["", ...(network ? ["network", "after thinking"] : ["probability"]), told.hint.unit, ""];
  const values = told.watching && told.hint.values;
  show("hint", true, el("h2", {}, title), el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((words) => el("th", { scope: "col" }, words)))),
    el("tbody", {}, ...rows)),
    values ? el("p", {}, `Expected ${told.hint.unit}: ${told.seats.map((one, seat) => `${one.name} ${values[seat]}`).join(", ")}.`) : null,
    el("p", { class: "faint" }, `By ${told.hint.source}.`));
}

function drawLies(told) {
  if (!told.lies || !told.lies.length) return show("lies", false);
  const mover = told.seats.find((one) => one.mover);
  const seats = told.seats.map((one, seat) => seat).filter((seat) => !told.seats[seat].mover);
  const open = $("lies").querySelector("details")?.open;
  const rows = [["card", ...seats.map((seat) => told.seats[seat].name)],
    ...told.lies.map((one) => [one.card.name, ...seats.map((seat) => (one.seat === seat ? "✓ " : "") + percent(one.shares[seat]))])];
  const details = el("details", {}, el("summary", { "data-key": "lies" }, `Where ${mover ? mover.name : "the mover"} may think that cards lie`),
    table(rows), el("p", { class: "faint" }, "Shares of sampled worlds; ✓ is where the card is."));
  details.open = Boolean(open);
  show("lies", true, details);
}

const STEPS = [ // key, sign, name, where it goes from what is shown
  ["first", "|◀\uFE0E", "first move", () => 0],
  ["back", "◀\uFE0E", "a move back", (told) => told.at - 1],
  ["on", "▶\uFE0E", "a move on", (told) => told.at + 1],
  ["last", "▶\uFE0E|", "last move", (told) => told.moves],
];

function makeSteps() {
  const range = el("input", { type: "range", min: 0, "aria-label": "move", "data-key": "range",
    onchange: (event) => ask("step", { to: Number(event.target.value) }) });
  const buttons = STEPS.map(([key, sign, name, to]) => el("button", { "data-key": key, "aria-label": name, title: name,
    onclick: () => ask("step", { to: to(shown) }) }, sign));
  $("steps").append(...buttons.slice(0, 2), range, ...buttons.slice(2), el("span"));
}

function drawSteps(told) {
  $("steps").hidden = !told.watching;
  if (!told.watching) return;
  if (!$("steps").firstChild) makeSteps(); // once: what is replaced while agents play on can be neither dragged nor clicked
  const part = (key) => $("steps").querySelector(`[data-key=${key}]`);
  for (const [key, , , to] of STEPS) part(key).disabled = to(told) < 0 || to(told) > told.moves || to(told) === told.at;
  const range = part("range");
  range.max = told.moves;
  if (!range.matches(":active")) range.value = told.at; // unless it is being dragged
  $("steps").lastChild.textContent = `move ${told.at} of ${told.moves}`;
}

function drawTools(told) {
  const own = Boolean(told.prompt);
  const tools = [];
  if (!told.watching) {
    tools.push(el("button", { "data-key": "hint", disabled: !own || told.asked, onclick: () => ask("hint") }, "Hint"));
    tools.push(el("button", { "data-key": "undo", onclick: () => ask("undo") }, "Undo"));
  } else if (!told.over || told.at < told.moves) {
    tools.push(el("button", { "data-key": "pause", onclick: () => ask(told.paused ? "go on" : "pause") }, told.paused ? "Go on" : "Pause"));
  }
  if (told.paused && !told.watching) tools.push(el("button", { "data-key": "pause", onclick: () => ask("go on") }, "Go on"));
  if (told.kept) tools.push(el("button", { "data-key": "save", disabled: true, title: `kept in ${told.kept}, move by move` }, "Saved"));
  else tools.push(el("button", { "data-key": "save", onclick: () => ask("save") }, "Save"));
  tools.push(el("button", { "data-key": "open", onclick: openDialog }, "Open"));
  tools.push(el("button", { "data-key": "new", onclick: newDialog }, "New"));
  const old = [...$("tools").children]; // one that is replaced between press and release is not clicked
  if (tools.length !== old.length || !tools.every((one, number) => one.isEqualNode(old[number]))) $("tools").replaceChildren(...tools);
}

function drawLog(told) {
  $("said").hidden = told.resting;
  const old = [...$("log").children].map((one) => one.textContent);
  const goesOn = old.every((line, number) => line === told.log[number]); // a screen reader then says only what is new
  if (!goesOn) $("log").replaceChildren();
  $("log").append(...told.log.slice(goesOn ? old.length : 0).map((line) => el("li", {}, line)));
  $("log").scrollTop = $("log").scrollHeight;
}

function status(told) {
  if (told.over) return told.log.length ? told.log[told.log.length - 1] : "The match is over.";
  if (told.prompt) return told.prompt;
  const mover = told.seats.find((one) => one.mover);
  return told.paused ? "The agents wait." : mover ? `${mover.name} is thinking ..` : "";
}

function draw(told) {
  const held = document.activeElement;
  const key = held && held.dataset ? held.dataset.key : null;
  const chose = held && held.classList.contains("choice");
  const action = chose ? held.dataset.action : null;
  shown = told;
  $("heading").textContent = told.resting ? told.rest.heading : told.heading;
  $("title").textContent = told.kept ? `${told.title} Kept in ${told.kept}.` : told.title;
  show("trouble", Boolean(told.trouble), told.trouble);
  $("own").hidden = told.resting;
  drawTools(told);
  drawRest(told);
  if (!told.resting) {
    drawFelt(told);
    drawHand(told);
    drawHands(told);
    $("prompt").textContent = status(told);
  } else {
    show("felt", false);
    $("hands").replaceChildren();
  }
  drawScores(told);
  drawSheet(told);
  drawHint(told);
  drawLies(told);
  drawSteps(told);
  drawLog(told);
  document.title = told.prompt ? "● your turn – vecgame" : "vecgame";
  if (key) document.querySelector(`[data-key=${key}]`)?.focus({ preventScroll: true });
  else if (chose || told.resting) {
    const again = choices().find((one) => one.dataset.action === action); // as when a hint has come
    (again ?? choices()[0])?.focus({ preventScroll: true });
  }
}

// -- asking ----------------------------------------------------------------------------------------------------------

async function ask(name, more = {}) {
  if (!shown) return;
  $("error").textContent = "";
  try {
    const answer = await fetch("/do", { method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ do: name, turn: shown.turn, ...more }), signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) $("error").textContent = (await answer.json()).error;
  } catch {
    $("offline").hidden = false;
  }
}

function act(action) {
  return ask("act", { action });
}

function dialog(heading, ...content) {
  $("dialog").firstElementChild.replaceChildren(el("h2", {}, heading), ...content, el("button", { value: "" }, "Cancel"));
  $("dialog").showModal();
}

function leaving() {
  if (shown.again) return "The game on the table can be opened here again.";
  return shown.kept ? "The match on the table is kept." : "The match on the table is not saved; it will be gone.";
}

async function openDialog() {
  try {
    const { saved } = await (await fetch("/saved", { signal: AbortSignal.timeout(PATIENCE) })).json();
    const buttons = saved.map((name) => el("button", { onclick: () => ask("open", { name }) }, name));
    dialog("Open a saved match", el("p", {}, saved.length ? leaving() : "There is no saved match in this folder."), ...buttons);
  } catch {
    $("offline").hidden = false;
  }
}

function newDialog() {
  dialog("Begin another match", el("p", {}, leaving()), el("button", { class: "primary", onclick: () => ask("new") }, "New match"));
}

// -- keys ------------------------------------------------------------------------------------------------------------

function choices() {
  return [...document.querySelectorAll(".choice")].filter((one) => one.offsetParent !== null);
}

function move(step) {
  const all = choices();
  if (!all.length) return;
  const now = all.indexOf(document.activeElement);
  all[now < 0 ? (step > 0 ? 0 : all.length - 1) : (now + step + all.length) % all.length].focus();
}

function typed(digit) {
  const now = Date.now();
  const before = now - digits.when < 1000 ? digits.typed : "";
  const find = (number) => choices().find((one) => one.dataset.number === number);
  const found = find(before + digit) ? before + digit : digit;
  digits = { typed: found, when: now };
  find(found)?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || $("dialog").open || !shown) return;
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const takesEnter = event.target.matches("button, summary, a");
  if (event.target.matches("input, select, textarea")) return;
  if (event.key in steps && choices().length) move(steps[event.key]);
  else if (event.key in steps && shown.watching) {
    const to = shown.at + steps[event.key];
    if (to >= 0 && to <= shown.moves) ask("step", { to });
  }
  else if (/^\d$/.test(event.key)) typed(event.key);
  else if (event.key === "Enter" && !takesEnter && choices().length === 1) choices()[0].click();
  else if (event.key.toLowerCase() === "h" && !shown.watching) ask("hint");
  else if (event.key.toLowerCase() === "u" && !shown.watching) ask("undo");
  else return;
  event.preventDefault();
});

// -- news ------------------------------------------------------------------------------------------------------------

async function watch() {
  for (;;) {
    let told;
    try {
      const since = shown ? `?since=${encodeURIComponent(shown.version)}` : "";
      const answer = await fetch(`/table${since}`, { signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(answer.statusText);
      told = await answer.json();
    } catch {
      $("offline").hidden = false;
      await new Promise((wake) => setTimeout(wake, 1000));
      continue;
    }
    $("offline").hidden = true;
    if (!shown || told.version !== shown.version) draw(told);
  }
}

watch();
