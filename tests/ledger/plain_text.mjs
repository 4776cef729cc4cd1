// Plain text in JavaScript, from the specification's list alone: the decision for every code point, and
// for every vector, for test_plain_text.py to compare with Python's. And the list itself is checked
// against this runtime's Unicode tables, which are newer than the list's.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const [listFile, vectorsFile] = process.argv.slice(2);
const list = JSON.parse(readFileSync(listFile, "utf8"));
const vectors = JSON.parse(readFileSync(vectorsFile, "utf8"));

const inside = (ranges) =>
  ranges
    .map((range) => range.split("-"))
    .map(([first, last]) => `\\u{${first}}-\\u{${last ?? first}}`)
    .join("");
const plain = inside(Object.values(list.code_points).flat());
const foreign = new RegExp(`[^${plain}]`, "u");
const foreignInCaseNumbers = new RegExp(`[^${inside(list.case_number.code_points)}]`, "u");
const quotation = new RegExp(`[${list.quotation_marks}]|['’]{2}`, "u");
const [latin, greek, cyrillic] = ["latin", "greek", "cyrillic"].map((name) => inside(list.code_points[name]));
const mixed = new RegExp(
  `[${latin}][${greek}${cyrillic}]|[${greek}][${latin}${cyrillic}]|[${cyrillic}][${latin}${greek}]`,
  "u",
);

const length = (text) => [...text].length;
const isText = (text, most = 2000) =>
  length(text) >= 1 && length(text) <= most && !foreign.test(text) && !/^ | $| {2}/.test(text) && !mixed.test(text);
const arePairs = (text) => {
  const open = [];
  for (const character of text) {
    const pair = list.case_number.brackets.find((each) => each.includes(character));
    if (pair === undefined) continue;
    if (character === pair[0]) open.push(pair);
    else if (open.pop() !== pair) return false;
  }
  return open.length === 0;
};
const kinds = {
  text: isText,
  name: (text) => isText(text, 200) && !quotation.test(text),
  case_number: (text) =>
    length(text) >= 1 && length(text) <= 64 && !foreignInCaseNumbers.test(text) && arePairs(text),
  document: (text) =>
    length(text) >= 1 && length(text) <= 200_000 && text.split("\n").every((line) => !foreign.test(line)),
};

const problems = [];
for (const [kind, { plain: good, refused }] of Object.entries(vectors.kinds)) {
  for (const text of good) if (!kinds[kind](text)) problems.push(`${kind} refused: ${text}`);
  for (const { text, why } of refused) if (kinds[kind](text)) problems.push(`${kind} taken: ${why}`);
}
const everyForeign = new RegExp(foreign, "gu");
for (const { text, shown } of vectors.escaped) {
  const made = text.replace(everyForeign, (found) => `\\u{${found.codePointAt(0).toString(16).toUpperCase()}}`);
  if (made !== shown) problems.push(`shown otherwise: ${shown}`);
}

// What joins the character before it (NFC_Quick_Check is Maybe) ends some character's decomposition.
const joining = new Set();
for (let point = 0; point <= 0x10ffff; point++) {
  const parts = [...String.fromCodePoint(point).normalize("NFD")];
  if (parts.length > 1) joining.add(parts.at(-1));
}

const bits = new Uint8Array(0x110000 / 8);
const never = /\p{Default_Ignorable_Code_Point}|\p{Bidi_Control}|\p{Mark}|\p{Other}|\p{Separator}|\p{Deprecated}|\p{Variation_Selector}/u;
const turning = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
for (let point = 0; point <= 0x10ffff; point++) {
  const character = String.fromCodePoint(point);
  if (foreign.test(character)) continue;
  bits[point >> 3] |= 1 << (point & 7);
  const unfit =
    (point !== 0x20 && never.test(character)) ||
    turning.test(character) ||
    joining.has(character) ||
    character.normalize("NFC") !== character ||
    `a${character}`.normalize("NFC") !== `a${character}`;
  if (unfit) problems.push(`unfit for the list: U+${point.toString(16)}`);
}

const decided = createHash("sha256").update(bits).digest("hex");
console.log(JSON.stringify({ decided, problems, unicode: process.versions.unicode }));
