//! A question in the form that travels between peers, and back.
//!
//! What travels is integers and text: fractions are rounded to thousandths, schemas become JSON text. Everything that a
//! question can ask for has a place there; whether it is within the bounds of what may travel is for `verify`.

use crate::request::{Adjust, Chat, Constraint, Image, Message, Role, Tool, ToolCall, ToolChoice};
use crate::{EngineError, More, Prompt, Question, TokenLogprob, TokenLogprobs, ToolCallPart};
use ainonymous_types::{
    limits, ChatAdjust, ChatConstraint, ChatImage, ChatInput, ChatMessage, ChatMore, ChatPrompt, ChatRole, ChatTool,
    ChatToolCall, ChatToolChoice, ChunkMore, LogitBias, MessageMore, ToolCallBegin, ToolCallPiece,
};
use ainonymous_types::{TokenLogprob as SentLogprob, TokenLogprobs as SentLogprobs};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

impl From<&Question> for ChatInput {
    fn from(question: &Question) -> Self {
        // Fingerprints are the answering side's affair.
        let Question {
            prompt,
            sampling,
            adjust,
            constraint,
            max_tokens,
            stop,
            logprobs,
            fingerprint: _,
            ignore_end,
            begun,
        } = question;
        let (messages, mut more) = match prompt {
            Prompt::Chat(chat) => sent_chat(chat),
            Prompt::Text(text) => (vec![], instead(ChatPrompt::Text(text.clone()))),
            Prompt::Tokens(tokens) => (vec![], instead(ChatPrompt::Tokens(tokens.clone()))),
        };
        more.adjust = (!adjust.is_neutral()).then(|| sent_adjust(adjust));
        more.constraint = constraint.as_ref().map(sent_constraint);
        (more.logprobs, more.ignore_end, more.begun) = (*logprobs, *ignore_end, begun.clone());
        let more = (more != ChatMore::default()).then(|| Box::new(more));
        Self { messages, sampling: *sampling, max_tokens: *max_tokens, stop: stop.clone(), more }
    }
}

impl TryFrom<ChatInput> for Question {
    type Error = EngineError;

    /// Fails only if what should be JSON is none.
    fn try_from(input: ChatInput) -> Result<Self, EngineError> {
        let ChatInput { messages, sampling, max_tokens, stop, more } = input;
        let ChatMore {
            prompt,
            tools,
            tool_choice,
            parallel_tool_calls,
            thinking,
            template_arguments,
            adjust,
            constraint,
            logprobs,
            ignore_end,
            begun,
        } = more.map(|more| *more).unwrap_or_default();
        let prompt = match prompt {
            Some(ChatPrompt::Text(text)) => Prompt::Text(text),
            Some(ChatPrompt::Tokens(tokens)) => Prompt::Tokens(tokens),
            None => Prompt::Chat(Chat {
                messages: messages.into_iter().map(Message::from).collect(),
                tools: tools.into_iter().map(Tool::try_from).collect::<Result<_, _>>()?,
                tool_choice: match tool_choice {
                    ChatToolChoice::Auto => ToolChoice::Auto,
                    ChatToolChoice::None => ToolChoice::None,
                    ChatToolChoice::Required => ToolChoice::Required,
                    ChatToolChoice::Named(name) => ToolChoice::Named(name),
                },
                parallel_tool_calls,
                thinking,
                template_arguments: match template_arguments.as_str() {
                    "" => Map::new(),
                    text => json(text, "template_arguments: a JSON object")?,
                },
            }),
        };
        let adjust = adjust.map_or_else(Adjust::default, Adjust::from);
        let constraint = constraint.map(Constraint::try_from).transpose()?;
        Ok(Self {
            prompt,
            sampling,
            adjust,
            constraint,
            max_tokens,
            stop,
            logprobs,
            fingerprint: false,
            ignore_end,
            begun,
        })
    }
}

fn instead(prompt: ChatPrompt) -> ChatMore {
    ChatMore { prompt: Some(prompt), ..ChatMore::default() }
}

fn json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, EngineError> {
    serde_json::from_str(text).map_err(|_| EngineError::InputOutOfBounds { bound: what.into() })
}

