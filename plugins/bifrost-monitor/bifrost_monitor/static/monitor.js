// Keeps the page live: patches the regions that the server sends, counts ages, asks before it commands.
"use strict";
const root = document.documentElement;
const at = id => document.getElementById(id);
let skew = Number(root.dataset.now) - Date.now() / 1000;
const now = () => Date.now() / 1000 + skew;

// --- patching: what is there stays and only what differs is touched, so nothing jumps and focus is kept

function patch(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeName === "INPUT" || old.nodeName === "SELECT" || "own" in old.dataset) return;
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  if (fresh.firstElementChild?.dataset.key !== undefined) return patchKeyed(old, fresh);
  const olds = [...old.childNodes], news = [...fresh.childNodes];
  news.forEach((node, i) => (i < olds.length ? patch(olds[i], node) : old.append(node)));
  olds.slice(news.length).forEach(node => node.remove());
}

function patchKeyed(old, fresh) {
  const known = new Map([...old.children].map(row => [row.dataset.key, row]));
  const wanted = [...fresh.children].map(row => {
    const there = known.get(row.dataset.key);
    if (!there) return row;
    patch(there, row);
    return there;
  });
  const keep = new Set(wanted);
  [...old.childNodes].forEach(node => keep.has(node) || node.remove());
  wanted.forEach((row, i) => { if (old.children[i] !== row) old.insertBefore(row, old.children[i] ?? null); });
}

function show(name, html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  patch(at(name), holder.content.firstElementChild);
  if (name === "chart") readAgain();
}

// Rows that the newest push off the end join the older ones, if those are shown: no gap opens between them.
function showFeed(html) {
  const rows = [...document.querySelectorAll("#feed tr[data-key]")];
  show("feed", html);
  if (at("older").children.length) at("older").prepend(...rows.filter(row => !row.isConnected));
}

// --- what is sent

const waiting = {};
let lastSign = 0;

function take(told) {
  lastSign = Date.now();
  skew = told.now - Date.now() / 1000;
  if (!told.regions) return;
  root.dataset.version = "";
  const lamp = at("word").textContent;
  for (const [name, html] of Object.entries(told.regions)) {
    if (name !== "feed") show(name, html);
    else if (held()) waiting.feed = html;
    else showFeed(html);
  }
  document.title = told.title;
  at("icon").setAttribute("href", `/static/lamp-${told.lamp}.svg`);
  const word = at("word").textContent;
  if (word !== lamp) at("announced").textContent = `${at("status").dataset.lamp}: ${word}`;
  dress();
}

function alive(is) {
  if (is) delete root.dataset.lost;
  else if (!("lost" in root.dataset)) {
    root.dataset.lost = clock(Date.now());
    document.title = `NOT LIVE · ${document.title}`;
    at("icon").setAttribute("href", "/static/lamp-lost.svg");
  }
  dress();
}

