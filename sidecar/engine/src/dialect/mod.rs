//! How families of models write thoughts and tool calls into their answers, and the way back from their notations.
//!
//! A model has no tools and no thoughts, only text with markers in it, and every family has other markers. The template that
//! came with the model tells which. Pure: knows texts, not tokens, and neither models nor grammars.

mod call;
mod gemma;
mod harmony;
mod marks;
mod object;
mod parser;
#[cfg(test)]
mod tests;

pub(crate) use call::Payload;
pub(crate) use gemma::QUOTE as GEMMA_QUOTE;
#[allow(unused_imports, reason = "the scheduler does not call it yet")]
pub(crate) use parser::{OutputParser, Part};

/// A family's notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Gemma 4: `<|tool_call>call:NAME{key:<|"|>text<|"|>}<tool_call|>`, `<|channel>thought … <channel|>`.
    Gemma4,
    /// gpt-oss: messages with a channel each; a call is a message to `functions.NAME`.
    Harmony,
    /// Mistral until 2024: `[TOOL_CALLS][{"name": …, "arguments": …}]`.
    Mistral,
    /// Mistral since: `[TOOL_CALLS]NAME[ARGS]{…}`, `[THINK] … [/THINK]`.
    MistralNamed,
    /// DeepSeek V3 and R1: `<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME` and fenced JSON, `<think>`.
    DeepSeek,
    /// DeepSeek V3.1: `<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{…}<｜tool▁call▁end｜>`, `<think>`.
    DeepSeekBare,
    /// Hermes, Qwen 2.5 and 3, and many that learned from them: `<tool_call>{…}</tool_call>`, `<think>`.
    Hermes,
    /// Llama 3: the whole answer is `{"name": …, "parameters": …}`, sometimes after `<|python_tag|>`.
    Llama3,
    /// Everything else, Gemma 3 among it: what [`crate::template`] explains to models whose template knows no tools. Read
    /// like [`Self::Hermes`], but JSON in a fence or alone is a call too if it names a tool that was offered.
    Generic,
}

/// The markers of a notation.
#[derive(Debug)]
pub(crate) struct Style {
    /// What opens and closes a thought; the first is the usual one.
    pub(crate) thoughts: &'static [(&'static str, &'static str)],
    /// A thought stands at the beginning of an answer only: elsewhere the markers are words that an answer may talk about.
    pub(crate) thoughts_lead: bool,
    /// The notations of calls; the first is the usual one.
    pub(crate) calls: &'static [CallStyle],
    /// Markers around calls or after thoughts that carry nothing.
    pub(crate) dropped: &'static [&'static str],
}

/// The notation of one call, or of a list of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CallStyle {
    /// Begins it. For [`Payload::Bare`] the first byte of the payload itself.
    pub(crate) open: &'static str,
    /// Ends it; empty if the payload ends it.
    pub(crate) close: &'static str,
    /// What stands between.
    pub(crate) payload: Payload,
}

const fn call(open: &'static str, close: &'static str, payload: Payload) -> CallStyle {
    CallStyle { open, close, payload }
}

const THINK: (&str, &str) = ("<think>", "</think>");

static GEMMA4: Style = Style {
    thoughts: &[("<|channel>thought", "<channel|>")],
    thoughts_lead: false,
    // The second is for templates that know thoughts but no tools.
    calls: &[call("<|tool_call>", "<tool_call|>", Payload::Gemma), call("<tool_call>", "</tool_call>", Payload::Json)],
    // Some answers end with a second, empty thought of which only the end is left.
    dropped: &["<channel|>"],
};
/// Harmony has a parser of its own; what stands here is for the grammar.
static HARMONY: Style = Style {
    thoughts: &[("<|channel|>analysis<|message|>", "<|end|>")],
    thoughts_lead: true,
    calls: &[call("<|channel|>commentary to=functions.", "", Payload::Named)],
    dropped: &[],
};
static MISTRAL: Style = Style {
    thoughts: &[("[THINK]", "[/THINK]"), THINK],
    thoughts_lead: true,
    calls: &[call("[TOOL_CALLS]", "", Payload::Json)],
    dropped: &[],
};
static MISTRAL_NAMED: Style = Style {
    thoughts: &[("[THINK]", "[/THINK]"), THINK],
    thoughts_lead: true,
    calls: &[call("[TOOL_CALLS]", "", Payload::Named)],
    dropped: &[],
};
static DEEPSEEK: Style = Style {
    thoughts: &[THINK],
    thoughts_lead: true,
    calls: &[call("<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", Payload::Named)],
    dropped: &["<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"],
};
static HERMES: Style = Style {
    thoughts: &[THINK],
    thoughts_lead: true,
    calls: &[call("<tool_call>", "</tool_call>", Payload::Json)],
    dropped: &[],
};
static LLAMA3: Style = Style {
    thoughts: &[THINK],
    thoughts_lead: true,
    calls: &[call("<|python_tag|>", "", Payload::Json), call("{", "", Payload::Bare)],
    dropped: &[],
};
static GENERIC: Style = Style {
    thoughts: &[THINK],
    thoughts_lead: true,
    calls: &[
        call("<tool_call>", "</tool_call>", Payload::Json),
        call("```tool_code", "```", Payload::Offered),
        call("```tool_call", "```", Payload::Offered),
        call("```json", "```", Payload::Offered),
        call("{", "", Payload::Bare),
    ],
    dropped: &[],
};

