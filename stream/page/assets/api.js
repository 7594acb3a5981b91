// The OpenAPI document, for reading.

import { byId, h, say } from "./dom.js";
import { ask } from "./feed.js";
import { theme } from "./theme.js";

theme(byId("theme"));

const nameIn = (reference) => reference.split("/").at(-1);

/** A schema in a few words, and links to those it is made of. */
function shape(schema) {
  if (!schema) return ["anything"];
  if (schema.$ref) return [h("a", { href: `#${nameIn(schema.$ref)}` }, nameIn(schema.$ref))];
  if (schema.anyOf) return schema.anyOf.flatMap((each, index) => [index ? " or " : "", ...shape(each)]);
  if (schema.enum) return [schema.enum.join(", ")];
  if (schema.type === "array") return ["list of ", ...shape(schema.items)];
  if (schema.type === "object") return ["table of ", ...shape(schema.additionalProperties)];
  return [schema.type ?? "anything"];
}

function path(name, { get }) {
  const answer = get.responses[200];
  const type = Object.values(answer.content)[0].schema;
  return h(
    "section",
    { class: "panel" },
    h("h3", {}, name.includes("{") ? `GET ${name}` : h("a", { href: name }, `GET ${name}`)),
    h("p", {}, get.summary, ". ", type ? ["Answers ", ...shape(type), "."] : answer.description),
    get.parameters.length > 0 &&
      h(
        "div",
        { class: "wide", tabindex: "0", role: "region", "aria-label": `Parameters of ${name}` },
        h(
          "table",
          {},
          h("thead", {}, h("tr", {}, ...["Parameter", "Meaning", "Values"].map((text) => h("th", { scope: "col" }, text)))),
          h("tbody", {}, ...get.parameters.map(parameter)),
        ),
      ),
  );
}

function parameter({ name, description, schema, in: place }) {
  return h(
    "tr",
    {},
    h("td", {}, h("code", {}, name)),
    h("td", {}, ...words(description ?? (place === "path" ? "In the path." : ""))),
    h("td", {}, schema.enum?.join(", ") ?? schema.type, schema.default != null ? `; ${schema.default} unless given` : ""),
  );
}

/** A text in which `this` is code. */
function words(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
}

function fieldsOf(name, schema) {
  const fields = Object.entries(schema.properties ?? {});
  return h(
    "details",
    { id: name },
    h("summary", {}, name),
    h("p", {}, ...words(schema.description ?? "")),
    fields.length
      ? h("dl", { class: "facts" }, ...fields.flatMap(([field, of]) => [h("dt", {}, h("code", {}, field)), h("dd", {}, ...shape(of), ...words(of.description ? `: ${of.description}` : ""))]))
      : h("p", {}, ...shape(schema)),
  );
}

function reveal() {
  const place = location.hash && byId(location.hash.slice(1));
  if (place instanceof HTMLDetailsElement) place.open = true;
}

const document_ = await ask("/api/openapi.json");
say(byId("about"), document_.info.description);
byId("paths").append(...Object.entries(document_.paths).map(([name, methods]) => path(name, methods)));
byId("schemas").append(...Object.entries(document_.components.schemas).map(([name, schema]) => fieldsOf(name, schema)));
addEventListener("hashchange", reveal);
reveal();