const clock = ms => new Date(ms).toLocaleTimeString("en-GB");
let stream;
function listen() {
  const asked = new URLSearchParams(location.search);
  asked.set("has", root.dataset.version);
  stream = new EventSource(`/live?${asked}`);
  stream.addEventListener("open", () => { lastSign = Date.now(); });
  stream.addEventListener("page", event => { alive(true); take(JSON.parse(event.data)); });
  stream.addEventListener("here", event => { alive(true); take(JSON.parse(event.data)); });
  stream.addEventListener("error", () => {
    alive(false);
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
}

// --- what the server doesn't know: theme, who is logged in, which rows are shown, how old things are

const themes = ["auto", "light", "dark"];
let kind = "", ended = false;

function dress() {
  at("theme").textContent = root.dataset.theme[0].toUpperCase() + root.dataset.theme.slice(1);
  at("page-state").textContent = "lost" in root.dataset ? `Not live since ${root.dataset.lost}` : "Page live";
  at("login").textContent = root.dataset.user ? `Log out ${root.dataset.user}` : "Log in";
  document.querySelectorAll("[data-filter]").forEach(button =>
    button.setAttribute("aria-pressed", String(button.dataset.filter === kind)));
  document.querySelectorAll("#feed tr[data-kind]").forEach(row =>
    row.classList.toggle("gone", kind !== "" && row.dataset.kind !== kind));
  at("more").hidden = ended || "few" in at("more").dataset;
  const fresh = held() && waiting.feed ? "new rows wait" : "";
  if (at("held").textContent !== fresh) at("held").textContent = fresh;
  tick();
}

function long(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]])
    if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${unit}`;
  return `${Math.max(0, Math.round(seconds))} s`;
}

function tick() {
  document.querySelectorAll("[data-ago]").forEach(one => {
    const text = `${long(now() - Number(one.dataset.ago))} ago`;
    if (one.textContent !== text) one.textContent = text;
  });
  document.querySelectorAll("[data-until]").forEach(one => {
    one.textContent = long(Number(one.dataset.until) - now());
  });
}

setInterval(() => {
  tick();
  if (lastSign && Date.now() - lastSign > 40000) { alive(false); stream.close(); lastSign = 0; listen(); }
}, 1000);

const feed = () => document.querySelector("#feed .rows");
let over = false;
const held = () => over || feed().contains(document.activeElement);
function release() {
  if (!held() && waiting.feed) { showFeed(waiting.feed); delete waiting.feed; dress(); }
}
at("feed").addEventListener("pointerenter", () => { over = true; });
at("feed").addEventListener("pointerleave", () => { over = false; release(); });
at("feed").addEventListener("focusout", () => setTimeout(release));

async function showOlder() {
  const rows = document.querySelectorAll("#feed tr[data-key]");
  const asked = new URLSearchParams(location.search);
  asked.set("before_id", rows[rows.length - 1].dataset.key);
  const answer = await fetch(`/older?${asked}`).catch(() => null);
  if (!answer?.ok) { at("held").textContent = "✕ older ones can't be read now"; return; }
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  const body = holder.content.firstElementChild;
  ended = !body.dataset.next;
  at("older").append(...body.children);
  dress();
}

// --- commands

let pointer = { x: -1, y: -1 };
addEventListener("pointermove", event => { pointer = { x: event.clientX, y: event.clientY }; }, { passive: true });
let asked = {}, armed = false, arming = 0;

function ask(key) {
  const told = document.querySelector(`[data-asks="${key}"]`);
  const { word, strategy } = told.dataset;
  asked = strategy ? { word, strategy_id: strategy } : { word };
  at("ask-title").textContent = told.dataset.title;
  at("ask-lines").replaceChildren(...[...told.children].map(line => {
    const item = document.createElement("li");
    item.textContent = line.textContent;
    return item;
  }));
  at("ask-typed").hidden = !told.dataset.typed;
  at("ask-word").textContent = told.dataset.typed;
  at("ask-input").value = "";
  at("ask-yes").textContent = told.dataset.label;
  at("ask-yes").className = told.dataset.grave ?? "";
  const row = at("ask-yes").parentElement;
  row.classList.remove("swapped");
  at("ask").showModal();
  const box = at("ask-yes").getBoundingClientRect();
  const under = pointer.x >= box.left - 8 && pointer.x <= box.right + 8 && pointer.y >= box.top - 8 && pointer.y <= box.bottom + 8;
  row.classList.toggle("swapped", under);
  at("ask-no").focus();
  armed = false;
  ready();
  clearTimeout(arming);
  arming = setTimeout(() => { armed = true; ready(); }, 700);
}

function ready() {
  const word = at("ask-word").textContent;
  const typed = !word || at("ask-input").value.trim().toUpperCase() === word;
  at("ask-yes").setAttribute("aria-disabled", String(!(armed && typed)));
  return armed && typed;
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (answer.status === 401) { location.assign("/login"); return null; }
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  return told;
}

async function send({ word, ...whose }) {
  at("outcome").textContent = `${word}: sending…`;
  try {
    const told = await post(`/control/${word}`, whose);
    if (told) at("outcome").textContent = `#${told.id} ${told.command}: sent; waiting for the daemon…`;
  } catch (error) {
    at("outcome").textContent = `✕ ${word}: ${error.message}`;
  }
}

