// One item: question, gold and answer side by side, the verdict's reason, tables, witness, schema, raw completion.

function itemView(item, text) {
  const answer = text.r[state.run];
  const parts = [element("p", "ask", text.q), runButtons(item)];
  if (!answer) return [...parts, element("p", "reason", "This run was not asked this question."), schemaView(text)];
  const gold = answer.g || text.g;
  const [left, right, whole] = difference(gold, answer.s);
  const two = element("div", "two");
  two.append(
    titled("Gold", marked(left, "gone")),
    titled("Generated", answer.s ? marked(right, "new") : element("pre", "muted", "no SQL was found in the answer")),
  );
  parts.push(two, verdictView(item, answer));
  if (!whole) parts.push(element("p", "note", "Too long to mark the differences."));
  if (answer.t && answer.u) parts.push(tablesView(answer.u, answer.t));
  if (answer.p) parts.push(witnessView(answer.p, [gold, answer.s]));
  if (answer.c !== undefined) parts.push(folded("Answer as the model wrote it", element("pre", "", answer.c)));
  parts.push(schemaView(text), sliceView(item));
  return parts;
}

function titled(title, ...content) {
  return element("div", "", element("h4", "", title), ...content);
}

function folded(title, content, open = false) {
  const details = element("details", "", element("summary", "", title), content);
  details.open = open;
  return details;
}

function runButtons(item) {
  const row = element("div", "runs");
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", "Runs");
  meta.runs.forEach((run, number) => {
    if (index.outcomes[number][item] < 0) return;
    const button = element("button", "", `${run.label} `, outcomeTag(number, item));
    button.type = "button";
    button.setAttribute("aria-pressed", String(String(number) === state.run));
    button.addEventListener("click", () => go({ ...state, run: String(number), versus: state.versus === String(number) ? "" : state.versus }));
    row.append(button);
  });
  return row;
}

function verdictView(item, answer) {
  const box = element("div", "reason");
  const name = meta.outcomes[index.outcomes[state.run][item]];
  const said = lucky(state.run, item) ? `${plain(name)}, but lucky` : plain(name);
  box.append(element("strong", "", said), answer.m ? `: ${answer.m}` : "");
  const notes = [];
  if (lucky(state.run, item))
    notes.push(answer.w === undefined || answer.p
      ? "Right on the shipped rows, but the suite tells it from the gold."
      : `Right on the shipped rows, but witness database ${answer.w} tells it from the gold.`);
  const rules = meta.rules.filter((rule) => rule !== "default" && verdict(state.run, item, rule) !== null);
  const right = rules.filter((rule) => verdict(state.run, item, rule)), wrong = rules.filter((rule) => !verdict(state.run, item, rule));
  if (right.length) notes.push(`Right by ${right.map(plain).join(", ")}.`);
  if (wrong.length) notes.push(`Wrong by ${wrong.map(plain).join(", ")}.`);
  if (answer.x) notes.push("Exact match.");
  if (answer.n) notes.push(`Rows: gold ${answer.n[0] ?? "unknown"}, generated ${answer.n[1]}.`);
  if (answer.d) notes.push(`Read as ${answer.d}.`);
  if (answer.k) notes.push(`${answer.k} output tokens.`);
  box.append(element("p", "note", notes.join(" ")));
  return box;
}

function schemaView(text) {
  return folded("Schema", element("pre", "", text.c || "none shown"), true);
}

function sliceView(item) {
  const row = element("p", "note slices");
  meta.dimensions.forEach((dimension, number) => {
    const value = index.slices[number][item];
    if (value < 0) return;
    const name = dimension.values[value], link = element("a", "", `${plain(dimension.name)}: ${name}`);
    link.href = write({ ...state, item: "", page: 0, slice: `${dimension.name}:${name}` });
    row.append(link);
  });
  return row;
}