fn sent_chat(chat: &Chat) -> (Vec<ChatMessage>, ChatMore) {
    let Chat { messages, tools, tool_choice, parallel_tool_calls, thinking, template_arguments } = chat;
    let tool = |Tool { name, description, parameters }: &Tool| ChatTool {
        name: name.clone(),
        description: description.clone(),
        parameters: parameters.to_string(),
    };
    let more = ChatMore {
        tools: tools.iter().map(tool).collect(),
        tool_choice: match tool_choice {
            ToolChoice::Auto => ChatToolChoice::Auto,
            ToolChoice::None => ChatToolChoice::None,
            ToolChoice::Required => ChatToolChoice::Required,
            ToolChoice::Named(name) => ChatToolChoice::Named(name.clone()),
        },
        // Of calls that cannot be it says nothing.
        parallel_tool_calls: *parallel_tool_calls && !tools.is_empty(),
        thinking: *thinking,
        template_arguments: match template_arguments.is_empty() {
            true => String::new(),
            false => Value::Object(template_arguments.clone()).to_string(),
        },
        ..ChatMore::default()
    };
    (messages.iter().map(ChatMessage::from).collect(), more)
}

impl From<&Message> for ChatMessage {
    fn from(message: &Message) -> Self {
        let Message { role, content, images, reasoning, tool_calls, tool_call_id, name } = message;
        let role = match role {
            Role::System => ChatRole::System,
            Role::User => ChatRole::User,
            Role::Assistant => ChatRole::Assistant,
            Role::Tool => ChatRole::Tool,
        };
        let call = |ToolCall { id, name, arguments }: &ToolCall| ChatToolCall {
            id: id.clone(),
            name: name.clone(),
            arguments: arguments.clone(),
        };
        // A place beyond what can be written is beyond every bound.
        let image = |Image { at, bytes }: &Image| ChatImage {
            at: u32::try_from(*at).unwrap_or(u32::MAX),
            file: bytes.to_vec(),
        };
        let more = MessageMore {
            images: images.iter().map(image).collect(),
            reasoning: reasoning.clone(),
            tool_calls: tool_calls.iter().map(call).collect(),
            tool_call_id: tool_call_id.clone(),
            name: name.clone(),
        };
        let more = (more != MessageMore::default()).then(|| Box::new(more));
        Self { role, content: content.clone(), more }
    }
}

impl From<ChatMessage> for Message {
    fn from(ChatMessage { role, content, more }: ChatMessage) -> Self {
        let role = match role {
            ChatRole::System => Role::System,
            ChatRole::User => Role::User,
            ChatRole::Assistant => Role::Assistant,
            ChatRole::Tool => Role::Tool,
        };
        let MessageMore { images, reasoning, tool_calls, tool_call_id, name } =
            more.map(|more| *more).unwrap_or_default();
        let image = |ChatImage { at, file }: ChatImage| Image { at: at as usize, bytes: file.into() };
        let call = |ChatToolCall { id, name, arguments }: ChatToolCall| ToolCall { id, name, arguments };
        Self {
            role,
            content,
            images: images.into_iter().map(image).collect(),
            reasoning,
            tool_calls: tool_calls.into_iter().map(call).collect(),
            tool_call_id,
            name,
        }
    }
}

impl TryFrom<ChatTool> for Tool {
    type Error = EngineError;

    fn try_from(ChatTool { name, description, parameters }: ChatTool) -> Result<Self, EngineError> {
        Ok(Self { name, description, parameters: json(&parameters, "tools.parameters: JSON")? })
    }
}

fn sent_constraint(constraint: &Constraint) -> ChatConstraint {
    match constraint {
        Constraint::JsonObject => ChatConstraint::JsonObject,
        Constraint::JsonSchema(schema) => ChatConstraint::JsonSchema(schema.to_string()),
        Constraint::Regex(text) => ChatConstraint::Regex(text.clone()),
        Constraint::Lark(text) => ChatConstraint::Lark(text.clone()),
        Constraint::Gbnf(text) => ChatConstraint::Gbnf(text.clone()),
        Constraint::Choice(texts) => ChatConstraint::Choice(texts.clone()),
    }
}

impl TryFrom<ChatConstraint> for Constraint {
    type Error = EngineError;

    fn try_from(constraint: ChatConstraint) -> Result<Self, EngineError> {
        Ok(match constraint {
            ChatConstraint::JsonObject => Self::JsonObject,
            ChatConstraint::JsonSchema(schema) => Self::JsonSchema(json(&schema, "the schema: JSON")?),
            ChatConstraint::Regex(text) => Self::Regex(text),
            ChatConstraint::Lark(text) => Self::Lark(text),
            ChatConstraint::Gbnf(text) => Self::Gbnf(text),
            ChatConstraint::Choice(texts) => Self::Choice(texts),
        })
    }
}