at("ask-input").addEventListener("input", ready);
at("ask-no").addEventListener("click", () => at("ask").close());
at("ask-yes").addEventListener("click", () => { if (ready()) { at("ask").close(); send(asked); } });
at("ask-input").addEventListener("keydown", event => {
  if (event.key === "Enter") { event.preventDefault(); at("ask-yes").click(); }
});

addEventListener("click", event => {
  const button = event.target.closest("button, a#login");
  if (!button || button.getAttribute("aria-disabled") === "true") return;
  const { control, send: word, filter } = button.dataset;
  if (control || word) {
    if (!root.dataset.user) location.assign("/login");
    else if (control) ask(control);
    else send({ word });
  } else if (filter !== undefined) {
    kind = filter;
    dress();
  } else if (button.id === "more") {
    showOlder();
  } else if (button.id === "theme") {
    root.dataset.theme = themes[(themes.indexOf(root.dataset.theme) + 1) % 3];
    document.cookie = `bifrost_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
    dress();
  } else if (button.id === "login" && root.dataset.user) {
    event.preventDefault();
    fetch("/logout", { method: "POST" }).then(() => location.reload());
  }
});

addEventListener("submit", async event => {
  if (event.target.id !== "ib") return;
  event.preventDefault();
  try {
    const told = await post("/config/ib", Object.fromEntries(new FormData(event.target)));
    if (told) at("outcome").textContent = `${told.ib_host} ${told.ib_port_type}: ${told.note}`;
  } catch (error) {
    at("outcome").textContent = `✕ ${error.message}`;
  }
});

// --- reading the curves, by pointer or by arrow keys

let mark = ""; // time of the point that is read
const figure = () => document.querySelector("figure.curves");
const pointsOf = drawn => drawn.dataset.points.split(";").map(point => point.split("|"));
const placeIn = points => points.findIndex(point => point[1] === mark);

function read(i) {
  const points = pointsOf(figure());
  const [x, time, spot, delta, result] = points[Math.max(0, Math.min(points.length - 1, i))];
  mark = time;
  document.querySelectorAll(".cross").forEach(line => {
    line.setAttribute("x1", `${x}%`);
    line.setAttribute("x2", `${x}%`);
    line.setAttribute("visibility", "visible");
  });
  at("reading").textContent = `${time} · ${spot} · Δ ${delta} · P&L ${result}`;
}

// A newer drawing has neither the cross nor the text.
function readAgain() {
  if (!mark) return;
  const place = figure() ? placeIn(pointsOf(figure())) : -1;
  if (place < 0) rest();
  else read(place);
}

function rest() {
  mark = "";
  document.querySelectorAll(".cross").forEach(line => line.setAttribute("visibility", "hidden"));
  at("reading").textContent = at("reading").dataset.rest;
}

at("chart").addEventListener("pointermove", event => {
  const box = figure()?.querySelector(".plot").getBoundingClientRect();
  if (!box) return;
  const x = (event.clientX - box.left) / box.width * 100;
  const points = pointsOf(figure());
  read(points.reduce((best, point, i) => (Math.abs(point[0] - x) < Math.abs(points[best][0] - x) ? i : best), 0));
});
at("chart").addEventListener("pointerleave", rest);
at("chart").addEventListener("focusout", rest);
at("chart").addEventListener("keydown", event => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !figure()) return;
  event.preventDefault();
  const points = pointsOf(figure()), place = placeIn(points);
  read(place < 0 ? points.length - 1 : place + step);
});

dress();
listen();
