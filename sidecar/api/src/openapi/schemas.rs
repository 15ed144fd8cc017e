//! What bodies can have and answers do have: name, kind, meaning.

/// Name, kind (`string`, `[string]`, `string|[string]`, `any`, …), meaning.
pub(super) type Field = (&'static str, &'static str, &'static str);

/// A path that takes a body.
pub(super) struct Body {
    /// Name of the schema, and its fields in groups.
    pub(super) request: (&'static str, &'static [&'static [Field]]),
    /// Fields that must be there.
    pub(super) required: &'static [&'static str],
    /// Name of the schema, and what is always there.
    pub(super) answer: (&'static str, &'static [Field]),
    /// Type of a streamed answer, if there are such.
    pub(super) stream: Option<&'static str>,
}

const EVENTS: Option<&str> = Some("text/event-stream");
const LINES: Option<&str> = Some("application/x-ndjson");

const OWN: &[Field] = &[
    ("model", "string", "`name` or `name:quantisation`; whatever there is if it is left out"),
    ("ainonymous", "object", "`route`: auto, local, direct, signals or posted; `provider`: an agent key; `only`: own, friends or lan; `no_routers`: a boolean; `hide` (through routers only): a boolean, or 1 or 2 for how many; `region`: where the provider says it stands; `known` (providers may know which agent asks): a boolean; `show_auditors` (which auditors may see question and answer, if they are drawn): none, friends or all; `max_price`: credits for a million parameter-tokens; `critical`: so many providers of one model answer with the same seed, and their answers are compared, at most 16"),
];
const PULL: &[Field] = &[
    ("id", "integer", "names it until the node stops"),
    ("model", "string", "as asked for"),
    ("state", "string", "running, done, failed or cancelled"),
    ("phase", "string", "waiting, downloading or checking"),
    ("bytes_done", "integer", "that are there"),
    ("bytes_total", "integer", "in all; 0 while unknown"),
];
const NETWORK: &[Field] = &[
    ("network", "string", "its name here: `ainonymous up --network` takes it"),
    ("name", "string", "its name as people write it"),
    ("kind", "string", "public, private or lan"),
    (
        "work_bits",
        "integer",
        "zero bits of the proof of work that every new agent has to do once; 0 where none is asked for",
    ),
    ("id", "string", "its identity, in hexadecimal"),
    ("agent", "string", "who this node is in it"),
    ("is_founder", "boolean", "whether this node invites and revokes there"),
    ("founders", "[string]", "agents"),
    ("bootstrap", "string", "where its nodes find each other"),
    ("issued", "[object]", "invites that were made here: `key`, `expires_at`, `agent`"),
    ("revoked", "[object]", "whom this node shut out: `revoked`, `state`"),
];
const INVITE: &[Field] = &[
    ("network", "string", "its name here"),
    ("invite", "string", "what travels; whoever has it can join"),
    ("key", "string", "its key, in hexadecimal; empty in a public network"),
    ("expires_at", "integer", "microseconds since the epoch; 0 in a public network"),
    ("qr", "[string]", "the text as a QR code: rows of modules, `1` for dark ones"),
];
const SAMPLING: &[Field] = &[
    ("temperature", "number", "0 to 5; 0 takes the most likely token"),
    ("top_p", "number", "0 to 1"),
    ("min_p", "number", "0 to 1"),
    ("top_k", "integer", "0 or -1 keeps all"),
    ("seed", "integer", "-1 is random"),
    ("presence_penalty", "number", "-2 to 2"),
    ("frequency_penalty", "number", "-2 to 2"),
    ("repeat_penalty", "number", "0.01 to 10; 1 changes nothing"),
    ("repetition_penalty", "number", "the same"),
    ("repeat_last_n", "integer", "tokens that penalties look back at; -1 for all, 0 for none"),
    ("logit_bias", "object|array", "token ids and what is added to them, -100 to 100"),
    ("ignore_eos", "boolean", "go on where the model would end"),
];
const FORM: &[Field] = &[
    ("response_format", "object", "text, json_object, or json_schema with a schema"),
    ("json_schema", "object|string", "the answer is JSON of this schema"),
    ("guided_json", "object|string", "the same"),
    ("guided_regex", "string", "the answer matches this regular expression"),
    ("guided_choice", "[string]", "the answer is one of these"),
    ("grammar", "string", "the answer fits this grammar, in llama.cpp's notation (GBNF) or Lark's"),
    ("guided_grammar", "string", "the same"),
    ("structured_outputs", "object", "`json`, `regex`, `choice`, `grammar` or `json_object`"),
];
const STREAM: &[Field] = &[("stream", "boolean", "as events"), ("stream_options", "object", "`include_usage`")];
const STOP: &[Field] = &[("stop", "string|[string]", "texts that end the answer")];
const TOOLS: &[Field] = &[
    ("tools", "[object]", "functions that the model may call"),
    ("tool_choice", "string|object", "auto, none, required, or a function"),
    ("parallel_tool_calls", "boolean", "whether several may be called at once"),
];
const THINKING: &[Field] = &[
    ("reasoning_effort", "string", "none, minimal, low, medium, high or xhigh"),
    ("chat_template_kwargs", "object", "variables for the model's template"),
];

const CHAT: &[Field] = &[
    ("messages", "[object]", "the conversation, oldest first"),
    ("n", "integer", "answers, 1 to 8"),
    ("max_tokens", "integer", "most tokens of an answer"),
    ("max_completion_tokens", "integer", "the same"),
    ("logprobs", "boolean", "how likely each token was"),
    ("top_logprobs", "integer", "and its alternatives, 0 to 20"),
];
const COMPLETIONS: &[Field] = &[
    ("prompt", "string|[string]|[integer]|[array]", "what is continued"),
    ("n", "integer", "answers to each prompt, 1 to 8"),
    ("max_tokens", "integer", "most tokens of an answer; 16 if it is left out"),
    ("max_completion_tokens", "integer", "the same"),
    ("n_predict", "integer", "the same"),
    ("logprobs", "integer", "alternatives told with each token, 0 to 20"),
    ("echo", "boolean", "repeat the prompt before the answer"),
];
const EMBEDDINGS: &[Field] = &[
    ("model", "string", "`name` or `name:quantisation`"),
    ("input", "string|[string]|[integer]|[array]", "texts, or their tokens"),
    ("encoding_format", "string", "float or base64"),
    ("dimensions", "integer", "shorter vectors"),
];
const RESPONSES: &[Field] = &[
    ("input", "string|[object]", "the conversation"),
    ("instructions", "string", "instructions before it"),
    ("max_output_tokens", "integer", "most tokens of the answer"),
    ("text", "object", "`format`: text, json_object or json_schema"),
    ("reasoning", "object", "`effort`"),
    ("include", "[string]", "`message.output_text.logprobs`"),
    ("top_logprobs", "integer", "alternatives told with each token, 0 to 20"),
    ("store", "boolean", "accepted; nothing is stored"),
    ("metadata", "object", "repeated in the answer"),
];
const MESSAGES: &[Field] = &[
    ("messages", "[object]", "the conversation, oldest first"),
    ("system", "string|[object]", "instructions before it"),
    ("max_tokens", "integer", "most tokens of the answer"),
    ("stop_sequences", "[string]", "texts that end the answer"),
    ("tools", "[object]", "tools that the model may call"),
    ("tool_choice", "object", "auto, any, none or tool"),
    ("thinking", "object", "enabled, adaptive or disabled"),
    ("output_config", "object", "`format`: a JSON schema"),
    ("output_format", "object", "the same"),
    ("stream", "boolean", "as events"),
];
const COUNTED: &[Field] = &[
    ("model", "string", "`name` or `name:quantisation`"),
    ("messages", "[object]", "the conversation, oldest first"),
    ("system", "string|[object]", "instructions before it"),
    ("tools", "[object]", "tools that the model may call"),
    ("tool_choice", "object", "auto, any, none or tool"),
    ("thinking", "object", "enabled, adaptive or disabled"),
];
const MODEL: &[Field] = &[("model", "string", "which model")];
const SWITCHED: &[Field] = &[("success", "boolean", "true"), ("model", "string", "which model it is")];
const TOKENIZE: &[Field] = &[
    ("model", "string", "`name` or `name:quantisation`"),
    ("content", "string", "the text"),
    ("add_special", "boolean", "with the tokens that the model wants around a text; false if it is left out"),
    ("parse_special", "boolean", "names of special tokens stand for these; true if it is left out"),
    ("with_pieces", "boolean", "with the text of each token"),
];
const TOKENS: &[Field] = &[("tokens", "[any]", "ids, or objects with `id` and `piece`")];
const DETOKENIZE: &[Field] =
    &[("model", "string", "`name` or `name:quantisation`"), ("tokens", "[integer]", "ids, up to 65536")];
const CONVERSATION: &[Field] =
    &[("model", "string", "`name` or `name:quantisation`"), ("messages", "[object]", "the conversation, oldest first")];
const KEEP_ALIVE: Field = (
    "keep_alive",
    "integer|number|string",
    "how long the model stays in memory that nobody asks: seconds, or a duration such as 5m; 0 not at all, below 0 always",
);
const OLLAMA: &[Field] = &[
    ("format", "string|object", "`json`, or a JSON schema"),
    ("think", "boolean|string", "whether the model thinks first"),
    ("options", "object", "temperature, top_k, top_p, min_p, seed, num_predict, stop, penalties"),
    ("stream", "boolean", "one object a line; true if it is left out"),
    ("logprobs", "boolean", "how likely each token was"),
    ("top_logprobs", "integer", "and its alternatives, 0 to 20"),
    KEEP_ALIVE,
];
const OLLAMA_CHAT: &[Field] = &[
    ("messages", "[object]", "the conversation, oldest first"),
    ("tools", "[object]", "functions that the model may call"),
];
const OLLAMA_GENERATE: &[Field] = &[
    ("prompt", "string", "what is asked, or continued"),
    ("system", "string", "instructions before it"),
    ("images", "[string]", "PNG or JPEG images in base64"),
    ("raw", "boolean", "continue the prompt as it is"),
];
const OLLAMA_EMBED: &[Field] = &[
    ("model", "string", "`name` or `name:quantisation`"),
    ("input", "string|[string]", "texts"),
    ("dimensions", "integer", "shorter vectors"),
    ("truncate", "boolean", "accepted; what is too long is refused"),
    ("options", "object", "accepted"),
    KEEP_ALIVE,
];
const OLLAMA_EMBEDDINGS: &[Field] = &[
    ("model", "string", "`name` or `name:quantisation`"),
    ("prompt", "string", "a text"),
    ("options", "object", "accepted"),
    KEEP_ALIVE,
];
const SHOW: &[Field] = &[("model", "string", "which model"), ("name", "string", "the same")];

const COMPLETION: &[Field] = &[
    ("id", "string", "begins with the dialect's prefix; the rest names the question"),
    ("object", "string", "kind of the object"),
    ("created", "integer", "seconds since the epoch"),
    ("model", "string", "which model answered"),
    ("system_fingerprint", "string", "what computed the answer"),
    ("choices", "[object]", "the answers"),
    ("usage", "object", "tokens counted"),
    ("timings", "object", "milliseconds and tokens a second"),
    ("ainonymous", "object", "who answered, how, and the receipt"),
];
const EMBEDDING: &[Field] = &[
    ("object", "string", "`list`"),
    ("data", "[object]", "the vectors"),
    ("model", "string", "which model made them"),
    ("usage", "object", "tokens counted"),
];
const RESPONSE: &[Field] = &[
    ("id", "string", "begins with `resp_`; the rest names the question"),
    ("object", "string", "`response`"),
    ("created_at", "integer", "seconds since the epoch"),
    ("status", "string", "completed or incomplete"),
    ("model", "string", "which model answered"),
    ("output", "[object]", "reasoning, messages, function calls"),
    ("usage", "object", "tokens counted"),
    ("store", "boolean", "false"),
    ("ainonymous", "object", "who answered, how, and the receipt"),
];
const MESSAGE: &[Field] = &[
    ("id", "string", "begins with `msg_`; the rest names the question"),
    ("type", "string", "`message`"),
    ("role", "string", "`assistant`"),
    ("model", "string", "which model answered"),
    ("content", "[object]", "thinking, text, tool_use"),
    ("stop_reason", "string", "end_turn, max_tokens, stop_sequence or tool_use"),
    ("usage", "object", "tokens counted"),
    ("ainonymous", "object", "who answered, how, and the receipt"),
];
const OLLAMA_END: &[Field] = &[
    ("model", "string", "which model answered"),
    ("created_at", "string", "RFC 3339"),
    ("done", "boolean", "true"),
    ("done_reason", "string", "stop or length"),
    ("total_duration", "integer", "nanoseconds"),
    ("prompt_eval_count", "integer", "tokens of the prompt"),
    ("eval_count", "integer", "tokens of the answer"),
    ("eval_duration", "integer", "nanoseconds"),
];
const OLLAMA_EMBEDDING: &[Field] = &[
    ("model", "string", "which model made them"),
    ("embeddings", "[array]", "the vectors"),
    ("prompt_eval_count", "integer", "tokens of the texts"),
];
const SHOWN: &[Field] =
    &[("details", "object", "what it is"), ("model_info", "object", "facts"), ("capabilities", "[string]", "uses")];

/// Every path that takes a body.
pub(super) const ALL: &[(&str, Body)] = &[
    (
        "/v1/chat/completions",
        Body {
            request: ("ChatCompletionRequest", &[OWN, CHAT, TOOLS, THINKING, SAMPLING, FORM, STOP, STREAM]),
            required: &["messages"],
            answer: ("ChatCompletion", COMPLETION),
            stream: EVENTS,
        },
    ),
    (
        "/v1/completions",
        Body {
            request: ("CompletionRequest", &[OWN, COMPLETIONS, SAMPLING, FORM, STOP, STREAM]),
            required: &["prompt"],
            answer: ("Completion", COMPLETION),
            stream: EVENTS,
        },
    ),
    (
        "/v1/embeddings",
        Body {
            request: ("EmbeddingRequest", &[EMBEDDINGS]),
            required: &["input"],
            answer: ("EmbeddingList", EMBEDDING),
            stream: None,
        },
    ),
    (
        "/v1/responses",
        Body {
            request: ("ResponseRequest", &[OWN, RESPONSES, TOOLS, THINKING, SAMPLING, FORM, STOP, STREAM]),
            required: &["input"],
            answer: ("Response", RESPONSE),
            stream: EVENTS,
        },
    ),
    (
        "/v1/messages",
        Body {
            request: ("MessageRequest", &[OWN, MESSAGES, THINKING, SAMPLING, FORM]),
            required: &["messages", "max_tokens"],
            answer: ("Message", MESSAGE),
            stream: EVENTS,
        },
    ),
    (
        "/v1/messages/count_tokens",
        Body {
            request: ("CountTokensRequest", &[COUNTED, THINKING]),
            required: &["messages"],
            answer: ("CountedTokens", &[("input_tokens", "integer", "tokens of the prompt")]),
            stream: None,
        },
    ),
    (
        "/ainonymous/v1/pulls",
        Body {
            request: (
                "PullRequest",
                &[&[("model", "string", "a word of the catalogue, `hf:owner/repository` or an address")]],
            ),
            required: &["model"],
            answer: ("Pull", PULL),
            stream: None,
        },
    ),
    (
        "/ainonymous/v1/pulls/cancel",
        Body {
            request: ("CancelPullRequest", &[&[("id", "integer", "of the pull")]]),
            required: &["id"],
            answer: ("CancelledPull", &[("cancelled", "integer", "its id")]),
            stream: None,
        },
    ),
    (
        "/ainonymous/v1/pause",
        Body {
            request: ("PauseRequest", &[&[("paused", "boolean", "whether questions of peers are refused")]]),
            required: &["paused"],
            answer: ("Paused", &[("paused", "boolean", "as it is now")]),
            stream: None,
        },
    ),
    (
        "/ainonymous/v1/networks",
        Body {
            request: (
                "NewNetwork",
                &[&[
                    ("name", "string", "as people write it; every member sees it"),
                    ("kind", "string", "private (by invitation), lan or public; private if it is left out"),
                    (
                        "work_bits",
                        "integer",
                        "zero bits of the proof of work that every new agent has to do once; public networks only",
                    ),
                    ("bootstrap", "string", "where its nodes find each other; where this node does if it is left out"),
                ]],
            ),
            required: &["name"],
            answer: ("Network", NETWORK),
            stream: None,
        },
    ),
    (
        "/ainonymous/v1/networks/invite",
        Body {
            request: (
                "InviteRequest",
                &[&[
                    ("network", "string", "its name here"),
                    ("expires_s", "integer", "how long it can be taken up, in seconds"),
                    ("agent", "string", "the only agent that can use it"),
                ]],
            ),
            required: &["network", "expires_s"],
            answer: ("Invite", INVITE),
            stream: None,
        },
    ),
    (
        "/ainonymous/v1/networks/join",
        Body {
            request: ("JoinRequest", &[&[("invite", "string", "the text that a founder sent")]]),
            required: &["invite"],
            answer: ("JoinedNetwork", NETWORK),
            stream: None,
        },
    ),
    (
        "/ainonymous/v1/networks/revoke",
        Body {
            request: (
                "RevokeRequest",
                &[&[
                    ("network", "string", "its name here"),
                    ("whom", "string", "an agent, an invite's text, or an invite's key"),
                ]],
            ),
            required: &["network", "whom"],
            answer: (
                "Revocation",
                &[
                    ("revoked", "string", "an agent, or an invite's key"),
                    ("state", "string", "waiting, revoked or refused"),
                ],
            ),
            stream: None,
        },
    ),
    (
        "/models/load",
        Body {
            request: ("LoadRequest", &[MODEL]),
            required: &["model"],
            answer: ("LoadedModel", SWITCHED),
            stream: None,
        },
    ),
    (
        "/models/unload",
        Body {
            request: ("UnloadRequest", &[MODEL]),
            required: &["model"],
            answer: ("UnloadedModel", SWITCHED),
            stream: None,
        },
    ),
    (
        "/tokenize",
        Body {
            request: ("TokenizeRequest", &[TOKENIZE]),
            required: &["content"],
            answer: ("Tokens", TOKENS),
            stream: None,
        },
    ),
    (
        "/detokenize",
        Body {
            request: ("DetokenizeRequest", &[DETOKENIZE]),
            required: &["tokens"],
            answer: ("Detokenized", &[("content", "string", "the text")]),
            stream: None,
        },
    ),
    (
        "/apply-template",
        Body {
            request: ("ApplyTemplateRequest", &[CONVERSATION, TOOLS, THINKING]),
            required: &["messages"],
            answer: ("AppliedTemplate", &[("prompt", "string", "what the model would read")]),
            stream: None,
        },
    ),
    (
        "/api/chat",
        Body {
            request: ("OllamaChatRequest", &[OWN, OLLAMA_CHAT, OLLAMA]),
            required: &["messages"],
            answer: ("OllamaChat", OLLAMA_END),
            stream: LINES,
        },
    ),
    (
        "/api/generate",
        Body {
            request: ("OllamaGenerateRequest", &[OWN, OLLAMA_GENERATE, OLLAMA]),
            required: &["prompt"],
            answer: ("OllamaGeneration", OLLAMA_END),
            stream: LINES,
        },
    ),
    (
        "/api/embed",
        Body {
            request: ("OllamaEmbedRequest", &[OLLAMA_EMBED]),
            required: &["input"],
            answer: ("OllamaEmbeddings", OLLAMA_EMBEDDING),
            stream: None,
        },
    ),
    (
        "/api/embeddings",
        Body {
            request: ("OllamaEmbeddingsRequest", &[OLLAMA_EMBEDDINGS]),
            required: &["prompt"],
            answer: ("OllamaEmbedding", &[("embedding", "[number]", "the vector")]),
            stream: None,
        },
    ),
    (
        "/api/show",
        Body {
            request: ("OllamaShowRequest", &[SHOW]),
            required: &["model"],
            answer: ("OllamaModel", SHOWN),
            stream: None,
        },
    ),
];