fn sent_adjust(adjust: &Adjust) -> ChatAdjust {
    let Adjust { repetition, presence, frequency, last_tokens, bias } = adjust;
    ChatAdjust {
        // Nothing is divided by zero: the least that can be written is a thousandth.
        repetition_milli: u32::try_from(milli(*repetition)).unwrap_or(0).max(1),
        presence_milli: milli(*presence),
        frequency_milli: milli(*frequency),
        last_tokens: *last_tokens,
        bias: bias.iter().map(|(token, bias)| LogitBias { token: *token, bias_milli: milli(*bias) }).collect(),
    }
}

impl From<ChatAdjust> for Adjust {
    fn from(adjust: ChatAdjust) -> Self {
        let ChatAdjust { repetition_milli, presence_milli, frequency_milli, last_tokens, bias } = adjust;
        Self {
            repetition: repetition_milli as f32 / 1_000.0,
            presence: presence_milli as f32 / 1_000.0,
            frequency: frequency_milli as f32 / 1_000.0,
            last_tokens,
            bias: bias.into_iter().map(|one| (one.token, one.bias_milli as f32 / 1_000.0)).collect(),
        }
    }
}

/// In thousandths, rounded; what is no number is 0, what is too large the largest there is.
fn milli(value: f32) -> i32 {
    (f64::from(value) * 1_000.0).round() as i32
}

impl From<More> for ChunkMore {
    fn from(More { reasoning, tool_calls, logprobs, fingerprint: _ }: More) -> Self {
        let call = |ToolCallPart { index, begins, arguments }: ToolCallPart| ToolCallPiece {
            index,
            begins: begins.map(|(id, name)| ToolCallBegin { id, name }),
            arguments,
        };
        let one = |TokenLogprob { id, mut bytes, logprob }: TokenLogprob| {
            bytes.truncate(limits::TOKEN_TEXT_BYTES_MAX);
            // Minus infinity becomes the least number.
            SentLogprob { token: id, text: bytes, logprob_micro: (f64::from(logprob) * 1e6).round() as i32 }
        };
        let likely = |TokenLogprobs { chosen, top }: TokenLogprobs| SentLogprobs {
            chosen: one(chosen),
            top: top.into_iter().map(one).collect(),
        };
        Self {
            reasoning,
            tool_calls: tool_calls.into_iter().map(call).collect(),
            logprobs: logprobs.into_iter().map(likely).collect(),
        }
    }
}

