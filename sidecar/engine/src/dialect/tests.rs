//! Answers of every family, whole and in any pieces.

use super::*;
use crate::request::{Chat, Message, Role, Tool, ToolChoice};
use crate::ToolCallPart;
use proptest::prelude::*;

const ALL: [Dialect; 9] = [
    Dialect::Gemma4,
    Dialect::Harmony,
    Dialect::Mistral,
    Dialect::MistralNamed,
    Dialect::DeepSeek,
    Dialect::DeepSeekBare,
    Dialect::Hermes,
    Dialect::Llama3,
    Dialect::Generic,
];

/// What an answer came to.
#[derive(Debug, Default, PartialEq)]
struct Read {
    content: String,
    reasoning: String,
    calls: Vec<(String, String)>,
}

fn chat(tools: bool) -> Chat {
    let tool = |name: &str| Tool { name: name.into(), description: None, parameters: serde_json::json!({}) };
    let tools = if tools { vec![tool("weather"), tool("time")] } else { vec![] };
    Chat { messages: vec![Message::new(Role::User, "x")], tools, ..Chat::default() }
}

fn gather(parts: impl IntoIterator<Item = Part>) -> Read {
    let mut read = Read::default();
    for part in parts {
        match part {
            Part::Content(text) => read.content.push_str(&text),
            Part::Reasoning(text) => read.reasoning.push_str(&text),
            Part::ToolCall(ToolCallPart { index, begins, arguments }) => {
                if let Some((id, name)) = begins {
                    assert!(id.len() == 29 && id.starts_with("call_"));
                    read.calls.push((name, String::new()));
                }
                assert_eq!(index as usize + 1, read.calls.len(), "pieces follow their beginning");
                read.calls.last_mut().unwrap().1.push_str(&arguments);
            }
        }
    }
    for (_, arguments) in &read.calls {
        match serde_json::from_str::<serde_json::Value>(arguments) {
            Ok(value) => assert!(value.is_object()),
            Err(error) => assert!(error.is_eof() && arguments.starts_with('{'), "{arguments}: {error}"),
        }
    }
    read
}

fn read_pieces<'a>(dialect: Dialect, chat: &Chat, opened: bool, pieces: impl IntoIterator<Item = &'a str>) -> Read {
    let mut parser = OutputParser::new(dialect, chat, opened, 7);
    let mut parts: Vec<Part> = pieces.into_iter().flat_map(|piece| parser.push(piece)).collect();
    parts.extend(parser.finish());
    gather(parts)
}

/// Reads a text whole, by characters, and cut at every place: always the same comes out.
fn read_with(dialect: Dialect, tools: bool, opened: bool, text: &str) -> Read {
    let chat = chat(tools);
    let whole = read_pieces(dialect, &chat, opened, [text]);
    let characters = read_pieces(dialect, &chat, opened, text.split_inclusive(|_| true));
    assert_eq!(characters, whole, "{dialect:?} by characters: {text}");
    for (at, _) in text.char_indices() {
        let cut = read_pieces(dialect, &chat, opened, [&text[..at], &text[at..]]);
        assert_eq!(cut, whole, "{dialect:?} cut at {at}: {text}");
    }
    whole
}

fn read(dialect: Dialect, text: &str) -> Read {
    read_with(dialect, true, false, text)
}

fn expect(content: &str, reasoning: &str, calls: &[(&str, &str)]) -> Read {
    let calls = calls.iter().map(|(name, arguments)| ((*name).to_owned(), (*arguments).to_owned())).collect();
    Read { content: content.into(), reasoning: reasoning.into(), calls }
}

