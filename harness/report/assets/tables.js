// Two result tables side by side, rows without a partner marked; and the witness that exposes a lucky match.

function tablesView(gold, found) {
  const two = element("div", "two tables");
  two.append(tableView("Rows of the gold", gold, found), tableView("Rows of the generated", found, gold));
  return two;
}

function tableView(title, table, other) {
  const off = unmatched(table, other);
  const marks = off.filter(Boolean).length;
  const counts = [`${grouped(table.n)} ${table.n === 1 ? "row" : "rows"}`];
  if (marks) counts.push(`${marks}${table.r.length < table.n ? " shown" : ""} without a partner`);
  const named = table.s ? `${title}: table ${table.s}` : title;
  const box = titled(named, scrolled(named, resultTable(table, off)));
  box.firstChild.append(element("span", "muted", ` ${counts.join(", ")}`));
  if (table.n > table.r.length) box.append(element("p", "note", `${grouped(table.n - table.r.length)} more ${table.n - table.r.length === 1 ? "row" : "rows"} not shown`));
  return box;
}

/** For each shown row: has it no partner in the other table? As the judge said, else by its text. */
function unmatched(table, other) {
  if (table.o !== undefined) return table.r.map((_, number) => number < table.o);
  return unmatchedRows(table.r, other.r);
}

function resultTable(table, off) {
  const marking = off.some(Boolean);
  const names = table.c.map((name) => element("th", "", name ?? ""));
  const head = element("tr", "", ...(marking ? [element("td", "mark")] : []), ...names);
  const rows = table.r.map((row, number) => {
    const cells = row.map((value) => value === null ? element("td", "null", "NULL") : element("td", "", value));
    if (marking) {
      const sign = element("td", "mark", off[number] ? "≠" : "");
      if (off[number]) sign.setAttribute("aria-label", "no partner in the other table");
      cells.unshift(sign);
    }
    return element("tr", off[number] ? "off" : "", ...cells);
  });
  return element("table", "", element("thead", "", head), element("tbody", "", ...rows));
}

function scrolled(name, content) {
  const box = element("div", "scroll", content);
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", name);
  return box;
}

/** The rows of a made database on which gold and answer part, and what each returns there. */
function witnessView(witness, statements) {
  const box = element("div", "witness");
  box.append(element("h4", "", witness.w === undefined ? "Witness: rows that tell the two apart" : `Witness ${witness.w}: rows that tell the two apart`));
  if (witness.i) box.append(...insertsView(witness.i, statements));
  const two = element("div", "two tables");
  const gold = witness.u, found = witness.t;
  const nothing = { r: [] };
  if (gold) two.append(tableView("Gold on the witness", gold, found || nothing));
  if (found) two.append(tableView("Generated on the witness", found, gold || nothing));
  else if (witness.e) two.append(titled("Generated on the witness", element("p", "reason", witness.e)));
  box.append(two);
  return box;
}
