// Marks what one SQL text has and the other lacks, word by word; the case of words outside quotes does not count.

const WORD = /\s+|'(?:[^']|'')*'?|"[^"]*"?|`[^`]*`?|[\p{L}_][\p{L}\p{N}_$]*|\d+(?:\.\d+)?|<>|!=|<=|>=|\|\||::|[^]/gu;
const LONGEST_DIFF = 700;

function words(text) {
  return (text.match(WORD) || []).map((word) => ({
    text: word,
    space: /^\s/.test(word),
    key: /^['"`]/.test(word) ? word : word.toLowerCase(),
  }));
}

/** For each of two texts: its words, each with `kept` telling whether the other text has it at that place. */
function difference(left, right) {
  const a = words(left), b = words(right);
  const x = a.filter((word) => !word.space), y = b.filter((word) => !word.space);
  if (x.length > LONGEST_DIFF || y.length > LONGEST_DIFF) {
    for (const word of [...a, ...b]) word.kept = true;
    return [a, b, false];
  }
  const width = y.length + 1;
  const longest = new Uint16Array((x.length + 1) * width);
  for (let i = x.length - 1; i >= 0; i--)
    for (let j = y.length - 1; j >= 0; j--)
      longest[i * width + j] = x[i].key === y[j].key
        ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
  let i = 0, j = 0;
  while (i < x.length && j < y.length) {
    if (x[i].key === y[j].key) { x[i++].kept = true; y[j++].kept = true; }
    else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i++;
    else j++;
  }
  return [a, b, true];
}

/** A <pre> of the words, runs of unmatched ones in one <mark>. */
function marked(list, kind) {
  const pre = element("pre");
  let mark = null, gap = "";
  for (const word of list) {
    if (word.space) { gap += word.text; continue; }
    if (word.kept) {
      pre.append(gap + word.text);
      mark = null;
    } else {
      if (mark) mark.append(gap + word.text);
      else {
        pre.append(gap);
        mark = element("mark", kind, word.text);
        pre.append(mark);
      }
    }
    gap = "";
  }
  pre.append(gap);
  return pre;
}

/** Which rows of two result tables have no partner in the other, as a bag. */
function unmatchedRows(rows, others) {
  const left = new Map();
  for (const row of others) {
    const key = JSON.stringify(row);
    left.set(key, (left.get(key) || 0) + 1);
  }
  return rows.map((row) => {
    const key = JSON.stringify(row), count = left.get(key) || 0;
    if (count) left.set(key, count - 1);
    return !count;
  });
}
