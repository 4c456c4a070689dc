/** The OpenAPI document, made from the same table that serves the routes and from the shapes in wire.ts. */
import type { JsonObject } from "../base/json.ts";
import type { Fields } from "./read-body.ts";
import type { SpecialRoute } from "./route-table.ts";
import type { Route } from "./route.ts";

const FAULT_RESPONSE: JsonObject = { description: "Refused or failed.", content: { "application/json": { schema: shape("ApiFault") } } };

/** @param schemas  of wire.ts, by name. */
export function openApiDocument(routes: readonly Route[], special: readonly SpecialRoute[], schemas: JsonObject, version: string): JsonObject {
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
      schemas,
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
    responses: { "2XX": { description: route.answer, content: { "application/json": { schema: shape(route.answer) } } }, default: FAULT_RESPONSE },
  };
}

function bodySchemaOf(route: Route): JsonObject | null {
  if (route.wholeBody !== null) return { type: "object", additionalProperties: true };
  return Object.keys(route.fields.body).length === 0 ? null : objectOf(route.fields.body);
}

function objectOf(fields: Fields): JsonObject {
  return {
    type: "object",
    properties: Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.schema])),
    required: requiredIn(fields),
    additionalProperties: false,
  };
}

function parametersOf(fields: Fields, place: "path" | "query"): readonly JsonObject[] {
  return Object.entries(fields).map(([name, field]) => ({ name, in: place, required: field.required, schema: field.schema }));
}

function requiredIn(fields: Fields): readonly string[] {
  return Object.keys(fields).filter((name) => fields[name]!.required);
}

function specialOperationOf({ path, doc, open, query = {}, body, answer }: SpecialRoute): JsonObject {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]): JsonObject => ({ name: name!, in: "path", required: true, schema: { type: "string" } }));
  const fields = body === undefined ? {} : { requestBody: { required: true, content: { "application/json": { schema: objectOf(body) } } } };
  const done = answer === undefined ? {} : { content: { [answer.type]: { schema: answer.shape === undefined ? { type: "string" } : shape(answer.shape) } } };
  return {
    summary: doc,
    ...(open ? { security: [] } : {}),
    parameters: [...inPath, ...parametersOf(query, "query")],
    ...fields,
    responses: { "2XX": { description: answer?.shape ?? "Done.", ...done }, default: FAULT_RESPONSE },
  };
}

function shape(name: string): JsonObject {
  return { $ref: `#/components/schemas/${name}` };
}
