//! Grammars against texts byte by byte, against hostile input, and with the tiny model's tokens.

use super::*;
use crate::dialect::{OutputParser, Part};
use crate::llama::{Model, Token};
use crate::request::{Message, Role};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// The tiny model's tokens.
struct Tiny {
    model: Model,
    vocabulary: Arc<Vocabulary>,
    bytes: Vec<Vec<u8>>,
}

fn tiny() -> Tiny {
    let model = Model::load(Path::new("../../tests/models/tiny-gemma-q8_0.gguf"), 0, &mut |_| true).unwrap();
    let ids = 0..model.vocabulary() as Token;
    let special: Vec<bool> = ids.clone().map(|id| model.is_special(id)).collect();
    let ends: Vec<u32> = ids.filter(|&id| model.ends_answer(id)).map(|id| id as u32).collect();
    let bytes = model.token_bytes();
    let vocabulary = Vocabulary::new(bytes.clone(), &special, &ends).unwrap();
    Tiny { model, vocabulary, bytes }
}

/// Every byte a token, and the special tokens that are named, of which the first ends an answer.
fn bytewise(special: &[&str]) -> Arc<Vocabulary> {
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    tokens.extend(special.iter().map(|text| text.as_bytes().to_vec()));
    let is_special: Vec<bool> = (0..tokens.len()).map(|id| id > 255).collect();
    Vocabulary::new(tokens, &is_special, &[256]).unwrap()
}

/// How far a grammar takes a text, given as pieces of it or of the names of special tokens.
fn takes(grammar: &mut Grammar, vocabulary: &Vocabulary, text: &str) -> Result<bool, usize> {
    let mut at = 0;
    while at < text.len() {
        let special = vocabulary.names().find(|(name, _)| text.as_bytes()[at..].starts_with(name.as_bytes()));
        let (id, length) = special.map_or((u32::from(text.as_bytes()[at]), 1), |(name, id)| (*id, name.len()));
        let mut logits = vec![0.0; 256 + vocabulary.names().count()];
        if grammar.mask(&mut logits).is_err() || logits[id as usize] != 0.0 || grammar.accept(id).is_err() {
            return Err(at);
        }
        at += length;
    }
    Ok(grammar.is_complete())
}

fn fits(constraint: &Constraint, text: &str) -> bool {
    let vocabulary = bytewise(&["<eos>"]);
    let mut grammar = Grammar::compile(&vocabulary, constraint, Lead::NONE).unwrap();
    takes(&mut grammar, &vocabulary, text) == Ok(true)
}

fn tool(name: &str, parameters: Value) -> Tool {
    Tool { name: name.into(), description: None, parameters }
}

fn chat(tools: Vec<Tool>) -> Chat {
    let messages = vec![Message::new(Role::User, "x")];
    Chat { messages, tools, tool_choice: ToolChoice::Required, parallel_tool_calls: true, ..Chat::default() }
}

fn weather() -> Tool {
    let near = json!({ "type": "array", "items": { "type": "string" }, "maxItems": 2 });
    tool(
        "weather",
        json!({ "type": "object", "required": ["city"], "properties": {
        "city": { "type": "string" }, "days": { "type": "integer", "minimum": 1, "maximum": 9 },
        "unit": { "enum": ["C", "F"] }, "near": near } }),
    )
}

