// The item browser: filters in the URL fragment, a paged list, one item in a dialog.

const PAGE = 50;
const NAMES = ["q", "run", "outcome", "slice", "versus", "flip", "rule"];
const field = (name) => document.getElementById(`f-${name}`);
const byId = (id) => document.getElementById(id);
const plain = (text) => text.replaceAll("_", " ");
const dialog = byId("item");
let state = null, shown = [], turn = 0, last = "";

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

function setUp() {
  const runs = meta.runs.map((run, number) => [String(number), run.label]);
  fill(field("run"), runs);
  fill(field("versus"), [["", "no other run"], ...runs]);
  fill(field("outcome"), [["", "all"], ...meta.outcomes.map((name) => [name, plain(name)])]);
  fill(field("rule"), [["", "any"], ...meta.rules.filter((rule) => rule !== "default").map((rule) => [rule, plain(rule)])]);
  field("slice").replaceChildren(new Option("all", ""), ...meta.dimensions.map((dimension) => {
    const group = document.createElement("optgroup");
    group.label = plain(dimension.name);
    group.append(...dimension.values.map((value) => new Option(value, `${dimension.name}:${value}`)));
    return group;
  }));
  for (const name of NAMES) field(name).addEventListener(name === "q" ? "input" : "change", changed);
  field("lucky").addEventListener("change", changed);
  field("lucky").disabled = !meta.rules.includes("suite");
  field("reset").addEventListener("click", () => go({ run: state.run }));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("prev").addEventListener("click", () => go({ ...state, page: state.page - 1, item: "" }));
  byId("next").addEventListener("click", () => go({ ...state, page: state.page + 1, item: "" }));
  byId("item-prev").addEventListener("click", () => step(-1));
  byId("item-next").addEventListener("click", () => step(1));
  byId("item-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { if (state.item) { last = state.item; go({ ...state, item: "" }); } });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  addEventListener("hashchange", () => arrive(false));
  addEventListener("keydown", keys);
}

function changed() {
  const next = { page: 0, lucky: field("lucky").checked };
  for (const name of NAMES) next[name] = field(name).value;
  if (next.flip && next.versus === "") next.versus = String(meta.runs.findIndex((_, number) => String(number) !== next.run));
  if (next.versus === "-1" || next.versus === next.run) { next.versus = ""; next.flip = ""; }
  go(next);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  // in a table wider than the screen the arrows scroll
  const wide = event.target.closest(".scroll");
  if (wide && wide.scrollWidth > wide.clientWidth) return;
  if (dialog.open && event.key === "ArrowRight") step(1);
  else if (dialog.open && event.key === "ArrowLeft") step(-1);
  else if (!dialog.open && event.key === "/") { event.preventDefault(); field("q").focus(); }
}

/** What the fragment asks for; unknown names and impossible values are left out. */
function read(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const found = { page: Math.max(0, (parseInt(given.get("page"), 10) || 1) - 1), lucky: given.get("lucky") === "1", item: given.get("item") || "" };
  for (const name of NAMES) found[name] = given.get(name) || "";
  const known = (number) => /^\d+$/.test(number) && Number(number) < meta.runs.length;
  if (!known(found.run)) found.run = String(meta.start);
  if (found.versus === found.run || !known(found.versus)) { found.versus = ""; found.flip = ""; }
  return found;
}

function write(next) {
  const given = new URLSearchParams();
  for (const name of NAMES) if (next[name] && !(name === "run" && next.run === String(meta.start))) given.set(name, next[name]);
  if (next.lucky) given.set("lucky", "1");
  if (next.page) given.set("page", String(next.page + 1));
  if (next.item) given.set("item", next.item);
  return given.size ? `#${given}` : "#items";
}

function go(next) {
  history.replaceState(null, "", write(next));
  arrive(true);
}

function arrive(inside) {
  const asked = /=/.test(location.hash);
  if (!asked && state && !inside) return;
  const before = state;
  state = read(location.hash);
  for (const name of NAMES) if (field(name) !== document.activeElement || name !== "q") field(name).value = state[name];
  field("lucky").checked = state.lucky;
  if (!inside && asked && !state.item) byId("items").scrollIntoView();
  const same = before && ["lucky", ...NAMES].every((name) => before[name] === state[name]);
  (same ? Promise.resolve(true) : select()).then((done) => done && render());
}

async function select() {
  const mine = ++turn;
  const passes = sieve(state);
  const candidates = [];
  for (let item = 0; item < meta.count; item++) if (passes(item)) candidates.push(item);
  if (!state.q) { shown = candidates; return true; }
  const progress = (done, all) => { if (all > 4) byId("count").textContent = `Searching block ${done} of ${all} …`; };
  const hits = await search(candidates, state, () => mine !== turn, progress);
  if (hits === null) return false;
  shown = hits;
  return true;
}

function outcomeTag(run, item) {
  const number = index.outcomes[run][item];
  if (number < 0) return element("span", "tag plain", "not asked");
  const name = meta.outcomes[number];
  return element("span", `tag g${meta.groups[name] || 2}`, plain(name));
}

function line(item) {
  const link = document.createElement("a");
  link.href = write({ ...state, item: index.ids[item] });
  link.dataset.item = index.ids[item];
  const tags = element("span", "tags");
  if (state.versus !== "") tags.append(outcomeTag(state.versus, item), element("span", "tag plain", "→"));
  tags.append(outcomeTag(state.run, item));
  if (lucky(state.run, item)) tags.append(element("span", "tag plain", "lucky"));
  link.append(element("span", "id", index.ids[item]), element("span", "question", index.questions[item]), tags);
  return element("li", "", link);
}

function render() {
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  state.page = Math.min(state.page, pages - 1);
  const asked = index.outcomes[state.run].reduce((sum, outcome) => sum + (outcome >= 0), 0);
  byId("count").textContent = `${grouped(shown.length)} of ${grouped(asked)} items, ${meta.runs[state.run].label}`;
  byId("list").replaceChildren(...shown.slice(state.page * PAGE, (state.page + 1) * PAGE).map(line));
  byId("pager").hidden = pages < 2;
  byId("where").textContent = `page ${grouped(state.page + 1)} of ${grouped(pages)}`;
  byId("prev").disabled = state.page === 0;
  byId("next").disabled = state.page >= pages - 1;
  if (state.item) open(); else if (dialog.open) dialog.close();
  if (!state.item && last) {
    // the list is new: the keyboard goes on where the item was opened
    [...byId("list").querySelectorAll("a")].find((link) => link.dataset.item === last)?.focus();
    last = "";
  }
}

const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, " ");

function step(by) {
  const place = shown.findIndex((item) => index.ids[item] === state.item);
  const next = shown[place + by];
  if (next !== undefined) go({ ...state, item: index.ids[next], page: Math.floor((place + by) / PAGE) });
}

async function open() {
  const asked = state.item;
  const item = index.ids.indexOf(asked);
  if (item < 0) { byId("count").textContent = `There is no item ${asked} in this report.`; return; }
  const place = shown.indexOf(item);
  const text = await texts(item);
  if (state.item !== asked) return;
  byId("item-title").textContent = asked;
  byId("item-prev").disabled = place <= 0;
  byId("item-next").disabled = place < 0 || place >= shown.length - 1;
  byId("item-body").replaceChildren(...itemView(item, text));
  if (!dialog.open) {
    dialog.showModal();
    dialog.focus();
  }
  dialog.scrollTop = 0;
  // on a phone the runs are one row that scrolls
  dialog.querySelector('.runs [aria-pressed="true"]')?.scrollIntoView({ block: "nearest", inline: "center" });
}
