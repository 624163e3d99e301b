// The same nine calls with the unmodified JavaScript SDK: node calls_openai.mjs GATEWAY_URL SPACE
import assert from "node:assert/strict";
import OpenAI from "openai";

const [gateway, space] = process.argv.slice(2);
const messages = [
  { role: "system", content: "SECRETSYS be brief" },
  { role: "user", content: "SECRETPROMPT hi" },
];
const client = (upstream) =>
  new OpenAI({
    baseURL: `${gateway}/s/${space}/${upstream}/v1`,
    apiKey: "sk-SECRETKEY",
    maxRetries: 0,
    defaultHeaders: { "x-chatgauge-user": "user-42", "x-chatgauge-session": "c-1" },
  });
const c = client("fake");
const chat = (more, from = c) =>
  from.chat.completions.create({ model: "gpt-4o-mini", messages, ...more });

assert.equal((await chat({})).choices[0].message.content, "Hello from the fake model");
for (const stream_options of [{ include_usage: true }, undefined]) {
  let text = "";
  let usages = 0;
  for await (const chunk of await chat({ stream: true, stream_options })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usages += chunk.usage ? 1 : 0;
  }
  assert.equal(text, "Hello from the fake model");
  assert.equal(usages, stream_options ? 1 : 0);
}
const tools = [{ type: "function", function: { name: "search", parameters: { type: "object" } } }];
assert.ok((await chat({ tools })).choices[0].message.tool_calls);
await assert.rejects(chat({ model: "err-429" }), OpenAI.RateLimitError);
await assert.rejects(chat({ model: "err-500" }), OpenAI.InternalServerError);
await assert.rejects(chat({}, client("dead")), OpenAI.InternalServerError);
const input = "SECRETPROMPT hi";
assert.equal((await c.responses.create({ model: "gpt-4o-mini", input })).output_text, "Hello from responses");
let last;
for await (const event of await c.responses.create({ model: "gpt-4o-mini", input, stream: true })) last = event;
assert.equal(last.type, "response.completed");