impl Dialect {
    /// The notation that a chat template prepares its model for.
    pub(crate) fn detect(template_source: &str) -> Self {
        let has = |marker: &str| template_source.contains(marker);
        if has("<|tool_call>") || has("<|channel>") {
            Self::Gemma4
        } else if has("<|channel|>") {
            Self::Harmony
        } else if !knows_tools(template_source) {
            // DeepSeek R1's template knows calls, but never says what may be called.
            Self::Generic
        } else if has("[TOOL_CALLS]") {
            if has("[ARGS]") {
                Self::MistralNamed
            } else {
                Self::Mistral
            }
        } else if has("<｜tool▁call▁begin｜>") {
            // The older notation names a type before the separator and fences the arguments.
            if has("```json") {
                Self::DeepSeek
            } else {
                Self::DeepSeekBare
            }
        } else if has("<tool_call>") {
            Self::Hermes
        } else if has("<|python_tag|>") || (has("<|start_header_id|>") && has("\"parameters\"")) {
            Self::Llama3
        } else {
            Self::Generic
        }
    }

    /// Must a special token, which is no text unless it is asked for, reach [`OutputParser`] as the text that it stands for?
    /// True for the texts among [`Self::markers`]; every other special token is to be left out.
    pub(crate) fn needs_special_text(self, token: &str) -> bool {
        self.markers().contains(&token)
    }

    /// Texts of tokens that mean something to [`OutputParser`]. A marker may consist of several of them.
    pub(crate) fn markers(self) -> &'static [&'static str] {
        match self {
            Self::Gemma4 => &["<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|\"|>"],
            Self::Harmony => harmony::MARKERS,
            Self::Mistral | Self::MistralNamed => {
                &["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "[THINK]", "[/THINK]", "<think>", "</think>"]
            }
            Self::DeepSeek | Self::DeepSeekBare => &[
                "<think>",
                "</think>",
                "<｜tool▁calls▁begin｜>",
                "<｜tool▁calls▁end｜>",
                "<｜tool▁call▁begin｜>",
                "<｜tool▁call▁end｜>",
                "<｜tool▁sep｜>",
            ],
            Self::Hermes | Self::Generic => &["<think>", "</think>", "<tool_call>", "</tool_call>"],
            Self::Llama3 => &["<think>", "</think>", "<|python_tag|>"],
        }
    }

    /// The markers.
    pub(crate) fn style(self) -> &'static Style {
        match self {
            Self::Gemma4 => &GEMMA4,
            Self::Harmony => &HARMONY,
            Self::Mistral => &MISTRAL,
            Self::MistralNamed => &MISTRAL_NAMED,
            Self::DeepSeek | Self::DeepSeekBare => &DEEPSEEK,
            Self::Hermes => &HERMES,
            Self::Llama3 => &LLAMA3,
            Self::Generic => &GENERIC,
        }
    }
}

/// Does a template tell its model which tools there are? If not, [`crate::template`] does, in the words of
/// [`Dialect::Generic`].
pub(crate) fn knows_tools(template_source: &str) -> bool {
    template_source.contains("tools")
}

/// Does a rendered prompt end within a thought, so that the answer begins with one that nothing opens?
pub(crate) fn opens_thinking(rendered_prompt: &str) -> bool {
    let end = rendered_prompt.trim_end();
    ["<think>", "[THINK]", "<|channel>thought", "<|channel|>analysis<|message|>"].iter().any(|mark| end.ends_with(mark))
}
