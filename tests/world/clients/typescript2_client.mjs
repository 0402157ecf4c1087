// A client made with the TypeScript SDK 2.x.
//
//     node typescript2_client.mjs legacy|auto COMMAND [ARGUMENT...]   (from where its node_modules are)
//
// It launches the command as its server and prints one JSON document with what it saw. In the mode
// `auto` it first launches the command once more, to ask for the modern era, and ends that process.

import { createRequire } from "node:module";

// The packages stand in an environment of their own, which is the current directory, not beside this file.
const require = createRequire(`${process.cwd()}/`);
const { Client } = require("@modelcontextprotocol/client");
const { StdioClientTransport } = require("@modelcontextprotocol/client/stdio");

const [mode, command, ...args] = process.argv.slice(2);
const progress = [];
const questions = [];

const client = new Client(
  { name: "typescript2", version: "1.0.0" },
  { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode } },
);
client.setRequestHandler("elicitation/create", async ({ params }) => {
  questions.push(params.message);
  return { action: "accept", content: { answer: "blue" } };
});
const transport = new StdioClientTransport({ command, args });
await client.connect(transport);
// The SDK drops progress that it reads in one piece with the answer, so it is counted as it arrives.
const deliver = transport.onmessage;
transport.onmessage = (message, extra) => {
  if (message.method === "notifications/progress") {
    progress.push([message.params.progress, message.params.total]);
  }
  deliver(message, extra);
};

const call = (name, callArguments, options) => client.callTool({ name, arguments: callArguments }, options);
const { tools } = await client.listTools();
const added = await call("add", { a: 2, b: 3 });
const slow = await call("slow", { steps: 3, ms: 150 }, { onprogress: () => {} });
const asked = await call("ask", { question: "Which colour?" });
const table = await client.readResource({ uri: "ferry://tide-table" });
const protocol = client.getNegotiatedProtocolVersion();
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