#[test]
fn constraints_take_what_fits_and_nothing_else() {
    let object = Constraint::JsonObject;
    assert!(fits(&object, r#"{"a": [1, {"b": null}],"c":"d"}"#) && fits(&object, "{\n  \"a\": 1\n}"));
    assert!(!fits(&object, "[1]") && !fits(&object, r#"{"a": 1"#) && !fits(&object, "{  \n\n\n\n"));
    let person = json!({ "type": "object", "required": ["age", "kind"], "additionalProperties": false, "properties": {
        "age": { "type": "integer", "minimum": 0, "maximum": 150 }, "kind": { "$ref": "#/$defs/kind" },
        "id": { "anyOf": [{ "type": "null" }, { "type": "number", "exclusiveMaximum": 0 }] } },
        "$defs": { "kind": { "enum": ["cat", "dog"] } } });
    let person = Constraint::JsonSchema(person);
    assert!(fits(&person, r#"{"age": 42, "kind": "cat"}"#) && fits(&person, r#"{"age":0,"kind":"dog","id":-1.5}"#));
    for text in [
        r#"{"age": 151, "kind": "cat"}"#,
        r#"{"age": 4, "kind": "cow"}"#,
        r#"{"age": 4}"#,
        r#"{"age": 4, "kind": "cat", "id": 1}"#,
    ] {
        assert!(!fits(&person, text), "{text}");
    }
    let regex = Constraint::Regex("[a-c]{2,3}-é+".into());
    assert!(fits(&regex, "abc-éé") && !fits(&regex, "a-é") && !fits(&regex, "abc-"));
    let lark = Constraint::Lark("start: \"a\" start \"b\" | \"c\"".into());
    assert!(fits(&lark, "aacbb") && !fits(&lark, "aacb"));
    let choice = Constraint::Choice(vec!["yes \"quoted\"\n".into(), "no".into()]);
    assert!(fits(&choice, "yes \"quoted\"\n") && fits(&choice, "no") && !fits(&choice, "n") && !fits(&choice, "maybe"));
}

#[test]
fn the_end_is_known() {
    let vocabulary = bytewise(&["<eos>", "<other>"]);
    let choice = Constraint::Choice(vec!["no".into(), "nobody".into()]);
    let mut grammar = Grammar::compile(&vocabulary, &choice, Lead::NONE).unwrap();
    assert_eq!(grammar.forced_bytes(), b"no");
    assert_eq!(takes(&mut grammar, &vocabulary, "no"), Ok(true));
    assert!(!grammar.must_end(), "it may go on");
    assert_eq!(takes(&mut grammar, &vocabulary, "body"), Ok(true));
    assert!(grammar.must_end());
    let mut logits = vec![0.0; 300];
    grammar.mask(&mut logits).unwrap();
    let left: Vec<usize> = (0..300).filter(|&id| logits[id] == 0.0).collect();
    assert_eq!(left, [256], "only the token that ends it");
    let mut grammar = Grammar::compile(&vocabulary, &choice, Lead::NONE).unwrap();
    assert_eq!(grammar.accept(u32::from(b'x')).unwrap_err().code(), "invalid_constraint");
    assert!(grammar.mask(&mut logits).is_err(), "after an error there is nothing more");
}

#[test]
fn thoughts_stand_before_the_constrained_text() {
    let schema = Constraint::JsonSchema(json!({ "type": "object", "properties": { "a": { "type": "integer" } } }));
    let json = r#"{"a": 1}"#;
    let thinking = |thinking| Chat { thinking, ..chat(vec![]) };
    let check = |dialect, special: &[&str], chat: Chat, opened, text: String, fits| {
        let vocabulary = bytewise(special);
        let lead = Lead::of_chat(dialect, &chat, opened);
        let mut grammar = Grammar::compile(&vocabulary, &schema, lead).unwrap();
        assert_eq!(takes(&mut grammar, &vocabulary, &text) == Ok(true), fits, "{dialect:?} {opened} {text}");
    };
    let text: &[&str] = &["<eos>"];
    let thought = "<think>\n{\"no\": < a}\n</think>\n\n";
    check(Dialect::Hermes, text, thinking(None), false, json.into(), true);
    check(Dialect::Hermes, text, thinking(None), false, format!("{thought}{json}"), false);
    check(Dialect::Hermes, text, thinking(Some(true)), false, format!("{thought}{json}"), true);
    check(Dialect::Hermes, text, thinking(Some(true)), false, json.into(), true);
    check(Dialect::Hermes, text, thinking(None), true, format!("hm</think>{json}"), true);
    check(Dialect::Hermes, text, thinking(None), true, json.into(), false);
    let special: &[&str] = &["<eos>", "<|channel>", "<channel|>"];
    let thought = "<|channel>thought\n{a}\n<channel|>";
    check(Dialect::Gemma4, special, thinking(Some(true)), false, format!("{thought}{json}"), true);
    check(Dialect::Gemma4, special, thinking(Some(true)), false, json.into(), true);
    check(Dialect::Gemma4, special, thinking(None), false, format!("{thought}{json}"), false);
    check(
        Dialect::Harmony,
        text,
        thinking(None),
        false,
        format!("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{json}"),
        true,
    );
    check(Dialect::Harmony, text, thinking(None), false, format!("<|channel|>final<|message|>{json}"), true);
    check(Dialect::Harmony, text, thinking(None), false, json.into(), false);
}

#[test]
fn calls_that_must_be_fit_the_family_and_the_schema() {
    use Dialect::*;
    let chat = chat(vec![weather(), tool("time.now", json!({}))]);
    let all = [Gemma4, Harmony, Mistral, MistralNamed, DeepSeek, DeepSeekBare, Hermes, Llama3, Generic];
    let answers = [
        "<|tool_call>call:weather{city:<|\"|>Pa}ris<|\"|>,days:3,unit:<|\"|>C<|\"|>}<tool_call|><|tool_call>call:time.now{}<tool_call|>",
        "<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"city\": \"Paris\"}",
        "[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}, {\"name\": \"time.now\", \"arguments\": {}}]",
        "[TOOL_CALLS]weather[ARGS]{\"city\": \"Paris\"}[TOOL_CALLS]time.now[ARGS]{}",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Paris\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>time.now\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Paris\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\", \"days\": 9}}\n</tool_call>\n<tool_call>\n{\"name\": \"time.now\", \"arguments\": {}}\n</tool_call>",
        "{\"name\": \"weather\", \"parameters\": {\"city\": \"Paris\"}}",
        "<tool_call>\n{\"name\": \"time.now\", \"arguments\": {}}\n</tool_call>",
    ];
    for (dialect, answer) in all.into_iter().zip(answers) {
        let mut special = vec!["<eos>"];
        for vocabulary in [bytewise(&special), {
            special.extend(dialect.markers());
            bytewise(&special)
        }] {
            let grammar = || Grammar::for_chat(&vocabulary, None, (dialect, &chat, false)).unwrap().unwrap();
            assert_eq!(takes(&mut grammar(), &vocabulary, answer), Ok(true), "{dialect:?}");
            assert!(takes(&mut grammar(), &vocabulary, "Hello") != Ok(true), "{dialect:?}");
            let unknown = answer.replace("weather", "other").replace("time.now", "another");
            assert!(takes(&mut grammar(), &vocabulary, &unknown).is_err(), "{dialect:?}");
        }
        // What the grammar makes the parser reads.
        let mut parser = OutputParser::new(dialect, &chat, false, 1);
        let mut parts = parser.push(answer);
        parts.extend(parser.finish());
        assert!(parts.iter().all(|part| matches!(part, Part::ToolCall(_))) && parser.calls() > 0, "{dialect:?}");
    }
}

#[test]
fn arguments_fit_the_schema_in_gemmas_notation_too() {
    let vocabulary = bytewise(&["<eos>", "<|tool_call>", "<tool_call|>", "<|\"|>"]);
    let takes = |tool: &Tool, arguments: &str| {
        let chat = chat(vec![tool.clone()]);
        let mut grammar = Grammar::for_tools(&vocabulary, Dialect::Gemma4, &chat, false).unwrap().unwrap();
        takes(&mut grammar, &vocabulary, &format!("<|tool_call>call:{}{arguments}<tool_call|>", tool.name)) == Ok(true)
    };
    for good in [
        "{city:<|\"|>é<|\"|>}",
        "{city:<|\"|><|\"|>,near:[]}",
        "{city:<|\"|>a<|\"|>,near:[<|\"|>b<|\"|>,<|\"|>c<|\"|>],unit:<|\"|>F<|\"|>}",
    ] {
        assert!(takes(&weather(), good), "{good}");
    }
    for bad in [
        "{}",
        "{days:3}",
        "{city:Paris}",
        "{city:<|\"|>a<|\"|>,days:10}",
        "{city:<|\"|>a<|\"|>,unit:<|\"|>K<|\"|>}",
        "{city:<|\"|>a<|\"|>,x:1}",
        "{city:<|\"|>a<|\"|>,near:[<|\"|>a<|\"|>,<|\"|>b<|\"|>,<|\"|>c<|\"|>]}",
    ] {
        assert!(!takes(&weather(), bad), "{bad}");
    }
    let tree = json!({ "type": "object", "required": ["t"], "properties": { "t": { "$ref": "#/$defs/t" } }, "$defs": {
        "t": { "type": "object", "properties": { "next": { "anyOf": [{ "$ref": "#/$defs/t" }, { "type": "null" }] },
            "on": { "type": ["boolean", "integer"] }, "any": {} } } } });
    let tree = tool("tree", tree);
    assert!(takes(&tree, "{t:{any:{a_b:[1,{}]},next:{next:null},on:true}}") && takes(&tree, "{t:{on:-5}}"));
    assert!(!takes(&tree, "{t:{next:{next:1}}}") && !takes(&tree, "{t:1}"));
    assert!(takes(&tool("free", json!({ "type": "object" })), "{x:<|\"|>y<|\"|>,z:[{}]}"));
}

#[test]
fn how_many_calls() {
    let vocabulary = bytewise(&["<eos>"]);
    let one = "<tool_call>\n{\"name\": \"a\", \"arguments\": {}}\n</tool_call>";
    let two = format!("{one}\n{one}");
    let tools = vec![tool("a", json!({})), tool("b", json!({}))];
    let takes = |chat: &Chat, text: &str| {
        let mut grammar = Grammar::for_tools(&vocabulary, Dialect::Hermes, chat, false).unwrap().unwrap();
        takes(&mut grammar, &vocabulary, text) == Ok(true)
    };
    assert!(takes(&chat(tools.clone()), &two));
    let single = Chat { parallel_tool_calls: false, ..chat(tools.clone()) };
    assert!(takes(&single, one) && !takes(&single, &two));
    let named = Chat { tool_choice: ToolChoice::Named("b".into()), ..chat(tools.clone()) };
    assert!(!takes(&named, one) && takes(&named, &one.replace("\"a\"", "\"b\"")));
    let of = |tool_choice, tools| {
        let chat = Chat { tool_choice, ..chat(tools) };
        Grammar::for_tools(&vocabulary, Dialect::Hermes, &chat, false).map(|grammar| grammar.is_some())
    };
    assert_eq!(of(ToolChoice::Auto, tools.clone()), Ok(false));
    assert_eq!(of(ToolChoice::None, tools.clone()), Ok(false));
    assert_eq!(of(ToolChoice::Named("c".into()), tools).unwrap_err().code(), "invalid_constraint");
    assert_eq!(of(ToolChoice::Required, vec![]).unwrap_err().code(), "invalid_constraint");
}

#[test]
fn hostile_constraints_end_soon() {
    let vocabulary = tiny().vocabulary;
    let nested = |n: usize, inner: Value, wrap: &dyn Fn(Value) -> Value| (0..n).fold(inner, |value, _| wrap(value));
    let chain: String = (0..15_000).map(|i| format!("r{i}: r{}\n", i + 1)).collect();
    let wide: serde_json::Map<String, Value> =
        (0..300).map(|i| (format!("p{i}"), json!({ "type": "string", "pattern": "^(a|b)*c{1,50}$" }))).collect();
    let cross: Vec<Value> = (0..40).map(|i| json!({ "anyOf": (0..40).map(|j| json!({ "properties": { format!("p{i}"): { "const": j } } })).collect::<Vec<_>>() })).collect();
    let hostile = [
        ("regex: repeated", Constraint::Regex("(a{1000}){1000}".into())),
        ("regex: three times", Constraint::Regex("((a{0,500}){0,500}){0,500}b".into())),
        ("regex: many states", Constraint::Regex(".*(a|b).{5000}(c|d).{5000}".into())),
        ("regex: parentheses", Constraint::Regex("(".repeat(100_000) + "a" + &")".repeat(100_000))),
        ("regex: invalid", Constraint::Regex("[".into())),
        ("regex: nothing", Constraint::Regex("[^\\s\\S]".into())),
        ("regex: long", Constraint::Regex("x".repeat(SCHEMA_BYTES_MAX))),
        ("regex: unicode", Constraint::Regex("(\\p{L}|\\p{N}){1,5000}".into())),
        ("lark: parentheses", Constraint::Lark(format!("start: {}\"a\"{}", "(".repeat(100_000), ")".repeat(100_000)))),
        (
            "lark: some parentheses",
            Constraint::Lark(format!("start: {}\"a\"{}", "(".repeat(LARK_DEPTH_MAX), ")".repeat(LARK_DEPTH_MAX))),
        ),
        ("lark: chain", Constraint::Lark(format!("start: r0\n{chain}r15000: \"a\""))),
        ("lark: loop", Constraint::Lark("start: start | start start | \"\"".into())),
        ("lark: repeated", Constraint::Lark("start: (\"a\"{1,10000}){1,10000}".into())),
        (
            "lark: not",
            Constraint::Lark("start: A\nA: ~(~(~/(a|b)*a(a|b){30}/ & /.*c.{30}/) & /(.|\\n)*x.{40}/)".into()),
        ),
        ("lark: no start", Constraint::Lark("a: \"b\"".into())),
        ("lark: bytes", Constraint::Lark("\u{0}\u{7f}%%%".into())),
        ("lark: json", Constraint::Lark(format!("start: %json {}1{}", "[".repeat(50_000), "]".repeat(50_000)))),
        ("lark: nested", Constraint::Lark("start: %lark {\n".repeat(10_000) + &"}".repeat(10_000))),
        ("schema: deep", Constraint::JsonSchema(nested(100, json!({}), &|v| json!({ "items": v })))),
        ("schema: wide", Constraint::JsonSchema(json!({ "type": "object", "properties": wide }))),
        ("schema: cross product", Constraint::JsonSchema(json!({ "allOf": cross }))),
        (
            "schema: long text",
            Constraint::JsonSchema(json!({ "type": "string", "minLength": 1_000_000_000, "maxLength": 2_000_000_000 })),
        ),
        (
            "schema: long array",
            Constraint::JsonSchema(
                json!({ "type": "array", "minItems": 1_000_000_000, "items": { "type": "integer" } }),
            ),
        ),
        ("schema: itself", Constraint::JsonSchema(json!({ "$ref": "#" }))),
        ("schema: elsewhere", Constraint::JsonSchema(json!({ "$ref": "https://example.com/schema.json" }))),
        ("schema: multiple", Constraint::JsonSchema(json!({ "type": "integer", "multipleOf": 7_919_000_001i64 }))),
        ("schema: impossible", Constraint::JsonSchema(json!({ "type": "integer", "minimum": 5, "maximum": 4 }))),
        ("schema: unknown", Constraint::JsonSchema(json!({ "not": { "type": "string" } }))),
        ("schema: false", Constraint::JsonSchema(json!(false))),
        (
            "schema: options",
            Constraint::JsonSchema(json!({ "x-guidance": { "whitespace_pattern": "(" }, "type": "null" })),
        ),
        ("choice: none", Constraint::Choice(vec![])),
        ("choice: many", Constraint::Choice((0..30_000).map(|i| format!("{i:x}")).collect())),
    ];
    for (name, constraint) in hostile {
        let began = Instant::now();
        let grammar = Grammar::compile(&vocabulary, &constraint, Lead::NONE);
        let compiled = began.elapsed();
        let mut slowest = Duration::ZERO;
        let outcome = match grammar {
            Err(error) => error.to_string(),
            Ok(mut grammar) => {
                let mut logits = vec![0.0; 2048];
                for step in 0..50 {
                    logits.fill(0.0);
                    let began = Instant::now();
                    let Ok(()) = grammar.mask(&mut logits) else { break };
                    slowest = slowest.max(began.elapsed());
                    let allowed: Vec<usize> = (0..2048).filter(|&id| logits[id] == 0.0).collect();
                    if grammar.must_end() || grammar.accept(allowed[step * 7 % allowed.len()] as u32).is_err() {
                        break;
                    }
                }
                "compiles".into()
            }
        };
        assert!(compiled < COMPILE_TIME_MAX + Duration::from_secs(1), "{name}: {compiled:?}");
        assert!(slowest < Duration::from_secs(2), "{name}: {slowest:?}");
        assert!(outcome.len() < 500);
    }
}

#[test]
fn what_takes_too_long_is_left_behind() {
    let (stop, stopped) = mpsc::channel::<()>();
    let began = Instant::now();
    let endless = in_time(Duration::from_millis(20), move || Ok(stopped.recv().is_ok()));
    assert_eq!(endless, Err(invalid("it takes too long to compile")));
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(stop);
    assert_eq!(in_time(Duration::from_secs(20), || Ok(1)), Ok(1));
}

#[test]
fn errors_quote_little_and_only_their_first_line() {
    let long = format!("at 1(8): invalid regex \"{}\" here \"[\"\n<state>secret", "x".repeat(99));
    assert_eq!(failed(&long), invalid("at 1(8): invalid regex \"…\" here \"[\""));
    assert_eq!(nesting("a: \"((\" ( /[[[\\/{/ ) // (((\n# (((\n ([{}])"), 3);
}

#[test]
fn the_tiny_model_can_write_all_of_json() {
    let Tiny { model, vocabulary, bytes } = tiny();
    for byte in 0..=0x7f {
        assert!(bytes.iter().zip(0..).any(|(token, id)| *token == [byte] && !model.is_special(id)), "{byte:#x}");
    }
    // Whatever it prefers, the answer fits: the tokens are chosen by dice.
    let chat = chat(vec![weather()]);
    for seed in 0..20u64 {
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut grammar = Grammar::for_chat(&vocabulary, None, (Dialect::Gemma4, &chat, false)).unwrap().unwrap();
        let mut text = Vec::new();
        for step in 0.. {
            let mut logits = vec![0.0; model.vocabulary()];
            grammar.mask(&mut logits).unwrap();
            let mut choose = |fits: &dyn Fn(usize) -> bool| {
                let allowed: Vec<usize> = (0..logits.len()).filter(|&id| logits[id] == 0.0 && fits(id)).collect();
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (!allowed.is_empty()).then(|| allowed[(dice >> 33) as usize % allowed.len()])
            };
            // After a while only what comes to an end: special tokens and single closing bytes.
            let ending = |id: usize| step < 40 || model.is_special(id as Token);
            let id = choose(&ending).or_else(|| choose(&|_| true)).unwrap() as u32;
            grammar.accept(id).unwrap();
            if model.ends_answer(id as Token) {
                break;
            }
            text.extend(&bytes[id as usize]);
            assert!(step < 2_000);
        }
        let text = String::from_utf8(text).unwrap();
        let mut parser = OutputParser::new(Dialect::Gemma4, &chat, false, 1);
        let mut parts = parser.push(&text);
        parts.extend(parser.finish());
        assert!(parts.iter().all(|part| matches!(part, Part::ToolCall(_))), "{text}");
    }
}

#[test]
fn masks_are_quick_with_many_tokens() {
    let tokens: Vec<Vec<u8>> = (0..65_536u64).map(synthetic).collect();
    let vocabulary = Vocabulary::new(tokens.clone(), &vec![false; tokens.len()], &[65_535]).unwrap();
    let text = r#"{"name": "A person of some note", "age": 42, "tags": ["one", "two words", "three"]}"#;
    let mut grammar = Grammar::compile(&vocabulary, &Constraint::JsonObject, Lead::NONE).unwrap();
    let mut logits = vec![0.0; tokens.len()];
    let mut spent = Duration::ZERO;
    for byte in text.bytes() {
        logits.fill(0.0);
        let began = Instant::now();
        grammar.mask(&mut logits).unwrap();
        spent += began.elapsed();
        grammar.accept(u32::from(byte)).unwrap();
    }
    assert!(grammar.is_complete());
    // A quarter of a millisecond at most on an idle machine.
    let mean = spent / text.len() as u32;
    assert!(mean < Duration::from_millis(25), "{mean:?}");
}

/// Bytes first, then words of letters with and without a space before them, then digits and signs.
fn synthetic(id: u64) -> Vec<u8> {
    if id < 256 {
        return vec![id as u8];
    }
    let mut dice = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = |n: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % n
    };
    let length = 2 + next(9);
    let mut word: Vec<u8> = (0..length).map(|_| b"etaoinshrdlcumwfgypbvk"[next(22) as usize]).collect();
    match next(20) {
        0 => word.push(b"\"',.:;{}[]\n0123456789"[next(21) as usize]),
        1 => word = (0..1 + next(3)).map(|_| b"\",:{}[] \n"[next(9) as usize]).collect(),
        2..12 => word.insert(0, b' '),
        _ => {}
    }
    word
}
