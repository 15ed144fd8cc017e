//! A model and its vocabulary.

use super::{sys, text, Token};
use std::ffi::{c_void, CStr, CString};
use std::path::Path;
use std::ptr::NonNull;

/// Longest metadata value that is read as text.
const META_BYTES_MAX: usize = 4 << 10;

/// A loaded model; immutable.
#[derive(Debug)]
pub(crate) struct Model {
    pointer: NonNull<sys::llama_model>,
    vocabulary: NonNull<sys::llama_vocab>,
    tokens: usize,
}

// SAFETY: after loading nothing changes a model; llama.cpp documents its tokenisation as thread-safe, and the other
// functions used here only read.
unsafe impl Send for Model {}
// SAFETY: see above.
unsafe impl Sync for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: the pointer came from llama.cpp and is freed once; contexts hold an `Arc<Model>` and are gone.
        unsafe { sys::llama_model_free(self.pointer.as_ptr()) }
    }
}

impl Model {
    /// Loads a file with so many layers on the GPU. `progress` gets values from 0 to 1 and returns false to give up.
    /// `None` if llama.cpp refuses; its log says why.
    pub(crate) fn load(path: &Path, gpu_layers: u32, progress: &mut dyn FnMut(f32) -> bool) -> Option<Self> {
        super::init();
        let path = CString::new(path.to_str()?).ok()?;
        let mut progress: &mut dyn FnMut(f32) -> bool = progress;
        let mut no_devices: [sys::ggml_backend_dev_t; 1] = [std::ptr::null_mut()];
        // SAFETY: path, callback data and device list outlive the call, which is the only one that uses them.
        unsafe {
            let mut parameters = sys::llama_model_default_params();
            parameters.n_gpu_layers = gpu_layers.min(i32::MAX as u32) as i32;
            if gpu_layers == 0 {
                // Without this a GPU would still take part in large batches, and results would depend on it.
                parameters.devices = no_devices.as_mut_ptr();
            }
            parameters.progress_callback = Some(on_progress);
            parameters.progress_callback_user_data = (&raw mut progress).cast::<c_void>();
            let pointer = NonNull::new(sys::llama_model_load_from_file(path.as_ptr(), parameters))?;
            let vocabulary = sys::llama_model_get_vocab(pointer.as_ptr()).cast_mut();
            let Some(vocabulary) = NonNull::new(vocabulary) else {
                sys::llama_model_free(pointer.as_ptr());
                return None;
            };
            let tokens = sys::llama_vocab_n_tokens(vocabulary.as_ptr()).max(0) as usize;
            Some(Self { pointer, vocabulary, tokens })
        }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::llama_model {
        self.pointer.as_ptr()
    }

    /// Number of token ids.
    pub(crate) fn vocabulary(&self) -> usize {
        self.tokens
    }

    /// The token of that number; none if the model has none.
    pub(crate) fn token(&self, number: u32) -> Option<Token> {
        Token::try_from(number).ok().filter(|_| (number as usize) < self.tokens)
    }

    /// A metadata value as text.
    pub(crate) fn meta(&self, key: &str) -> Option<String> {
        let key = CString::new(key).ok()?;
        let mut buffer = vec![0u8; META_BYTES_MAX];
        // SAFETY: the buffer has the length that is passed; llama.cpp ends what it writes with NUL.
        let length = unsafe {
            sys::llama_model_meta_val_str(self.as_ptr(), key.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
        };
        (length >= 0)
            .then(|| CStr::from_bytes_until_nul(&buffer).ok().map(|s| s.to_string_lossy().into_owned()))
            .flatten()
    }

    /// The chat template, if there is one.
    pub(crate) fn chat_template(&self) -> Option<String> {
        // SAFETY: the model lives; a null name asks for the default template; the result lives as long as the model.
        let template = unsafe { text(sys::llama_model_chat_template(self.as_ptr(), std::ptr::null())) };
        (!template.is_empty()).then_some(template)
    }

    /// llama.cpp's name for the number format of most weights.
    pub(crate) fn file_type(&self) -> String {
        // SAFETY: the model lives; the name is a constant.
        unsafe { text(sys::llama_ftype_name(sys::llama_model_ftype(self.as_ptr()))) }
    }

    /// Number of weights.
    pub(crate) fn parameters(&self) -> u64 {
        // SAFETY: the model lives.
        unsafe { sys::llama_model_n_params(self.as_ptr()) }
    }

    /// Number of layers.
    pub(crate) fn layers(&self) -> u32 {
        // SAFETY: the model lives.
        unsafe { sys::llama_model_n_layer(self.as_ptr()) }.max(0) as u32
    }

    /// Context that the model was trained with, in tokens.
    pub(crate) fn context_trained(&self) -> u32 {
        // SAFETY: the model lives.
        unsafe { sys::llama_model_n_ctx_train(self.as_ptr()) }.max(0) as u32
    }

    /// Does it write text token by token?
    pub(crate) fn is_generative(&self) -> bool {
        // SAFETY: the model lives.
        unsafe {
            sys::llama_model_has_decoder(self.as_ptr())
                && !sys::llama_model_has_encoder(self.as_ptr())
                && !sys::llama_model_is_diffusion(self.as_ptr())
        }
    }

    /// Splits text; special tokens in the text are recognised, none are added. `None` if the text is too long.
    pub(crate) fn tokenize(&self, text: &str) -> Option<Vec<Token>> {
        self.split(text, true)
    }

    /// Splits text in which names of special tokens are only words.
    pub(crate) fn tokenize_plain(&self, text: &str) -> Option<Vec<Token>> {
        self.split(text, false)
    }

    fn split(&self, text: &str, parse_special: bool) -> Option<Vec<Token>> {
        let length = i32::try_from(text.len()).ok()?;
        let mut tokens = vec![0; text.len() / 3 + 16];
        loop {
            // SAFETY: text and buffer have the lengths that are passed.
            let count = unsafe {
                sys::llama_tokenize(
                    self.vocabulary.as_ptr(),
                    text.as_ptr().cast(),
                    length,
                    tokens.as_mut_ptr(),
                    i32::try_from(tokens.len()).ok()?,
                    false,
                    parse_special,
                )
            };
            match usize::try_from(count) {
                Ok(count) => {
                    tokens.truncate(count);
                    return Some(tokens);
                }
                // A negative number says how many there are.
                Err(_) => {
                    let needed = usize::try_from(count.checked_neg()?).ok()?;
                    if needed <= tokens.len() {
                        return None;
                    }
                    tokens.resize(needed, 0);
                }
            }
        }
    }

    /// Appends the bytes of a token; `special` shows control tokens too.
    pub(crate) fn piece(&self, token: Token, special: bool, out: &mut Vec<u8>) {
        if usize::try_from(token).map_or(true, |id| id >= self.tokens) {
            return;
        }
        let mut buffer = vec![0u8; 64];
        for _ in 0..2 {
            // SAFETY: the id is in the vocabulary; the buffer has the length that is passed.
            let length = unsafe {
                let (data, room) = (buffer.as_mut_ptr().cast(), buffer.len() as i32);
                sys::llama_token_to_piece(self.vocabulary.as_ptr(), token, data, room, 0, special)
            };
            match usize::try_from(length) {
                Ok(length) => return out.extend_from_slice(&buffer[..length.min(buffer.len())]),
                Err(_) => buffer.resize(length.unsigned_abs() as usize, 0),
            }
        }
    }

    /// The bytes of every token, in the order of their ids; special tokens have the text that they stand for.
    pub(crate) fn token_bytes(&self) -> Vec<Vec<u8>> {
        let bytes = |token| {
            let mut bytes = Vec::new();
            self.piece(token, true, &mut bytes);
            bytes
        };
        (0..self.tokens as Token).map(bytes).collect()
    }

    /// Is the token one that stands for no text unless that is asked for?
    pub(crate) fn is_special(&self, token: Token) -> bool {
        let special = sys::LLAMA_TOKEN_ATTR_CONTROL | sys::LLAMA_TOKEN_ATTR_UNKNOWN | sys::LLAMA_TOKEN_ATTR_UNUSED;
        // SAFETY: the id is in the vocabulary, which lives.
        self.known(token)
            .is_some_and(|token| unsafe { sys::llama_vocab_get_attr(self.vocabulary.as_ptr(), token) & special != 0 })
    }

    /// Texts that the tokeniser takes as one token wherever they stand, and the longest text of any token in bytes.
    pub(crate) fn special_texts(&self) -> (Vec<String>, usize) {
        let special =
            sys::LLAMA_TOKEN_ATTR_CONTROL | sys::LLAMA_TOKEN_ATTR_USER_DEFINED | sys::LLAMA_TOKEN_ATTR_UNKNOWN;
        let (mut texts, mut longest) = (Vec::new(), 1);
        for token in 0..self.tokens as Token {
            // SAFETY: the id is in the vocabulary, which lives.
            let (attributes, written) = unsafe {
                let vocabulary = self.vocabulary.as_ptr();
                (sys::llama_vocab_get_attr(vocabulary, token), text(sys::llama_vocab_get_text(vocabulary, token)))
            };
            longest = longest.max(written.len());
            if attributes & special != 0 && !written.is_empty() {
                texts.push(written);
            }
        }
        (texts, longest)
    }

    /// Does the tokeniser keep every character of a text, so that its length bounds the number of tokens from below?
    pub(crate) fn keeps_text(&self) -> bool {
        // SAFETY: the vocabulary lives.
        let kind = unsafe { sys::llama_vocab_type(self.vocabulary.as_ptr()) };
        kind == sys::LLAMA_VOCAB_TYPE_SPM || kind == sys::LLAMA_VOCAB_TYPE_BPE
    }

    /// Does the token end an answer?
    pub(crate) fn ends_answer(&self, token: Token) -> bool {
        // SAFETY: the vocabulary lives; ids outside of it are excluded.
        usize::try_from(token).is_ok_and(|id| id < self.tokens)
            && unsafe { sys::llama_vocab_is_eog(self.vocabulary.as_ptr(), token) }
    }

    /// The token that begins a text, if there is one.
    pub(crate) fn bos(&self) -> Option<Token> {
        // SAFETY: the vocabulary lives.
        self.known(unsafe { sys::llama_vocab_bos(self.vocabulary.as_ptr()) })
    }

    /// The token that ends a text, if there is one.
    pub(crate) fn eos(&self) -> Option<Token> {
        // SAFETY: the vocabulary lives.
        self.known(unsafe { sys::llama_vocab_eos(self.vocabulary.as_ptr()) })
    }

    /// Does every text begin with [`Self::bos`]?
    pub(crate) fn wants_bos(&self) -> bool {
        // SAFETY: the vocabulary lives.
        unsafe { sys::llama_vocab_get_add_bos(self.vocabulary.as_ptr()) }
    }

    /// Does every text end with [`Self::eos`]?
    pub(crate) fn wants_eos(&self) -> bool {
        // SAFETY: the vocabulary lives.
        unsafe { sys::llama_vocab_get_add_eos(self.vocabulary.as_ptr()) }
    }

    /// Tokens that its sliding-window layers look back at; 0 if it has none.
    pub(crate) fn window(&self) -> u32 {
        // SAFETY: the model lives.
        unsafe { sys::llama_model_n_swa(self.as_ptr()) }.max(0) as u32
    }

    /// Does it keep a state that cannot be taken back to an earlier token?
    pub(crate) fn is_recurrent(&self) -> bool {
        // SAFETY: the model lives.
        unsafe { sys::llama_model_is_recurrent(self.as_ptr()) || sys::llama_model_is_hybrid(self.as_ptr()) }
    }

    /// Tokens that end an answer.
    pub(crate) fn end_tokens(&self) -> Vec<Token> {
        (0..self.tokens as Token).filter(|&token| self.ends_answer(token)).collect()
    }

    /// Length of the model's vectors.
    pub(crate) fn width(&self) -> usize {
        // SAFETY: the model lives.
        unsafe { sys::llama_model_n_embd_out(self.as_ptr()) }.max(0) as usize
    }

    /// Does the file say how vectors of tokens become one of the text?
    pub(crate) fn names_its_pooling(&self) -> bool {
        let architecture = self.meta("general.architecture").unwrap_or_default();
        self.meta(&format!("{architecture}.pooling_type")).is_some()
    }

    fn known(&self, token: Token) -> Option<Token> {
        usize::try_from(token).is_ok_and(|id| id < self.tokens).then_some(token)
    }
}

unsafe extern "C" fn on_progress(value: f32, data: *mut c_void) -> bool {
    // SAFETY: `load` passes a pointer to its `progress`, which lives until the load returns and is used by nobody else.
    let progress = unsafe { &mut *data.cast::<&mut dyn FnMut(f32) -> bool>() };
    progress(value)
}
