/**
 * Reads src/api/wire.ts into JSON Schemas, one for each exported shape, in the order of the file.
 *
 * It knows the few forms that the file is written in: interfaces, aliases, unions, lists, literals,
 * intersections, `Record`, `Omit`, `extends`. Anything else is an error that names it, so nothing is left out in silence.
 */

const TOKENS = /\/\*\*([\s\S]*?)\*\/|\/\*[\s\S]*?\*\/|\/\/[^\n]*|"((?:[^"\\]|\\.)*)"|([A-Za-z_$][\w$]*)|([{}[\]()<>;:,?|&=])|(\S)/g;
const PLAIN = { string: { type: "string" }, number: { type: "number" }, boolean: { type: "boolean" }, null: { type: "null" }, unknown: {} };

/** @returns the schemas by name; shapes that name each other do so by `#/components/schemas/NAME`. */
export function wireSchemas(source) {
  const tokens = tokensOf(source);
  const schemas = {};
  let at = 0;
  while (at < tokens.length) {
    const doc = takeDoc();
    expect("export");
    const form = take().word;
    const name = take().word;
    if (form === "interface") {
      const parent = nextIs("extends") ? (take(), take().word) : null;
      const own = objectType();
      schemas[name] = described(parent === null ? own : joined(schemas[parent], own), doc);
    } else if (form === "type") {
      expect("=");
      schemas[name] = described(unionType(), doc);
      expect(";");
    } else throw new Error(`wire.ts: cannot read "export ${form}"`);
  }
  return schemas;

  function unionType() {
    if (nextIs("|")) take();
    const parts = [bothType()];
    while (nextIs("|")) {
      take();
      parts.push(bothType());
    }
    return parts.length === 1 ? parts[0] : unionOf(parts);
  }

  function bothType() {
    const parts = [listType()];
    while (nextIs("&")) {
      take();
      parts.push(listType());
    }
    return parts.length === 1 ? parts[0] : { allOf: parts };
  }

  function listType() {
    if (nextIs("readonly")) take();
    let type = oneType();
    while (nextIs("[") && tokens[at + 1].word === "]") {
      at += 2;
      type = { type: "array", items: type };
    }
    return type;
  }

  function oneType() {
    const token = tokens[at];
    if (token.text !== undefined) return take(), { const: token.text };
    if (token.word === "{") return objectType();
    if (token.word === "(") {
      take();
      const type = unionType();
      expect(")");
      return type;
    }
    const { word } = take();
    if (Object.hasOwn(PLAIN, word)) return { ...PLAIN[word] };
    if (word === "Readonly") return inAngles(unionType);
    if (word === "Record") return inAngles(() => (unionType(), expect(","), { type: "object", additionalProperties: unionType() }));
    if (word === "Omit") return inAngles(() => ({ ...without(unionType(), (expect(","), unionType())) }));
    if (/^[A-Z]\w*$/.test(word)) return { $ref: `#/components/schemas/${word}` };
    throw new Error(`wire.ts: cannot read the type ${word}`);
  }

  function inAngles(read) {
    expect("<");
    const type = read();
    expect(">");
    return type;
  }

  function objectType() {
    expect("{");
    const properties = {};
    const required = [];
    let isOpen = false;
    while (!nextIs("}")) {
      const doc = takeDoc();
      if (nextIs("readonly")) take();
      if (nextIs("[")) {
        while (take().word !== "]");
        isOpen = true;
        expect(":");
        unionType();
      } else {
        const name = take().word;
        const isOptional = nextIs("?") && take() !== undefined;
        expect(":");
        properties[name] = described(unionType(), doc);
        if (!isOptional) required.push(name);
      }
      if (nextIs(";") || nextIs(",")) take();
    }
    expect("}");
    return { type: "object", properties, required, ...(isOpen ? { additionalProperties: true } : {}) };
  }

  function without(type, names) {
    const base = schemas[type.$ref?.split("/").at(-1)];
    const left = names.enum ?? [names.const];
    // A shape that leaves fields of itself out is not finished yet: its lists hold what it says of itself so far.
    if (base === undefined) return { type: "object", description: `As the shape around it, without ${left.join(", ")}.` };
    return { ...base, properties: Object.fromEntries(Object.entries(base.properties).filter(([name]) => !left.includes(name))), required: base.required.filter((name) => !left.includes(name)) };
  }

  function takeDoc() {
    let doc = "";
    while (tokens[at]?.doc !== undefined) doc = tokens[at++].doc;
    return doc;
  }
  function take() {
    while (tokens[at].doc !== undefined) at++;
    return tokens[at++];
  }
  function nextIs(word) {
    return tokens[at]?.word === word;
  }
  function expect(word) {
    const token = take();
    if (token.word !== word) throw new Error(`wire.ts: ${word} expected after ${tokens.slice(Math.max(0, at - 8), at).map((one) => one.word ?? one.text ?? "").join(" ")}`);
  }
}

function tokensOf(source) {
  const tokens = [];
  for (const [all, doc, text, word, sign, stray] of source.matchAll(TOKENS)) {
    if (stray !== undefined) throw new Error(`wire.ts: cannot read ${JSON.stringify(stray)}`);
    if (doc !== undefined) tokens.push({ doc: doc.replace(/^\s*\*\s?/gm, "").replace(/\s+/g, " ").trim() });
    else if (text !== undefined) tokens.push({ text: JSON.parse(`"${text}"`) });
    else if (word !== undefined || sign !== undefined) tokens.push({ word: word ?? sign });
    else if (!all.startsWith("/")) throw new Error(`wire.ts: cannot read ${all}`);
  }
  // The head of the file speaks of the file.
  return tokens[0]?.doc === undefined ? tokens : tokens.slice(1);
}

function unionOf(parts) {
  const texts = parts.flatMap((part) => (part.const !== undefined ? [part.const] : []));
  const rest = parts.filter((part) => part.const === undefined);
  const all = [...(texts.length > 0 ? [{ type: "string", enum: texts }] : []), ...rest];
  if (all.length === 1) return all[0];
  if (all.length === 2 && all[1].type === "null" && typeof all[0].type === "string" && all[0].enum === undefined) return { ...all[0], type: [all[0].type, "null"] };
  return { anyOf: all };
}

function joined(parent, own) {
  return { ...parent, properties: { ...parent.properties, ...own.properties }, required: [...parent.required, ...own.required] };
}

function described(schema, doc) {
  if (doc === "") return schema;
  return schema.$ref === undefined ? { ...schema, description: doc } : { allOf: [schema], description: doc };
}
