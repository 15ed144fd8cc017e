// A question in canonical form: whatever decides an answer stands in it, and nothing else does.
// The twin of `ainonymous_verify::commit::question`.
import type {
  ChatAdjust,
  ChatConstraint,
  ChatInput,
  ChatMore,
  ChatPrompt,
  ChatRole,
  ChatToolChoice,
  MessageMore,
} from "../generated/types";
import type { Encoder } from "./canonical";

type Bytes = Encoder<Uint8Array>;

const roleCode: Record<ChatRole, number> = { system: 0, user: 1, assistant: 2, tool: 3 };

/** Adds a question. */
export function write(e: Bytes, { messages, sampling, max_tokens, stop, more }: ChatInput): void {
  e.list(messages, (message) => {
    e.u8(roleCode[message.role]).text(message.content);
    e.option(message.more, (beside) => messageMore(e, beside));
  });
  e.u32(sampling.temperature_milli)
    .u32(sampling.top_p_milli)
    .u32(sampling.min_p_milli)
    .u32(sampling.top_k)
    .u64(sampling.seed)
    .u32(max_tokens)
    .list(stop, (text) => e.text(text))
    .option(more, (beside) => chatMore(e, beside));
}

function messageMore(e: Bytes, { images, reasoning, tool_calls, tool_call_id, name }: MessageMore): void {
  e.list(images, ({ at, file }) => e.u32(at).blob(file))
    .option(reasoning, (text) => e.text(text))
    .list(tool_calls, (call) => e.text(call.id).text(call.name).text(call.arguments))
    .option(tool_call_id, (text) => e.text(text))
    .option(name, (text) => e.text(text));
}

function chatMore(e: Bytes, more: ChatMore): void {
  e.option(more.prompt, (prompt) => chatPrompt(e, prompt));
  e.list(more.tools, (tool) => {
    e.text(tool.name)
      .option(tool.description, (text) => e.text(text))
      .text(tool.parameters);
  });
  toolChoice(e, more.tool_choice);
  e.u8(more.parallel_tool_calls ? 1 : 0)
    .option(more.thinking, (thinking) => e.u8(thinking ? 1 : 0))
    .text(more.template_arguments)
    .option(more.adjust, (adjust) => chatAdjust(e, adjust))
    .option(more.constraint, (constraint) => chatConstraint(e, constraint))
    .option(more.logprobs, (count) => e.u32(count))
    .u8(more.ignore_end ? 1 : 0)
    .list(more.begun, (token) => e.u32(token));
}

function chatPrompt(e: Bytes, prompt: ChatPrompt): void {
  if ("text" in prompt) e.u8(0).text(prompt.text);
  else e.u8(1).list(prompt.tokens, (token) => e.u32(token));
}

function toolChoice(e: Bytes, choice: ChatToolChoice): void {
  if (typeof choice === "object") e.u8(3).text(choice.named);
  else e.u8({ auto: 0, none: 1, required: 2 }[choice]);
}

function chatAdjust(e: Bytes, adjust: ChatAdjust): void {
  e.u32(adjust.repetition_milli)
    .i32(adjust.presence_milli)
    .i32(adjust.frequency_milli)
    .u32(adjust.last_tokens)
    .list(adjust.bias, ({ token, bias_milli }) => e.u32(token).i32(bias_milli));
}

function chatConstraint(e: Bytes, constraint: ChatConstraint): void {
  if (constraint === "json_object") e.u8(0);
  else if ("json_schema" in constraint) e.u8(1).text(constraint.json_schema);
  else if ("regex" in constraint) e.u8(2).text(constraint.regex);
  else if ("lark" in constraint) e.u8(3).text(constraint.lark);
  else if ("gbnf" in constraint) e.u8(4).text(constraint.gbnf);
  else e.u8(5).list(constraint.choice, (text) => e.text(text));
}
