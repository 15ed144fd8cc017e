// The official JavaScript clients of OpenAI, Anthropic and Ollama against a running node.
//
// Arguments: address of the API without a path, and which checks: `plain` or `structured`. One line for each check
// that passed; the first that fails ends the run.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import OpenAI from "openai";

const [base, which] = process.argv.slice(2);
const messages = [{ role: "user", content: "What is the capital of France?" }];
const paris = "The capital of France is Paris.";
const model = "tiny-gemma:q8_0";

const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "no key is needed", maxRetries: 0, timeout: 60_000 });
const anthropic = new Anthropic({ baseURL: base, apiKey: "no key is needed", maxRetries: 0, timeout: 60_000 });
const ollama = new Ollama({ host: base });

const plain = {
  async chat() {
    const answer = await openai.chat.completions.create({ model, messages, temperature: 0 });
    assert.equal(answer.choices[0].message.content.trim(), paris);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  },

  async chatStream() {
    const options = { model, messages, temperature: 0, stream: true, stream_options: { include_usage: true } };
    let text = "";
    let usage = null;
    for await (const chunk of await openai.chat.completions.create(options)) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text.trim(), paris);
    assert.ok(usage.completion_tokens > 3);
    const runner = openai.chat.completions.stream({ model, messages, temperature: 0 });
    assert.equal((await runner.finalContent()).trim(), paris);
    const dropped = await openai.chat.completions.create({ model, messages, stream: true });
    for await (const _ of dropped) break; // Hanging up in the middle must not hurt what follows.
  },

  async completions() {
    const answer = await openai.completions.create({ model, prompt: "The capital", temperature: 0, max_tokens: 3 });
    assert.ok(answer.usage.completion_tokens <= 3);
  },

  async embeddings() {
    const answer = await openai.embeddings.create({ model, input: ["Paris", "France"] });
    assert.equal(answer.data.length, 2);
    const length = answer.data[0].embedding.reduce((sum, x) => sum + x * x, 0);
    assert.ok(Math.abs(length - 1) < 1e-3, String(length));
  },

  async responses() {
    const answer = await openai.responses.create({ model, input: messages, temperature: 0 });
    assert.equal(answer.output_text.trim(), paris);
    let text = "";
    const kinds = [];
    for await (const event of await openai.responses.create({ model, input: messages, temperature: 0, stream: true })) {
      kinds.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assert.equal(text.trim(), paris);
    assert.deepEqual([kinds[0], kinds.at(-1)], ["response.created", "response.completed"]);
    const final = await openai.responses.stream({ model, input: messages, temperature: 0 }).finalResponse();
    assert.equal(final.output_text.trim(), paris);
  },

  async models() {
    const ids = [];
    for await (const one of openai.models.list()) ids.push(one.id);
    assert.deepEqual(ids, [model]);
    assert.equal((await openai.models.retrieve(model)).id, model);
  },

  async errors() {
    const missing = openai.chat.completions.create({ model: "no-such", messages });
    await assert.rejects(missing, (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
    const theirs = anthropic.messages.create({ model: "no-such", max_tokens: 5, messages });
    await assert.rejects(theirs, (error) => error instanceof Anthropic.NotFoundError);
    await assert.rejects(ollama.chat({ model: "no-such", messages }), /no-such/);
  },

  async anthropicMessages() {
    const answer = await anthropic.messages.create({ model, max_tokens: 64, messages, temperature: 0 });
    assert.equal(answer.content[0].text.trim(), paris);
    const stream = anthropic.messages.stream({ model, max_tokens: 64, messages, temperature: 0 });
    assert.equal((await stream.finalText()).trim(), paris);
    assert.equal((await stream.finalMessage()).stop_reason, "end_turn");
  },

  async ollamaAll() {
    const options = { temperature: 0 };
    const answer = await ollama.chat({ model, messages, options });
    assert.equal(answer.message.content.trim(), paris);
    let text = "";
    for await (const part of await ollama.chat({ model, messages, options, stream: true })) text += part.message.content;
    assert.equal(text.trim(), paris);
    const whole = await ollama.generate({ model, prompt: messages[0].content, options });
    assert.equal(whole.response.trim(), paris);
    assert.equal((await ollama.embed({ model, input: ["a", "b"] })).embeddings.length, 2);
    assert.deepEqual((await ollama.list()).models.map((one) => one.name), [model]);
    assert.equal((await ollama.show({ model })).details.format, "gguf");
    assert.match((await ollama.version()).version, /^\d/);
  },
};

const structured = {
  async tools() {
    const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
    const tools = [{ type: "function", function: { name: "weather", parameters } }];
    const options = { model, messages, tools, tool_choice: "required", temperature: 0, max_tokens: 200 };
    const answer = await openai.chat.completions.create(options);
    assert.equal(answer.choices[0].message.tool_calls[0].function.name, "weather");
    const final = await openai.chat.completions.stream(options).finalChatCompletion();
    assert.equal(final.choices[0].message.tool_calls[0].function.name, "weather");
  },

  async forms() {
    const schema = {
      type: "object",
      properties: { city: { type: "string", maxLength: 8 } },
      required: ["city"],
      additionalProperties: false,
    };
    const response_format = { type: "json_schema", json_schema: { name: "city", strict: true, schema } };
    const answer = await openai.chat.completions.create({ model, messages, response_format, max_tokens: 200 });
    assert.equal(typeof JSON.parse(answer.choices[0].message.content).city, "string");
  },

  async likelihoods() {
    const options = { model, messages, temperature: 0, logprobs: true, top_logprobs: 2, max_tokens: 3 };
    const answer = await openai.chat.completions.create(options);
    assert.equal(answer.choices[0].logprobs.content.length, answer.usage.completion_tokens);
  },
};

for (const [name, check] of Object.entries({ plain, structured }[which])) {
  await check();
  process.stdout.write(`ok ${name}\n`);
}
