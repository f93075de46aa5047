// The items: a small index held in memory, and blocks of texts unpacked when they are needed.

const meta = JSON.parse(document.getElementById("meta").textContent);
const packedBlocks = [...document.querySelectorAll("script.block")].map((script) => script.textContent);
const BLOCKS_KEPT = 60;
const unpacked = new Map();
let index = null;

/** All text enters the page here, as text: nothing of a model's output is ever read as markup. */
function element(name, kind, ...content) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...content);
  return made;
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function block(number) {
  let found = unpacked.get(number);
  if (found) unpacked.delete(number);
  else found = unpack(packedBlocks[number]);
  unpacked.set(number, found);
  if (unpacked.size > BLOCKS_KEPT) unpacked.delete(unpacked.keys().next().value);
  return found;
}

async function texts(item) {
  return (await block(Math.floor(item / meta.block)))[item % meta.block];
}

const RULE_BITS = new Map(meta.rules.map((rule, place) => [rule, 2 * place]));

/** true, false, or null where the rule has no verdict on this run's answer. */
function verdict(run, item, rule = "default") {
  const shift = RULE_BITS.get(rule);
  const bits = shift === undefined ? 0 : (index.verdicts[run][item] >> shift) & 3;
  return bits === 0 ? null : bits === 2;
}

function lucky(run, item) {
  return verdict(run, item) === true && verdict(run, item, "suite") === false;
}

/** A function that tells whether an item passes every filter but the text search. */
function sieve(state) {
  const outcome = state.outcome ? meta.outcomes.indexOf(state.outcome) : null;
  const cut = (state.slice || "").indexOf(":");
  const name = cut < 0 ? "" : state.slice.slice(0, cut), value = cut < 0 ? "" : state.slice.slice(cut + 1);
  const dimension = meta.dimensions.findIndex((one) => one.name === name);
  const wanted = dimension < 0 ? -2 : meta.dimensions[dimension].values.indexOf(value);
  return (item) => {
    const found = index.outcomes[state.run][item];
    if (found < 0 || (outcome !== null && found !== outcome)) return false;
    if (dimension >= 0 && index.slices[dimension][item] !== wanted) return false;
    if (state.flip && state.versus !== "") {
      const before = verdict(state.versus, item), after = verdict(state.run, item);
      if (before === null || after === null || before === after) return false;
      if ((state.flip === "gain" && !after) || (state.flip === "loss" && after)) return false;
    }
    if (state.rule) {
      const other = verdict(state.run, item, state.rule);
      if (other === null || other === verdict(state.run, item)) return false;
    }
    return !state.lucky || lucky(state.run, item);
  };
}

/** Items whose texts hold the search words; looks through the blocks in turn and stops when `stale` says so. */
async function search(candidates, state, stale, progress) {
  const needle = state.q.toLowerCase();
  const hits = [];
  let last = -1;
  for (const item of candidates) {
    const number = Math.floor(item / meta.block);
    if (number !== last) {
      if (stale()) return null;
      progress(number + 1, packedBlocks.length);
      last = number;
    }
    const text = (await block(number))[item % meta.block], answer = text.r[state.run] || {};
    const hay = [index.ids[item], text.q, text.g, answer.s, answer.c, answer.m].join("\n").toLowerCase();
    if (hay.includes(needle)) hits.push(item);
  }
  return stale() ? null : hits;
}
