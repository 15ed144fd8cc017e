//! Templates in the manner of the families, as short as can be, and what they must show.

use super::*;
use crate::dialect::{opens_thinking, Dialect};
use crate::request::{Message, Role, Tool, ToolCall, ToolChoice};
use serde_json::json;

fn user(content: &str) -> Chat {
    Chat { messages: vec![Message::new(Role::User, content)], ..Chat::default() }
}

fn render_chat(source: &str, chat: &Chat) -> Result<String, EngineError> {
    ChatTemplate::new(source.into(), "<bos>".into(), "<eos>".into())?.render(chat, 86_400)
}

fn render(source: &str) -> Result<String, EngineError> {
    render_chat(source, &user(" hi "))
}

/// A question, a call, its result, another question; a tool whose keys are not in the order of the alphabet.
fn conversation() -> Chat {
    let call =
        ToolCall { id: "call_1".into(), name: "weather".into(), arguments: r#"{"unit":"C","city":"Paris"}"#.into() };
    let called = Message { tool_calls: vec![call], reasoning: Some("hm".into()), ..Message::new(Role::Assistant, "") };
    let result = Message {
        tool_call_id: Some("call_1".into()),
        name: Some("weather".into()),
        ..Message::new(Role::Tool, r#"{"sky":"grey"}"#)
    };
    let parameters =
        json!({ "type": "object", "properties": { "unit": { "type": "string" }, "city": { "type": "string" } } });
    Chat {
        messages: vec![Message::new(Role::System, "Be brief."), Message::new(Role::User, "Paris?"), called, result],
        tools: vec![Tool { name: "weather".into(), description: Some("<sky> & 'air'".into()), parameters }],
        ..Chat::default()
    }
}

#[test]
fn the_usual_vocabulary_works() {
    let source =
        "{{ bos_token }}{% for m in messages %}\n  {%- if m['role'] == 'user' %}[{{ m.content.strip() }}]{% endif %}\n\
                  {% endfor %}{% if add_generation_prompt %}>{% endif %}{{ eos_token }}{% if tools %}no{% endif %}";
    assert_eq!(render(source).unwrap(), "<bos>[hi]><eos>");
    assert_eq!(render("{{ strftime_now('%d %b %Y') }}").unwrap(), "02 Jan 1970");
    assert_eq!(
        render("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}").unwrap(),
        "01"
    );
    assert_eq!(render("{%- generation -%}a{%- endgeneration %}").unwrap(), "a");
    let none = "{% if tools is none and documents is none and enable_thinking is not defined %}none{% endif %}";
    assert_eq!(render(none).unwrap(), "none");
}

#[test]
fn hostile_templates_end_in_an_error() {
    let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    let deep = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
    let long = "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}";
    for source in [endless, deep, long, "{{ strftime_now('%!') }}", "{% if %}", "{{ nothing() }}"] {
        assert_eq!(render(source).unwrap_err().code(), "template_failed", "{source}");
    }
    assert_eq!(render(" \n").unwrap_err(), EngineError::NoChatTemplate);
}

#[test]
fn raised_messages_are_shown_unless_they_quote_the_prompt() {
    let detail = |source: &str| match render(source).unwrap_err() {
        EngineError::TemplateFailed { detail } => detail,
        other => panic!("{other}"),
    };
    assert!(detail("{{ raise_exception('roles must alternate') }}").starts_with("roles must alternate"));
    assert!(!detail("{{ raise_exception('secret' + messages[0].content + 'quoted') }}").contains("hi"));
}

#[test]
fn json_is_written_as_python_writes_it() {
    let chat = conversation();
    let one = render_chat("{{ tools[0].function | tojson }}", &chat).unwrap();
    assert_eq!(
        one,
        r#"{"name": "weather", "description": "<sky> & 'air'", "parameters": {"type": "object", "properties": {"unit": {"type": "string"}, "city": {"type": "string"}}}}"#
    );
    let lines = render_chat("{{ {'b': [1, 2.0, none], 'a': {}, 'e': 'é\"\\n'} | tojson(indent=2) }}", &chat).unwrap();
    assert_eq!(lines, "{\n  \"b\": [\n    1,\n    2.0,\n    null\n  ],\n  \"a\": {},\n  \"e\": \"é\\\"\\n\"\n}");
}

#[test]
fn thinking_and_further_arguments_reach_the_template() {
    let source = "{{ enable_thinking }} {{ thinking }} {{ effort }} {{ bos_token }} {{ messages | length }}";
    let mut chat = user("hi");
    chat.thinking = Some(false);
    let arguments = json!({ "effort": "low", "bos_token": "no", "messages": [], "enable_thinking": true });
    chat.template_arguments = arguments.as_object().unwrap().clone();
    assert_eq!(render_chat(source, &chat).unwrap(), "False False low <bos> 1");
    let qwen = "{{ '<|im_start|>assistant\\n' }}{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% else %}{{ '<think>\\n' }}{% endif %}";
    assert!(!opens_thinking(&render_chat(qwen, &chat).unwrap()) && opens_thinking(&render(qwen).unwrap()));
}

/// Templates in the manner of the families, as short as can be.
const QWEN: &str = "{%- if tools %}{{- '<|im_start|>system\\n' + messages[0].content + '\\n\\n<tools>' }}{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}{{- '\\n</tools><|im_end|>\\n' }}{%- endif %}\
    {%- for message in messages %}{%- if message.role == 'user' %}{{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}\
    {%- elif message.role == 'assistant' %}{{- '<|im_start|>assistant\\n' }}{%- if message.reasoning_content is string %}{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}{{- message.content }}\
    {%- if message.tool_calls %}{%- for tool_call in message.tool_calls %}{%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}{{- '<tool_call>\\n{\"name\": \"' + tool_call.name + '\", \"arguments\": ' }}{%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}{{- '}\\n</tool_call>' }}{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}\
    {%- elif message.role == 'tool' %}{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}{%- endif %}{%- endfor %}";
const LLAMA: &str = "{%- if not tools is defined %}{%- set tools = none %}{%- endif %}{%- for message in messages %}\
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}\
    {%- elif 'tool_calls' in message %}{%- if not message.tool_calls | length == 1 %}{{- raise_exception('one call at a time') }}{%- endif %}{%- set call = message.tool_calls[0].function %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{\"name\": \"' + call.name + '\", \"parameters\": ' }}{{- call.arguments | tojson }}{{- '}<|eot_id|>' }}\
    {%- else %}{{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' }}{{- message.content }}{{- '<|eot_id|>' }}{%- endif %}{%- endfor %}";
const MISTRAL: &str = "{%- for message in messages %}{%- if message.tool_calls is defined and message.tool_calls is not none %}{{- '[TOOL_CALLS][' }}{%- for call in message.tool_calls %}{%- set out = call.function | tojson %}{{- out[:-1] }}{%- if not call.id is defined or call.id | length != 9 %}{{- raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{%- endif %}{{- ', \"id\": \"' + call.id + '\"}' }}{%- endfor %}{{- ']' + eos_token }}\
    {%- elif message['role'] == 'tool' %}{{- '[TOOL_RESULTS]{\"content\": ' + message.content|string + ', \"call_id\": \"' + message.tool_call_id + '\"}[/TOOL_RESULTS]' }}{%- elif message['role'] == 'user' %}{%- if tools is not none %}{{- '[AVAILABLE_TOOLS]' }}{%- endif %}{{- '[INST]' + message.content + '[/INST]' }}{%- endif %}{%- endfor %}";
const DEEPSEEK: &str = "{% for message in messages %}{%- if message['role'] == 'user' %}{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and 'tool_calls' in message %}{%- for tool in message['tool_calls'] %}{{'<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments'] + '\\n' + '```' + '<｜tool▁call▁end｜>'}}{%- endfor %}{%- endif %}{%- if message['role'] == 'tool' %}{{'<｜tool▁output▁begin｜>' + message['content'] + '<｜tool▁output▁end｜>'}}{%- endif %}{%- endfor -%}{% if tools %}{% endif %}";
const GEMMA4_FIRST: &str = "{%- macro argument(value) -%}{%- if value is string -%}{{- '<|\"|>' + value + '<|\"|>' -}}{%- else -%}{{- value -}}{%- endif -%}{%- endmacro -%}\
    {%- if tools -%}{%- for tool in tools %}{{- '<|tool>declaration:' + tool['function']['name'] + '<tool|>' -}}{%- endfor %}{%- set kind = 'tool' -%}{%- endif -%}\
    {%- for message in messages -%}{{- '<|turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' }}{%- if message['tool_calls'] -%}{%- for call in message['tool_calls'] -%}{{- '<|tool_call>call:' + call['function']['name'] + '{' -}}{%- for key, value in call['function']['arguments'] | dictsort -%}{{- key -}}:{{- argument(value) -}}{%- if not loop.last %},{% endif -%}{%- endfor -%}{{- '}<tool_call|>' -}}{%- endfor -%}{%- endif -%}\
    {%- if message['tool_responses'] -%}{%- for r in message['tool_responses'] -%}{{- '<|tool_response>response:' + r['name'] + '{' -}}{%- if r['response'] is mapping -%}{%- for key, value in r['response'] | dictsort -%}{{- key -}}:{{- argument(value) -}}{%- endfor -%}{%- else -%}{{- 'value:' + argument(r['response']) -}}{%- endif -%}{{- '}<tool_response|>' -}}{%- endfor -%}{%- endif -%}{{- message['content'] | trim -}}{%- if not (message['tool_responses'] and not message['content']) -%}{{- '<turn|>\\n' -}}{%- endif -%}{%- endfor -%}";
const HARMONY: &str = "{%- for message in messages -%}{%- if message.role == 'assistant' -%}{%- if 'tool_calls' in message -%}{%- if message.content and message.thinking -%}{{- raise_exception('both') }}{%- endif -%}{%- if message.thinking -%}{{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}{%- endif -%}{%- set call = message.tool_calls[0].function -%}{{- '<|start|>assistant to=functions.' + call.name + '<|channel|>commentary json<|message|>' }}{{- call.arguments | tojson }}{{- '<|call|>' }}{%- set ns = call.name -%}{%- endif -%}{%- elif message.role == 'tool' -%}{{- '<|start|>functions.' + message.name + ' to=assistant<|channel|>commentary<|message|>' + message.content | tojson + '<|end|>' }}{%- endif -%}{%- endfor -%}{%- if tools -%}{%- endif -%}";
const GEMMA3: &str = "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- set prefix = messages[0]['content'] + '\\n\\n' -%}{%- set rest = messages[1:] -%}{%- else -%}{%- set prefix = '' -%}{%- set rest = messages -%}{%- endif -%}\
    {%- for message in rest -%}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif -%}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' + (prefix if loop.first else '') + message['content'] | trim + '<end_of_turn>\\n' }}{%- endfor -%}";

#[test]
fn every_family_gets_its_tools_calls_and_results() {
    let chat = conversation();
    let expected = [
        (QWEN, Dialect::Hermes, "<|im_start|>system\nBe brief.\n\n<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"weather\", "),
        (QWEN, Dialect::Hermes, "<|im_start|>assistant\n<think>\nhm\n</think>\n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"unit\": \"C\", \"city\": \"Paris\"}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\n{\"sky\":\"grey\"}\n</tool_response><|im_end|>\n"),
        (LLAMA, Dialect::Llama3, "assistant<|end_header_id|>\n\n{\"name\": \"weather\", \"parameters\": {\"unit\": \"C\", \"city\": \"Paris\"}}<|eot_id|><|start_header_id|>ipython<|end_header_id|>\n\n{\"sky\":\"grey\"}<|eot_id|>"),
        (MISTRAL, Dialect::Mistral, "[AVAILABLE_TOOLS][INST]Paris?[/INST][TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"unit\": \"C\", \"city\": \"Paris\"}, \"id\": \""),
        (DEEPSEEK, Dialect::DeepSeek, "<｜User｜>Paris?<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"unit\":\"C\",\"city\":\"Paris\"}\n```<｜tool▁call▁end｜><｜tool▁output▁begin｜>{\"sky\":\"grey\"}"),
        (GEMMA4_FIRST, Dialect::Gemma4, "<|tool>declaration:weather<tool|><|turn>system\nBe brief.<turn|>\n<|turn>user\nParis?<turn|>\n<|turn>model\n<|tool_call>call:weather{city:<|\"|>Paris<|\"|>,unit:<|\"|>C<|\"|>}<tool_call|><|tool_response>response:weather{sky:<|\"|>grey<|\"|>}<tool_response|>"),
        (HARMONY, Dialect::Harmony, "<|start|>assistant<|channel|>analysis<|message|>hm<|end|><|start|>assistant to=functions.weather<|channel|>commentary json<|message|>{\"unit\": \"C\", \"city\": \"Paris\"}<|call|><|start|>functions.weather to=assistant<|channel|>commentary<|message|>\"{\\\"sky\\\":\\\"grey\\\"}\"<|end|>"),
    ];
    for (source, dialect, part) in expected {
        // Llama's real template names the token in a part that is left out here.
        let marked = if dialect == Dialect::Llama3 { format!("{source}{{# <|python_tag|> #}}") } else { source.into() };
        assert_eq!(Dialect::detect(&marked), dialect);
        let rendered = render_chat(source, &chat).unwrap();
        assert!(rendered.contains(part), "{dialect:?}:\n{rendered}");
    }
    let ids = render_chat(MISTRAL, &chat).unwrap();
    let (_, id) = ids.split_once("\"id\": \"").unwrap();
    assert!(ids.contains(&format!("\"call_id\": \"{}\"", &id[..9])), "the same short id: {ids}");
}

#[test]
fn an_answer_after_results_joins_the_message_that_called() {
    let mut chat = conversation();
    chat.messages.push(Message::new(Role::Assistant, "Grey."));
    chat.messages.push(Message::new(Role::User, "And now?"));
    let rendered = render_chat(GEMMA4_FIRST, &chat).unwrap();
    assert!(rendered.ends_with("<tool_response|>Grey.<turn|>\n<|turn>user\nAnd now?<turn|>\n"), "{rendered}");
    chat.messages[3].content = "plain".into();
    assert!(render_chat(GEMMA4_FIRST, &chat).unwrap().contains("response:weather{value:<|\"|>plain<|\"|>}"));
}

#[test]
fn a_template_without_tools_gets_them_in_words() {
    let rendered = render_chat(GEMMA3, &conversation()).unwrap();
    assert!(rendered.starts_with("<bos><start_of_turn>user\nBe brief.\n\nYou have tools."), "{rendered}");
    assert!(rendered.contains("\"description\": \"<sky> & 'air'\""));
    let end = "<start_of_turn>model\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"unit\": \"C\", \"city\": \"Paris\"}}\n</tool_call><end_of_turn>\n\
               <start_of_turn>user\n<tool_response>\n{\"sky\":\"grey\"}\n</tool_response><end_of_turn>\n";
    assert!(rendered.ends_with(end), "{rendered}");
    assert_eq!(Dialect::detect(GEMMA3), Dialect::Generic);
    let without = DEEPSEEK.replace("{% if tools %}{% endif %}", "");
    let rendered = render_chat(&without, &conversation()).unwrap();
    assert!(
        rendered.contains("<tool_response>") && !rendered.contains("<｜tool▁calls▁begin｜>"),
        "in words: {rendered}"
    );
    assert_eq!(Dialect::detect(&without), Dialect::Generic);
    let forbidden = Chat { tool_choice: ToolChoice::None, ..conversation() };
    assert!(!render_chat(GEMMA3, &forbidden).unwrap().contains("You have tools"));
    assert!(!render_chat(QWEN, &forbidden).unwrap().contains("<tools>"));
}

#[test]
fn what_a_template_refuses_is_put_otherwise() {
    let gemma2 = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}[{{ m.role }}: {{ m.content }}]{% endfor %}";
    let mut chat = user("Hi");
    chat.messages.insert(0, Message::new(Role::System, "Be brief."));
    assert_eq!(render_chat(gemma2, &chat).unwrap(), "[user: Be brief.\n\nHi]");
    let no_results = "{% for m in messages %}{% if m.role not in ['user', 'system', 'assistant'] %}{{ raise_exception('Unknown role') }}{% endif %}[{{ m.role }}: {{ m.content }}]{% endfor %}{{ tools | length }}";
    let rendered = render_chat(no_results, &conversation()).unwrap();
    assert!(
        rendered.contains("[user: <tool_response>\n{\"sky\":\"grey\"}\n</tool_response>]") && rendered.ends_with('1')
    );
    let never = "{{ raise_exception('no') }}";
    assert_eq!(render_chat(never, &conversation()).unwrap_err().code(), "template_failed");
    let alternate = user("Hi");
    assert_eq!(ChatTemplate::new(never.into(), String::new(), String::new()).unwrap().knows.forms(&alternate).len(), 1);
}
