// The configuration of `lite start`, which reads ours from config.json in the folder that it runs in.
import { readFileSync } from "node:fs";
import { createPostgresConnection } from "@supabase/lite/postgres";

const { url, ...configuration } = JSON.parse(readFileSync("config.json", "utf8"));

// Lite writes an argument of type json as JSON itself; its driver would write that again, and the function would get one string.
const serialize = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const types = {
  json: { to: 114, from: [114], serialize, parse: JSON.parse },
  jsonb: { to: 3802, from: [3802], serialize, parse: JSON.parse },
};

export default { ...configuration, connection: createPostgresConnection({ url, postgresOptions: { types } }) };