/// What a part of an answer brings besides text, for each of its tokens: thoughts and calls come with the first.
pub fn more_of_each(more: ChunkMore) -> Vec<More> {
    let ChunkMore { reasoning, tool_calls, logprobs } = more;
    let call = |ToolCallPiece { index, begins, arguments }: ToolCallPiece| ToolCallPart {
        index,
        begins: begins.map(|ToolCallBegin { id, name }| (id, name)),
        arguments,
    };
    let one = |SentLogprob { token, text, logprob_micro }: SentLogprob| {
        let logprob =
            if logprob_micro == i32::MIN { f32::NEG_INFINITY } else { (f64::from(logprob_micro) / 1e6) as f32 };
        TokenLogprob { id: token, bytes: text, logprob }
    };
    let likely = |SentLogprobs { chosen, top }: SentLogprobs| TokenLogprobs {
        chosen: one(chosen),
        top: top.into_iter().map(one).collect(),
    };
    let mut logprobs = logprobs.into_iter().map(likely);
    let tool_calls = tool_calls.into_iter().map(call).collect();
    let first = More { reasoning, tool_calls, logprobs: logprobs.next(), fingerprint: None };
    let rest = logprobs.map(|likely| More { logprobs: Some(likely), ..More::default() });
    std::iter::once(first).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::Sampling;
    use serde_json::json;

    fn everything() -> Question {
        let shown = Message {
            images: vec![Image { at: 2, bytes: vec![1, 2, 3].into() }],
            reasoning: Some("Hm.".into()),
            tool_calls: vec![ToolCall { id: "call_0".into(), name: "look".into(), arguments: "{}".into() }],
            ..Message::new(Role::Assistant, "é?")
        };
        let result = Message {
            tool_call_id: Some("call_0".into()),
            name: Some("look".into()),
            ..Message::new(Role::Tool, "a cat")
        };
        let chat = Chat {
            messages: vec![Message::new(Role::System, "Be brief."), Message::new(Role::User, "x"), shown, result],
            tools: vec![Tool {
                name: "look".into(),
                description: Some("Looks.".into()),
                parameters: json!({ "type": "object", "b": 1, "a": [1.5, null] }),
            }],
            tool_choice: ToolChoice::Named("look".into()),
            parallel_tool_calls: true,
            thinking: Some(false),
            template_arguments: json!({ "style": "plain" }).as_object().cloned().unwrap(),
        };
        Question {
            prompt: Prompt::Chat(chat),
            sampling: Sampling { seed: 7, ..Sampling::default() },
            adjust: Adjust {
                repetition: 1.1,
                presence: -0.5,
                frequency: 0.25,
                last_tokens: 9,
                bias: vec![(3, -100.0), (4, 0.001)],
            },
            constraint: Some(Constraint::JsonSchema(json!({ "type": "string" }))),
            max_tokens: 30,
            stop: vec!["END".into()],
            logprobs: Some(3),
            fingerprint: false,
            ignore_end: true,
            begun: vec![5, 6],
        }
    }

    #[test]
    fn everything_that_can_be_asked_travels() {
        let question = everything();
        let input = ChatInput::from(&question);
        assert_eq!(ainonymous_verify::chat::bounds(&input), Ok(()));
        assert!(Question::try_from(input).unwrap() == question);
        for constraint in [
            Constraint::JsonObject,
            Constraint::Regex("a".into()),
            Constraint::Lark("b".into()),
            Constraint::Gbnf("c".into()),
            Constraint::Choice(vec!["d".into(), String::new()]),
        ] {
            let question = Question { constraint: Some(constraint), ..everything() };
            assert!(Question::try_from(ChatInput::from(&question)).unwrap() == question);
        }
        for prompt in [Prompt::Text("2+2=".into()), Prompt::Tokens(vec![2, 3])] {
            let question = Question { prompt, ..everything() };
            let input = ChatInput::from(&question);
            assert_eq!(ainonymous_verify::chat::bounds(&input), Ok(()));
            assert!(Question::try_from(input).unwrap() == question);
        }
    }

    #[test]
    fn a_plain_question_brings_nothing_more() {
        let messages = vec![Message::new(Role::User, "x")];
        let chat = Chat { messages, parallel_tool_calls: true, ..Chat::default() };
        let input = ChatInput::from(&Question::new(Prompt::Chat(chat)));
        assert!(input.more.is_none() && input.messages[0].more.is_none());
    }

    #[test]
    fn what_should_be_json_and_is_none_is_refused() {
        let spoilt = |spoil: &dyn Fn(&mut ChatMore)| {
            let mut input = ChatInput::from(&everything());
            spoil(input.more.as_deref_mut().unwrap());
            Question::try_from(input).map(|_| ()).unwrap_err().code()
        };
        assert_eq!(spoilt(&|m| m.tools[0].parameters = "{".into()), "input_out_of_bounds");
        assert_eq!(spoilt(&|m| m.template_arguments = "[]".into()), "input_out_of_bounds");
        assert_eq!(spoilt(&|m| m.constraint = Some(ChatConstraint::JsonSchema("x".into()))), "input_out_of_bounds");
    }

    #[test]
    fn what_comes_besides_text_comes_back() {
        let one = |id, logprob| TokenLogprob { id, bytes: vec![0xe2, 0x98], logprob };
        let likely = |id| TokenLogprobs { chosen: one(id, -1.25), top: vec![one(9, f32::NEG_INFINITY)] };
        let begins = Some(("call_1".into(), "look".into()));
        let first = More {
            reasoning: "Hm.".into(),
            tool_calls: vec![ToolCallPart { index: 2, begins, arguments: "{".into() }],
            logprobs: Some(likely(1)),
            fingerprint: None,
        };
        let second = More { logprobs: Some(likely(2)), ..More::default() };
        let mut chunk = ChunkMore::from(first.clone());
        chunk.logprobs.extend(ChunkMore::from(second.clone()).logprobs);
        assert!(more_of_each(chunk) == [first, second]);
        let long = TokenLogprob { id: 1, bytes: vec![b'x'; limits::TOKEN_TEXT_BYTES_MAX + 9], logprob: -1.0 };
        let more = More { logprobs: Some(TokenLogprobs { chosen: long, top: vec![] }), ..More::default() };
        assert_eq!(ChunkMore::from(more).logprobs[0].chosen.text.len(), limits::TOKEN_TEXT_BYTES_MAX);
    }
}
