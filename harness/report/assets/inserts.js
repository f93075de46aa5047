// The rows of a witness, read off its INSERT statements: small tables instead of a wall of SQL.

const TOKEN = /"(?:[^"]|"")*"|'(?:[^']|'')*'|[(),;]|[^\s"'(),;]+|\s+|[^]/y;

/** A cursor over the words of SQL text. */
class Words {
  constructor(text) {
    this.text = text;
    this.tokens = [];
    this.place = 0;
    for (TOKEN.lastIndex = 0; TOKEN.lastIndex < text.length;) this.tokens.push({ at: TOKEN.lastIndex, text: TOKEN.exec(text)[0] });
  }
  peek() {
    while (/^\s/.test(this.tokens[this.place]?.text ?? "")) this.place++;
    return this.tokens[this.place]?.text ?? "";
  }
  take() {
    const word = this.peek();
    this.place++;
    return word;
  }
  takes(...wanted) {
    return wanted.every((word) => this.take().toUpperCase() === word);
  }
  /** The text from a place on. */
  from(place) {
    return this.text.slice(this.tokens[place]?.at ?? this.text.length).trim();
  }
  /** The texts between the commas of a list in parentheses; null where none begins here, or it does not end. */
  list() {
    if (this.peek() !== "(") return null;
    const parts = [""];
    let depth = 1;
    for (let place = this.place + 1; place < this.tokens.length; place++) {
      const word = this.tokens[place].text;
      if (word === ")" && --depth === 0) {
        this.place = place + 1;
        return parts.map((part) => part.trim());
      }
      if (word === "(") depth++;
      if (word === "," && depth === 1) parts.push("");
      else parts[parts.length - 1] += word;
    }
    return null;
  }
}

/** {tables: [{name, columns, rows}], rest}: what could be read, and the text from where it could not. */
function insertedRows(text) {
  const cursor = new Words(text);
  const tables = [];
  while (cursor.peek()) {
    const start = cursor.place;
    if (!cursor.takes("INSERT", "INTO")) return { tables, rest: cursor.from(start) };
    const made = { name: plainName(cursor.take()), columns: (cursor.list() || []).map(plainName), rows: [] };
    if (!cursor.takes("VALUES")) return { tables, rest: cursor.from(start) };
    tables.push(made);
    do {
      const row = cursor.list();
      if (!row) return { tables, rest: cursor.from(cursor.place) };
      made.rows.push(row.map(plainValue));
    } while (cursor.peek() === "," && cursor.take());
    if (cursor.peek() === ";") cursor.take();
  }
  return { tables, rest: "" };
}

function plainName(name) {
  return /^".*"$/s.test(name) ? name.slice(1, -1).replaceAll('""', '"') : name;
}

function plainValue(value) {
  if (/^null$/i.test(value)) return null;
  return /^'(?:[^']|'')*'$/.test(value) ? value.slice(1, -1).replaceAll("''", "'") : value;
}

/** The witness's rows; tables that gold or answer read come first, the others are folded away. */
function insertsView(text, statements) {
  const { tables, rest } = insertedRows(text);
  if (!tables.length) return [element("pre", "", text)];
  const read = new Set(statements.flatMap((sql) => words(sql).map((word) => plainName(word.text).toLowerCase())));
  const [used, other] = [true, false].map((wanted) => tables.filter((table) => read.has(table.name.toLowerCase()) === wanted));
  const parts = [insertedTables(used)];
  if (other.length) parts.push(folded(`${other.length} other ${other.length === 1 ? "table" : "tables"}`, insertedTables(other)));
  if (rest) parts.push(element("pre", "", rest));
  return parts;
}

function insertedTables(tables) {
  const row = element("div", "inserted tables");
  for (const table of tables) {
    const shown = { c: table.columns, r: table.rows };
    row.append(titled(table.name, scrolled(table.name, resultTable(shown, table.rows.map(() => false)))));
  }
  return row;
}
