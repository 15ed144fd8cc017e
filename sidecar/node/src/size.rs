//! How large a question is on its way, and which ways that leaves: by counting, not by encoding it for every try.

use ainonymous_types::{limits, ChatConstraint, ChatInput, ChatPrompt, ChatTool};

/// What a question's size means for its ways.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    /// Encoded, as far as it matters.
    pub(crate) bytes: usize,
    /// It does not fit into a signal.
    pub(crate) by_links_only: bool,
    /// Who does not see images says so only when it is asked: more are tried.
    pub(crate) shows_images: bool,
}

/// What a signal holds besides the question: ids, keys, signatures, names of fields.
const SIGNAL_FRAME_BYTES: usize = 4 << 10;
/// What MessagePack makes of a message besides its words, at most; of one with more than words so much more.
const MESSAGE_FRAME_BYTES: usize = 36;
/// The same of an image, a tool or a call.
const PART_FRAME_BYTES: usize = 72;

/// How long a question is, encoded; rather too much than too little.
pub(crate) fn bytes(input: &ChatInput) -> usize {
    Size::of(input).bytes + SIGNAL_FRAME_BYTES
}

impl Size {
    /// Of this question.
    pub(crate) fn of(input: &ChatInput) -> Self {
        let ChatInput { messages, sampling: _, max_tokens: _, stop, more } = input;
        let mut bytes: usize = stop.iter().map(|text| text.len() + 8).sum();
        let mut shows_images = false;
        for message in messages {
            bytes += message.content.len() + MESSAGE_FRAME_BYTES;
            let Some(more) = message.more.as_deref() else { continue };
            bytes += PART_FRAME_BYTES;
            shows_images |= !more.images.is_empty();
            bytes += more.images.iter().map(|image| image.file.len() + PART_FRAME_BYTES).sum::<usize>();
            let calls = more.tool_calls.iter();
            bytes += calls.map(|c| c.id.len() + c.name.len() + c.arguments.len() + PART_FRAME_BYTES).sum::<usize>();
            let texts = [&more.reasoning, &more.tool_call_id, &more.name];
            bytes += texts.into_iter().flatten().map(String::len).sum::<usize>();
        }
        if let Some(more) = more.as_deref() {
            bytes += more.begun.len() * 5 + more.template_arguments.len();
            bytes += more.adjust.as_ref().map_or(0, |adjust| adjust.bias.len() * 32);
            let tool = |t: &ChatTool| t.name.len() + t.description.as_ref().map_or(0, String::len) + t.parameters.len();
            bytes += more.tools.iter().map(|t| tool(t) + PART_FRAME_BYTES).sum::<usize>();
            bytes += match &more.prompt {
                Some(ChatPrompt::Text(text)) => text.len(),
                Some(ChatPrompt::Tokens(tokens)) => tokens.len() * 5,
                None => 0,
            };
            bytes += match &more.constraint {
                None | Some(ChatConstraint::JsonObject) => 0,
                Some(
                    ChatConstraint::JsonSchema(text)
                    | ChatConstraint::Regex(text)
                    | ChatConstraint::Lark(text)
                    | ChatConstraint::Gbnf(text),
                ) => text.len(),
                Some(ChatConstraint::Choice(texts)) => texts.iter().map(|text| text.len() + 8).sum(),
            };
        }
        let by_links_only = bytes + SIGNAL_FRAME_BYTES > limits::SIGNAL_BYTES_MAX;
        Self { bytes, by_links_only, shows_images }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{
        ChatAdjust, ChatImage, ChatMessage, ChatMore, ChatRole, ChatToolCall, LogitBias, MessageMore,
    };

    /// What is counted is never less than what is sent.
    #[test]
    fn sizes_are_counted_generously() {
        let encoded = |input: &ChatInput| rmp_serde::to_vec_named(input).unwrap().len();
        let plain = ChatMessage::new(ChatRole::User, "x".repeat(100));
        let image = ChatImage { at: 0, file: vec![0xff; 10_000] };
        let call = ChatToolCall { id: "call_0".into(), name: "f".into(), arguments: "{}".into() };
        let more = MessageMore {
            images: vec![image; 3],
            reasoning: Some("x".repeat(50)),
            tool_calls: vec![call; 9],
            tool_call_id: Some("call_1".into()),
            name: Some("f".into()),
        };
        let rich = ChatMessage { more: Some(Box::new(more)), ..plain.clone() };
        let tool = ChatTool { name: "f".into(), description: Some("x".into()), parameters: "{}".into() };
        let bias = vec![LogitBias { token: u32::MAX, bias_milli: i32::MIN }; 100];
        let adjust = ChatAdjust { repetition_milli: 1, presence_milli: 2, frequency_milli: 3, last_tokens: 4, bias };
        let more = ChatMore {
            tools: vec![tool; 20],
            adjust: Some(adjust),
            constraint: Some(ChatConstraint::Choice(vec!["x".into(); 100])),
            begun: vec![u32::MAX; 5_000],
            ..ChatMore::default()
        };
        for messages in [vec![plain; 300], vec![rich; 5]] {
            let input = ChatInput {
                messages,
                stop: vec!["x".into(); 16],
                more: Some(Box::new(more.clone())),
                ..ChatInput::default()
            };
            let size = Size::of(&input);
            assert!(encoded(&input) <= size.bytes + SIGNAL_FRAME_BYTES / 2, "{} of {}", encoded(&input), size.bytes);
        }
    }
}