const PARIS: (&str, &str) = ("weather", r#"{"city":"Paris"}"#);
const NOON: (&str, &str) = ("time", "{}");

#[test]
fn every_family_says_thinks_and_calls() {
    use Dialect::*;
    let answers = [
        (Gemma4, "<|channel>thought\nhm\n<channel|>Look: <|tool_call>call:weather{city:<|\"|>Paris<|\"|>}<tool_call|><|tool_call>call:time{}<tool_call|>"),
        (Harmony, "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary<|message|>Look: <|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"city\": \"Paris\"}<|call|><|start|>assistant to=functions.time<|channel|>commentary json<|message|>{}"),
        (Mistral, "[THINK]hm[/THINK]Look: [TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}, {\"name\": \"time\", \"arguments\": {}}]"),
        (MistralNamed, "[THINK]hm[/THINK]Look: [TOOL_CALLS]weather[ARGS]{\"city\": \"Paris\"}[TOOL_CALLS]time[CALL_ID]a1b2[ARGS]{}"),
        (DeepSeek, "<think>\nhm\n</think>\n\nLook: <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Paris\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>time\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
        (DeepSeekBare, "<think>hm</think>Look: <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Paris\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
        (Hermes, "<think>\nhm\n</think>\n\nLook: <tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>"),
        (Llama3, "<think>hm</think>Look: <|python_tag|>{\"name\": \"weather\", \"parameters\": {\"city\": \"Paris\"}}<|python_tag|>{\"name\": \"time\", \"parameters\": {}}"),
        (Generic, "<think>hm</think>Look: ```json\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n```\n<tool_call>{\"name\": \"time\", \"arguments\": {}}</tool_call>"),
    ];
    for (dialect, text) in answers {
        let read = read(dialect, text);
        assert_eq!(read.content.trim_end(), "Look:", "{dialect:?}");
        assert_eq!(read, Read { content: read.content.clone(), ..expect("", "hm", &[PARIS, NOON]) }, "{dialect:?}");
    }
}

#[test]
fn an_answer_that_is_a_call_alone() {
    let call = r#" {"name": "weather", "parameters": {"city": "Paris"}}"#;
    for dialect in [Dialect::Llama3, Dialect::Generic] {
        assert_eq!(read(dialect, call), expect("", "", &[PARIS]));
        assert_eq!(read(dialect, &format!("So: {call}")), expect(&format!("So: {call}"), "", &[]));
        assert_eq!(read_with(dialect, false, false, call), expect(call, "", &[]));
    }
    assert_eq!(read(Dialect::Hermes, call), expect(call, "", &[]));
    let fenced = "```tool_code\n{\"name\": \"time\", \"parameters\": {}}\n```";
    assert_eq!(read(Dialect::Generic, fenced), expect("", "", &[NOON]));
}

#[test]
fn without_tools_their_markers_are_text() {
    let hermes = "<tool_call>{\"name\": \"time\"}</tool_call> \n";
    assert_eq!(read_with(Dialect::Hermes, false, false, hermes), expect(hermes, "", &[]));
    let gemma = "<|channel>thought\n<channel|><|tool_call>call:time{}<tool_call|>";
    assert_eq!(read_with(Dialect::Gemma4, false, false, gemma), expect("<|tool_call>call:time{}<tool_call|>", "", &[]));
    let forbidden = Chat { tool_choice: ToolChoice::None, ..chat(true) };
    assert_eq!(read_pieces(Dialect::Hermes, &forbidden, false, [hermes]), expect(hermes, "", &[]));
}

#[test]
fn what_is_no_call_is_given_back() {
    let texts = [
        (Dialect::Hermes, "<tool_call>{\"name\": \"time\", }</tool_call> a"),
        (Dialect::Hermes, "<tool_call> is a marker"),
        (Dialect::Hermes, "<tool_call>{\"name\": \"unknown\", \"arguments\": {\"a\": \"brok"),
        (Dialect::Hermes, "<tool_call>{\"name\": \"time\", \"argum"),
        (Dialect::Hermes, "<tool_call></tool_call>"),
        (Dialect::Hermes, "<tool_call>{\"name\": \"time\", \"arguments\": [1]}</tool_call>"),
        (Dialect::Gemma4, "<|tool_call>call:time{a:}<tool_call|>"),
        (Dialect::Gemma4, "<|tool_call>time{}<tool_call|>"),
        (Dialect::Gemma4, "<|tool_call>call:time{a:<|\"|>brok"),
        (Dialect::MistralNamed, "[TOOL_CALLS]two words[ARGS]{}"),
        (Dialect::Mistral, "[TOOL_CALLS][]"),
        (Dialect::Llama3, "{\"name\": \"Paul\", \"age\": 5} is a person"),
        (Dialect::Llama3, "{\"city\": \"Paris\"}"),
        (Dialect::Generic, "```json\n{\"name\": \"unknown\", \"arguments\": {}}\n``` is JSON"),
        (Dialect::Harmony, "<|channel|>commentary to=functions.unknown<|message|>{\"a\": "),
    ];
    for (dialect, text) in texts {
        assert_eq!(read(dialect, text), expect(text, "", &[]), "{dialect:?}");
    }
    let second = "<tool_call>no <tool_call>{\"name\": \"time\"}</tool_call>";
    assert_eq!(read(Dialect::Hermes, second), expect("<tool_call>no", "", &[NOON]), "the next call counts");
    let long = format!("<tool_call>{{\"name\": \"{}", "x".repeat(call::CALL_BYTES_MAX));
    assert_eq!(
        read_pieces(Dialect::Hermes, &chat(true), false, [long.as_str(), " end"]).content,
        format!("{long} end")
    );
}

/// The pieces of calls, as clients get them.
fn pieces(dialect: Dialect, text: &str) -> Vec<String> {
    let mut parser = OutputParser::new(dialect, &chat(true), false, 7);
    let characters: Vec<char> = text.chars().collect();
    let parts = characters.chunks(4).flat_map(|piece| parser.push(&piece.iter().collect::<String>()));
    let mut parts: Vec<Part> = parts.collect();
    parts.extend(parser.finish());
    let shown = |part| match part {
        Part::ToolCall(ToolCallPart { begins: Some((_, name)), arguments, .. }) => Some(format!("{name}:{arguments}")),
        Part::ToolCall(ToolCallPart { begins: None, arguments, .. }) => Some(arguments),
        Part::Content(_) | Part::Reasoning(_) => None,
    };
    parts.into_iter().filter_map(shown).collect()
}

#[test]
fn calls_are_told_as_they_are_written() {
    let city = "{\"city\": \"Paris\", \"days\": [1, 2]}";
    for (dialect, text) in [
        (Dialect::Hermes, format!("<tool_call>{{\"name\": \"weather\", \"arguments\": {city}}}</tool_call>")),
        (Dialect::Llama3, format!("{{\"name\": \"weather\", \"parameters\": {city}}}")),
        (Dialect::Generic, format!("```json\n{{\"name\": \"weather\", \"arguments\": {city}}}\n```")),
        (Dialect::MistralNamed, format!("[TOOL_CALLS]weather[ARGS]{city}")),
        (
            Dialect::DeepSeek,
            format!("<｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{city}\n```<｜tool▁call▁end｜>"),
        ),
        (Dialect::DeepSeekBare, format!("<｜tool▁call▁begin｜>weather<｜tool▁sep｜>{city}<｜tool▁call▁end｜>")),
        (
            Dialect::Harmony,
            format!("<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{city}<|call|>"),
        ),
    ] {
        let told = pieces(dialect, &text);
        assert!(told.len() > 5 && told[0].starts_with("weather:") && told[0].len() < 13, "{dialect:?}: {told:?}");
        assert_eq!(told.concat(), "weather:{\"city\":\"Paris\",\"days\":[1,2]}", "{dialect:?}");
    }
    let gemma = "<|tool_call>call:weather{city:<|\"|>Paris<|\"|>}<tool_call|>";
    assert_eq!(pieces(Dialect::Gemma4, gemma), ["weather:{\"city\":\"Paris\"}"], "its notation is not JSON");
    let list = "[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}]";
    assert_eq!(pieces(Dialect::Mistral, list), ["weather:{\"city\":\"Paris\"}"], "nor is a list one call");
    let unknown = "<tool_call>{\"name\": \"other\", \"arguments\": {\"city\": \"Paris\"}}</tool_call>";
    assert_eq!(pieces(Dialect::Hermes, unknown), ["other:{\"city\":\"Paris\"}"]);
}

#[test]
fn a_call_that_breaks_off_ends_there() {
    let begun = "<tool_call>{\"name\": \"time\", \"arguments\": {\"a\": \"brok";
    assert_eq!(read(Dialect::Hermes, begun), expect("", "", &[("time", "{\"a\":\"brok")]));
    let harmony = "<|channel|>commentary to=functions.time<|message|>{\"a\": ";
    assert_eq!(read(Dialect::Harmony, harmony), expect("", "", &[("time", "{\"a\":")]));
    let wrong = "<tool_call>{\"name\": \"time\", \"arguments\": {\"a\": oops}}</tool_call>";
    assert_eq!(read(Dialect::Hermes, wrong), expect("oops}}</tool_call>", "", &[("time", "{\"a\":")]));
    let open = "<tool_call>{\"name\": \"time\", \"arguments\": {\"a\": 1}";
    assert_eq!(read(Dialect::Hermes, open), expect("", "", &[("time", "{\"a\":1}")]));
}

#[test]
fn the_closing_marker_may_be_missing() {
    let text = "<tool_call>{\"name\": \"time\"}";
    assert_eq!(read(Dialect::Hermes, text), expect("", "", &[NOON]));
    assert_eq!(read(Dialect::Hermes, &format!("{text} And now?")), expect(" And now?", "", &[NOON]));
    assert_eq!(read(Dialect::Gemma4, "<|tool_call>call:time{}"), expect("", "", &[NOON]));
    assert_eq!(read(Dialect::Gemma4, text), expect("", "", &[NOON]), "as a template without tools has it");
}

#[test]
fn markers_within_arguments_are_arguments() {
    let text = "<tool_call>{\"name\": \"time\", \"arguments\": {\"a\": \"</tool_call>}\\\"\"}}</tool_call>";
    assert_eq!(read(Dialect::Hermes, text), expect("", "", &[("time", "{\"a\":\"</tool_call>}\\\"\"}")]));
    let text = "<|tool_call>call:time{a:<|\"|><tool_call|>}<|\"|>}<tool_call|>";
    assert_eq!(read(Dialect::Gemma4, text), expect("", "", &[("time", "{\"a\":\"<tool_call|>}\"}")]));
}

#[test]
fn thoughts_that_the_prompt_opens() {
    for (prompt, opens) in [
        ("<|im_start|>assistant\n<think>\n", true),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", false),
        ("<|turn>model\n<|channel>thought\n<channel|>", false),
        ("<|turn>model\n<|channel>thought\n", true),
        ("<|im_start|>assistant\n", false),
    ] {
        assert_eq!(opens_thinking(prompt), opens, "{prompt}");
    }
    let opened = |text| read_with(Dialect::Hermes, false, true, text);
    assert_eq!(opened("\nhm \n</think>\n\nYes. \n"), expect("Yes. \n", "hm", &[]));
    assert_eq!(opened("<think>hm</think>Yes"), expect("Yes", "hm", &[]));
    assert_eq!(opened("hm <thi"), expect("", "hm <thi", &[]), "cut short");
    assert_eq!(opened("</think>Yes"), expect("Yes", "", &[]));
    assert_eq!(read_with(Dialect::Gemma4, false, true, "hm<channel|>Yes"), expect("Yes", "hm", &[]));
}

#[test]
fn thoughts_stand_first_except_in_gemma_4() {
    let text = "A <think> is a marker.</think>";
    assert_eq!(read(Dialect::Hermes, text), expect(text, "", &[]));
    let twice = "<|channel>thought\na\n<channel|>One. <|channel>thought\nb\n<channel|>Two.<channel|>";
    assert_eq!(read(Dialect::Gemma4, twice), expect("One. Two.", "ab", &[]));
    let empty = "<|channel>thought\n<channel|>Yes.";
    assert_eq!(read(Dialect::Gemma4, empty), expect("Yes.", "", &[]));
}

#[test]
fn ids_are_the_same_for_the_same_answer_only() {
    let ids = |seed| {
        let mut parser = OutputParser::new(Dialect::Hermes, &chat(true), false, seed);
        let call = "<tool_call>{\"name\": \"time\"}</tool_call>";
        let parts = parser.push(&call.repeat(2));
        assert_eq!(parser.calls(), 2);
        let id = |part| if let Part::ToolCall(call) = part { call.begins.map(|(id, _)| id) } else { None };
        parts.into_iter().filter_map(id).collect::<Vec<_>>()
    };
    let (one, two) = (ids(1), ids(2));
    assert_eq!(one, ids(1));
    assert!(one[0] != one[1] && one[0] != two[0]);
}

#[test]
fn templates_name_their_family() {
    let sources = [
        ("{{- '<|tool_call>call:' + function['name'] -}}", Dialect::Gemma4),
        ("<|start|>assistant<|channel|>final<|message|>", Dialect::Harmony),
        ("tools [AVAILABLE_TOOLS][TOOL_CALLS]", Dialect::Mistral),
        ("tools [TOOL_CALLS]{{ name }}[ARGS]", Dialect::MistralNamed),
        ("tools <｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + name + '\\n```json", Dialect::DeepSeek),
        ("tools <｜tool▁call▁begin｜>'+ name + '<｜tool▁sep｜>", Dialect::DeepSeekBare),
        ("tools <|im_start|>system\n<tool_call>\n{\"name\": <function-name>", Dialect::Hermes),
        ("tools <|start_header_id|>ipython<|python_tag|>", Dialect::Llama3),
        ("<｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + name + '\\n```json", Dialect::Generic),
        ("<start_of_turn>user", Dialect::Generic),
        ("<|turn>user", Dialect::Generic),
    ];
    for (source, dialect) in sources {
        assert_eq!(Dialect::detect(source), dialect, "{source}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Text without markers comes out as it went in, whatever the pieces.
    #[test]
    fn plain_text_stays(pieces in prop::collection::vec("[a-z .,\n<>|\":é☃]{0,9}", 0..9), tools: bool) {
        let text = pieces.concat();
        for dialect in ALL {
            let mark = |marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
            prop_assume!(!mark(dialect.markers()));
            let read = read_pieces(dialect, &chat(tools), false, pieces.iter().map(String::as_str));
            prop_assert_eq!(&read, &expect(&text, "", &[]), "{:?}", dialect);
        }
    }

    /// Markers in any disorder: no panic, no half marker, valid JSON, and the same result for any pieces.
    #[test]
    fn any_disorder_ends_the_same(picks in prop::collection::vec((0..40usize, "[a-z {}\\[\\]\",:0-9\n]{0,6}"), 0..12), opened: bool, size in 1..7usize) {
        for dialect in ALL {
            let style = dialect.style();
            let mut marks: Vec<&str> = dialect.markers().to_vec();
            marks.extend(style.calls.iter().flat_map(|call| [call.open, call.close]));
            marks.extend(["{\"name\": \"time\", \"arguments\": {", "call:time{", "time[ARGS]{", "}}", "\"}", "<", " to=functions.time"]);
            let text: String = picks.iter().map(|(i, text)| format!("{}{text}", marks[i % marks.len()])).collect();
            let characters: Vec<String> = text.chars().map(String::from).collect();
            let pieces: Vec<String> = characters.chunks(size).map(|chunk| chunk.concat()).collect();
            let cut = read_pieces(dialect, &chat(true), opened, pieces.iter().map(String::as_str));
            let whole = read_pieces(dialect, &chat(true), opened, [text.as_str()]);
            prop_assert_eq!(cut, whole, "{:?}: {}", dialect, text);
        }
    }
}
