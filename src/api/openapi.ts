/** The OpenAPI document, made from the same table that serves the routes. */
import type { JsonObject } from "../base/json.ts";
import type { Fields } from "./read-body.ts";
import type { SpecialRoute } from "./route-table.ts";
import type { Route } from "./route.ts";

const FAULT_SCHEMA: JsonObject = {
  type: "object",
  required: ["code", "message", "details", "retryable"],
  properties: {
    code: { type: "string", description: "From the table in docs/faults.md." },
    message: { type: "string", description: "What is wrong, where, and what to do." },
    details: { type: "object" },
    retryable: { type: "boolean", description: "The same request may succeed later." },
    retryAfterMs: { type: "integer" },
  },
};

const FAULT_RESPONSE: JsonObject = { description: "Refused or failed.", content: { "application/json": { schema: { $ref: "#/components/schemas/ApiFault" } } } };

export function openApiDocument(routes: readonly Route[], special: readonly SpecialRoute[], version: string): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const route of routes) put(paths, route.path, route.method, operationOf(route));
  for (const one of special) put(paths, one.path, one.method, specialOperationOf(one));
  return {
    openapi: "3.1.0",
    info: { title: "Yardmaster", version, description: "Each operation's operationId is its method on /api/socket (JSON-RPC 2.0); path, query and body fields are then one object." },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      schemas: { ApiFault: FAULT_SCHEMA },
    },
  };
}

function put(paths: Record<string, Record<string, JsonObject>>, path: string, method: string, operation: JsonObject): void {
  const template = path.replace(/:(\w+)/g, "{$1}");
  paths[template] = { ...paths[template], [method.toLowerCase()]: operation };
}

function operationOf(route: Route): JsonObject {
  const body = bodySchemaOf(route);
  return {
    operationId: route.rpc,
    summary: route.doc,
    parameters: [...parametersOf(route.fields.path, "path"), ...parametersOf(route.fields.query, "query")],
    ...(body === null ? {} : { requestBody: { required: requiredIn(route.fields.body).length > 0, content: { "application/json": { schema: body } } } }),
    responses: { "2XX": { description: `${route.answer} of api/wire.ts.`, content: { "application/json": { schema: { type: "object", title: route.answer } } } }, default: FAULT_RESPONSE },
  };
}

function bodySchemaOf(route: Route): JsonObject | null {
  if (route.wholeBody !== null) return { type: "object", additionalProperties: true };
  const fields = Object.entries(route.fields.body);
  if (fields.length === 0) return null;
  return {
    type: "object",
    properties: Object.fromEntries(fields.map(([name, field]) => [name, field.schema])),
    required: requiredIn(route.fields.body),
    additionalProperties: false,
  };
}

function parametersOf(fields: Fields, place: "path" | "query"): readonly JsonObject[] {
  return Object.entries(fields).map(([name, field]) => ({ name, in: place, required: field.required, schema: field.schema }));
}

function requiredIn(fields: Fields): readonly string[] {
  return Object.keys(fields).filter((name) => fields[name]!.required);
}

function specialOperationOf(one: SpecialRoute): JsonObject {
  return { summary: one.doc, ...(one.open ? { security: [] } : {}), responses: { "2XX": { description: "Done." }, default: FAULT_RESPONSE } };
}
