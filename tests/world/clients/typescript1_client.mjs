// A client made with the TypeScript SDK 1.x.
//
//     node typescript1_client.mjs COMMAND [ARGUMENT...]      (from where its node_modules are)
//
// It launches the command as its server and prints one JSON document with what it saw.

import { createRequire } from "node:module";

// The packages stand in an environment of their own, which is the current directory, not beside this file.
const require = createRequire(`${process.cwd()}/`);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { ElicitRequestSchema } = require("@modelcontextprotocol/sdk/types.js");

const [command, ...args] = process.argv.slice(2);
const progress = [];
const questions = [];

const client = new Client({ name: "typescript1", version: "1.0.0" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
  questions.push(params.message);
  return { action: "accept", content: { answer: "blue" } };
});
const transport = new StdioClientTransport({ command, args });
// The transport is told the negotiated version by the client; the SDK does not tell anyone else.
let protocol;
transport.setProtocolVersion = (version) => { protocol = version; };
await client.connect(transport);
// The SDK drops progress that it reads in one piece with the answer, so it is counted as it arrives.
const deliver = transport.onmessage;
transport.onmessage = (message, extra) => {
  if (message.method === "notifications/progress") {
    progress.push([message.params.progress, message.params.total]);
  }
  deliver(message, extra);
};

const call = (name, callArguments, options) =>
  client.callTool({ name, arguments: callArguments }, undefined, options);
const { tools } = await client.listTools();
const added = await call("add", { a: 2, b: 3 });
const slow = await call("slow", { steps: 3, ms: 150 }, { onprogress: () => {} });
const asked = await call("ask", { question: "Which colour?" });
const table = await client.readResource({ uri: "ferry://tide-table" });
await client.close();

console.log(JSON.stringify({
  protocol,
  tools: tools.map((tool) => tool.name).sort(),
  add: added.content[0].text,
  slow: slow.content[0].text,
  progress,
  questions,
  ask: asked.content[0].text,
  table: table.contents[0].text,
}));
