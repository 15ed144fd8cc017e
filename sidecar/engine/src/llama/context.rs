//! A context: the cache of several sequences, and the computation.

use super::{sys, Model, Token};
use crate::class::FlashAttention;
use ainonymous_types::KvType;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How long threads of the pool spin before they sleep: one unit is about a millisecond. It bridges the gap between two
/// steps; an idle engine takes no processor time.
const THREADPOOL_POLL: u32 = 1;

/// Creating contexts concurrently is unsound in llama.cpp.
static CREATE: Mutex<()> = Mutex::new(());

/// How a context is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextOptions {
    /// Context of one sequence in tokens.
    pub(crate) context_tokens: u32,
    /// Number of sequences.
    pub(crate) sequences: u32,
    /// Most rows of logits of one batch.
    pub(crate) outputs: u32,
    /// Most tokens of one batch.
    pub(crate) batch_tokens: u32,
    /// Threads that compute.
    pub(crate) threads: u32,
    /// Number format of the cache.
    pub(crate) kv_type: KvType,
    /// How attention is computed; one that this cache cannot do without is not [`FlashAttention::Off`].
    pub(crate) flash_attention: FlashAttention,
}

/// Lets another thread stop a computation (on the CPU; a GPU finishes its batch).
#[derive(Debug, Default)]
pub(crate) struct AbortSwitch {
    /// What is being computed now; 0 is nothing that may be stopped.
    current: AtomicU64,
    /// What was asked to stop last.
    unwanted: AtomicU64,
    everything: AtomicBool,
}

impl AbortSwitch {
    /// The computation that begins now belongs to this question (ids begin at 1).
    pub(crate) fn begin(&self, id: u64) {
        self.current.store(id, Ordering::Release);
    }

    /// The computation that begins now belongs to several questions.
    pub(crate) fn begin_shared(&self) {
        self.current.store(0, Ordering::Release);
    }

    /// Stops this question's computation if it is under way.
    pub(crate) fn stop(&self, id: u64) {
        self.unwanted.store(id, Ordering::Release);
    }

    /// Stops every computation from now on.
    pub(crate) fn stop_everything(&self) {
        self.everything.store(true, Ordering::Release);
    }

    fn must_stop(&self) -> bool {
        let current = self.current.load(Ordering::Acquire);
        self.everything.load(Ordering::Acquire) || (current != 0 && current == self.unwanted.load(Ordering::Acquire))
    }
}

unsafe extern "C" fn on_abort(data: *mut c_void) -> bool {
    // SAFETY: the context that calls this keeps the switch alive in an `Arc`.
    unsafe { &*data.cast::<AbortSwitch>() }.must_stop()
}

/// Why a batch was not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// [`AbortSwitch`] said so; the sequences of the batch are in an unknown state.
    Aborted,
    /// llama.cpp failed with this code.
    Failed(i32),
}

/// Tokens to compute, of one or several sequences.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    tokens: Vec<Token>,
    positions: Vec<i32>,
    sequences: Vec<i32>,
    wanted: Vec<i8>,
}

impl Batch {
    /// Empties it.
    pub(crate) fn clear(&mut self) {
        let Self { tokens, positions, sequences, wanted } = self;
        tokens.clear();
        positions.clear();
        sequences.clear();
        wanted.clear();
    }

    /// Adds a token; `wanted` asks for the logits behind it. Returns its row.
    pub(crate) fn add(&mut self, token: Token, position: u32, sequence: u32, wanted: bool) -> usize {
        self.tokens.push(token);
        self.positions.push(position as i32);
        self.sequences.push(sequence as i32);
        self.wanted.push(i8::from(wanted));
        self.tokens.len() - 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

/// The cache of several sequences over one model.
#[derive(Debug)]
pub(crate) struct Context {
    pointer: NonNull<sys::llama_context>,
    pool: Option<NonNull<sys::ggml_threadpool>>,
    options: ContextOptions,
    /// Rows of the last batch whose logits were asked for.
    rows: Vec<bool>,
    abort: Arc<AbortSwitch>,
    model: Arc<Model>,
}

// SAFETY: a context has no thread affinity; `&mut self` keeps its use to one thread at a time.
unsafe impl Send for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: context and pool came from llama.cpp and are freed once, the context first because it uses the pool.
        unsafe {
            sys::llama_free(self.pointer.as_ptr());
            if let Some(pool) = self.pool {
                free_pool(pool);
            }
        }
    }
}

impl Context {
    /// `None` if llama.cpp refuses, mostly for lack of memory; its log says why.
    pub(crate) fn new(model: Arc<Model>, options: ContextOptions, abort: Arc<AbortSwitch>) -> Option<Self> {
        let _one_at_a_time = CREATE.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the model lives as long as the context (`model` is kept), and so does the switch behind the callback.
        unsafe {
            let mut parameters = sys::llama_context_default_params();
            parameters.n_ctx = options.context_tokens.checked_mul(options.sequences)?;
            parameters.n_batch = options.batch_tokens;
            parameters.n_ubatch = options.batch_tokens;
            parameters.n_seq_max = options.sequences;
            parameters.n_outputs_max = options.outputs;
            parameters.n_threads = options.threads as i32;
            parameters.n_threads_batch = options.threads as i32;
            let kv_type = kv(options.kv_type);
            parameters.type_k = kv_type;
            parameters.type_v = kv_type;
            parameters.flash_attn_type = flash(options.flash_attention);
            // Each sequence has its own part of the cache: always room for it, and its results do not depend on where
            // others' tokens lie.
            parameters.kv_unified = false;
            // Sequences are only ever removed as a whole, so a sliding-window cache need hold no more than its window.
            parameters.swa_full = false;
            parameters.no_perf = true;
            parameters.abort_callback = Some(on_abort);
            parameters.abort_callback_data = Arc::as_ptr(&abort).cast_mut().cast();
            let pointer = NonNull::new(sys::llama_init_from_model(model.as_ptr(), parameters))?;
            let mut pool_parameters = sys::ggml_threadpool_params_default(options.threads as i32);
            pool_parameters.poll = THREADPOOL_POLL;
            let pool = new_pool(&mut pool_parameters);
            if let Some(pool) = pool {
                sys::llama_attach_threadpool(pointer.as_ptr(), pool.as_ptr(), pool.as_ptr());
            }
            Some(Self { pointer, pool, options, rows: Vec::new(), abort, model })
        }
    }

    /// Context of one sequence as llama.cpp made it, in tokens: at least what was asked for.
    pub(crate) fn context_tokens(&self) -> u32 {
        // SAFETY: the context lives.
        unsafe { sys::llama_n_ctx_seq(self.pointer.as_ptr()) }
    }

    pub(super) fn as_ptr(&mut self) -> *mut sys::llama_context {
        self.pointer.as_ptr()
    }

    /// A computation without logits begins.
    pub(super) fn forget_rows(&mut self) {
        self.rows.clear();
    }

    /// How it was made.
    pub(crate) fn options(&self) -> ContextOptions {
        self.options
    }

    /// Most tokens of one batch.
    pub(crate) fn batch_tokens(&self) -> usize {
        self.options.batch_tokens as usize
    }

    /// The switch that stops computations.
    pub(crate) fn abort_switch(&self) -> &AbortSwitch {
        &self.abort
    }

    /// Computes a batch. Its tokens must fit: [`ContextOptions::batch_tokens`], known ids, sequences and positions.
    pub(crate) fn decode(&mut self, batch: &mut Batch) -> Result<(), DecodeError> {
        self.rows.clear();
        let o = self.options;
        let fits = batch.tokens.len() <= o.batch_tokens as usize
            && batch.tokens.iter().all(|&t| usize::try_from(t).is_ok_and(|t| t < self.model.vocabulary()))
            && batch.sequences.iter().all(|&s| (0..o.sequences as i32).contains(&s))
            && batch.positions.iter().all(|&p| (0..o.context_tokens as i32).contains(&p));
        if !fits || batch.is_empty() {
            return Err(DecodeError::Failed(-1));
        }
        // SAFETY: the context lives; the batch was checked above.
        unsafe { compute(self.pointer, batch) }?;
        self.rows.extend(batch.wanted.iter().map(|&w| w != 0));
        Ok(())
    }

    /// The logits behind a row of the last batch, if they were asked for.
    pub(crate) fn logits(&mut self, row: usize) -> Option<&[f32]> {
        if !self.rows.get(row).copied().unwrap_or(false) {
            return None;
        }
        // SAFETY: the row exists and has logits; they stay until the next call that takes the context mutably.
        unsafe {
            let logits = NonNull::new(sys::llama_get_logits_ith(self.pointer.as_ptr(), row as i32))?;
            Some(std::slice::from_raw_parts(logits.as_ptr(), self.model.vocabulary()))
        }
    }

    /// Can the sequence be taken back to its first `tokens` tokens? Not if its cache has let go of what the next token
    /// would look at: llama.cpp does it all the same, and is wrong.
    pub(crate) fn can_keep(&self, sequence: u32, tokens: u32) -> bool {
        // SAFETY: the context lives.
        let (first, last) = unsafe {
            let memory = sys::llama_get_memory(self.pointer.as_ptr());
            if memory.is_null() {
                return false;
            }
            (
                sys::llama_memory_seq_pos_min(memory, sequence as i32),
                sys::llama_memory_seq_pos_max(memory, sequence as i32),
            )
        };
        if last < 0 || tokens == 0 {
            return false;
        }
        let all = i64::from(last) + 1 == i64::from(tokens);
        all || !self.model.is_recurrent()
            && i64::from(first) <= (i64::from(tokens) - i64::from(self.model.window())).max(0)
    }

    /// Takes a sequence back to its first `tokens` tokens, which [`Self::can_keep`] allows; false if llama.cpp cannot.
    pub(crate) fn keep(&mut self, sequence: u32, tokens: u32) -> bool {
        // SAFETY: the context lives.
        unsafe {
            let memory = sys::llama_get_memory(self.pointer.as_ptr());
            !memory.is_null() && sys::llama_memory_seq_rm(memory, sequence as i32, tokens as i32, -1)
        }
    }

    /// Bytes that [`Self::save`] would give.
    pub(crate) fn state_bytes(&mut self, sequence: u32) -> usize {
        // SAFETY: the context lives.
        unsafe { sys::llama_state_seq_get_size(self.pointer.as_ptr(), sequence as i32) }
    }

    /// A copy of a sequence's cache.
    pub(crate) fn save(&mut self, sequence: u32) -> Option<Vec<u8>> {
        let mut state = vec![0u8; self.state_bytes(sequence)];
        // SAFETY: the buffer has the length that is passed.
        let written = unsafe {
            let pointer = self.pointer.as_ptr();
            sys::llama_state_seq_get_data(pointer, state.as_mut_ptr(), state.len(), sequence as i32)
        };
        state.truncate(written);
        (written > 0).then_some(state)
    }

    /// Puts a copy that this context made in place of a sequence's cache; false if llama.cpp cannot, and then the
    /// sequence is empty.
    pub(crate) fn restore(&mut self, sequence: u32, state: &[u8]) -> bool {
        self.forget(sequence);
        // SAFETY: the buffer has the length that is passed, and was written by this context.
        let read = unsafe {
            sys::llama_state_seq_set_data(self.pointer.as_ptr(), state.as_ptr(), state.len(), sequence as i32)
        };
        if read != state.len() {
            self.forget(sequence);
        }
        read == state.len()
    }

    /// Forgets a whole sequence.
    pub(crate) fn forget(&mut self, sequence: u32) {
        // SAFETY: the context lives; removing a whole sequence never fails.
        unsafe {
            let memory = sys::llama_get_memory(self.pointer.as_ptr());
            if !memory.is_null() {
                sys::llama_memory_seq_rm(memory, sequence as i32, -1, -1);
            }
        }
    }
}

/// Computes a batch.
///
/// # Safety
/// The context lives; the batch's tokens, sequences and positions are such as it knows, and no more than it takes.
unsafe fn compute(context: NonNull<sys::llama_context>, batch: &mut Batch) -> Result<(), DecodeError> {
    let mut one_each = vec![1i32; batch.tokens.len()];
    let mut sequences: Vec<*mut i32> = batch.sequences.iter_mut().map(|s| &raw mut *s).collect();
    let raw = sys::llama_batch {
        n_tokens: batch.tokens.len() as i32,
        token: batch.tokens.as_mut_ptr(),
        embd: std::ptr::null_mut(),
        pos: batch.positions.as_mut_ptr(),
        n_seq_id: one_each.as_mut_ptr(),
        seq_id: sequences.as_mut_ptr(),
        logits: batch.wanted.as_mut_ptr(),
    };
    // SAFETY: all arrays have `n_tokens` elements and outlive the call; the caller vouches for their values.
    match unsafe { sys::llama_decode(context.as_ptr(), raw) } {
        0 => Ok(()),
        2 => Err(DecodeError::Aborted),
        code => Err(DecodeError::Failed(code)),
    }
}

/// A context that makes vectors instead of logits, one text at a time.
#[derive(Debug)]
pub(crate) struct EmbedContext {
    pointer: NonNull<sys::llama_context>,
    context_tokens: u32,
    /// Kept for the callback.
    _abort: Arc<AbortSwitch>,
    model: Arc<Model>,
}

// SAFETY: as for `Context`.
unsafe impl Send for EmbedContext {}

impl Drop for EmbedContext {
    fn drop(&mut self) {
        // SAFETY: the context came from llama.cpp and is freed once.
        unsafe { sys::llama_free(self.pointer.as_ptr()) }
    }
}

impl EmbedContext {
    /// `None` if llama.cpp refuses, mostly for lack of memory.
    pub(crate) fn new(model: Arc<Model>, context_tokens: u32, threads: u32, abort: Arc<AbortSwitch>) -> Option<Self> {
        let _one_at_a_time = CREATE.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the model lives as long as the context (`model` is kept), and so does the switch behind the callback.
        unsafe {
            let mut parameters = sys::llama_context_default_params();
            parameters.n_ctx = context_tokens;
            // Without a causal mask a text must be one batch.
            parameters.n_batch = context_tokens;
            parameters.n_ubatch = context_tokens;
            parameters.n_seq_max = 1;
            parameters.n_threads = threads as i32;
            parameters.n_threads_batch = threads as i32;
            parameters.embeddings = true;
            if !model.names_its_pooling() {
                parameters.pooling_type = sys::LLAMA_POOLING_TYPE_MEAN;
            }
            parameters.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_DISABLED;
            parameters.no_perf = true;
            parameters.abort_callback = Some(on_abort);
            parameters.abort_callback_data = Arc::as_ptr(&abort).cast_mut().cast();
            let pointer = NonNull::new(sys::llama_init_from_model(model.as_ptr(), parameters))?;
            Some(Self { pointer, context_tokens, _abort: abort, model })
        }
    }

    /// The vector of a text: a batch of sequence 0 from position 0.
    pub(crate) fn vector(&mut self, batch: &mut Batch) -> Result<Vec<f32>, DecodeError> {
        let fits = batch.tokens.len() <= self.context_tokens as usize
            && batch.tokens.iter().all(|&t| usize::try_from(t).is_ok_and(|t| t < self.model.vocabulary()))
            && batch.sequences.iter().all(|&s| s == 0)
            && batch.positions.iter().zip(0..).all(|(&p, at)| p == at);
        if !fits || batch.is_empty() {
            return Err(DecodeError::Failed(-1));
        }
        // SAFETY: the context lives; the batch was checked; a sequence's vector has the width of the model's output and
        // stays until the next call.
        unsafe {
            let memory = sys::llama_get_memory(self.pointer.as_ptr());
            if !memory.is_null() {
                sys::llama_memory_clear(memory, false);
            }
            compute(self.pointer, batch)?;
            let vector = NonNull::new(sys::llama_get_embeddings_seq(self.pointer.as_ptr(), 0));
            let vector = vector.ok_or(DecodeError::Failed(-2))?;
            Ok(std::slice::from_raw_parts(vector.as_ptr(), self.model.width()).to_vec())
        }
    }
}

/// Threads that compute, of the processor's library; `None` if it cannot start them.
///
/// # Safety
/// `parameters` is valid.
unsafe fn new_pool(parameters: &mut sys::ggml_threadpool_params) -> Option<NonNull<sys::ggml_threadpool>> {
    type New = unsafe extern "C" fn(*mut sys::ggml_threadpool_params) -> sys::ggml_threadpool_t;
    let function = NonNull::new(super::backends::cpu_function(c"ggml_threadpool_new"))?;
    // SAFETY: the library gives its `ggml_threadpool_new` under this name, whose type this is.
    unsafe { NonNull::new(std::mem::transmute::<*mut c_void, New>(function.as_ptr())(parameters)) }
}

/// # Safety
/// The pool came from [`new_pool`], nothing uses it, and it is freed once.
unsafe fn free_pool(pool: NonNull<sys::ggml_threadpool>) {
    type Free = unsafe extern "C" fn(sys::ggml_threadpool_t);
    if let Some(function) = NonNull::new(super::backends::cpu_function(c"ggml_threadpool_free")) {
        // SAFETY: the library gives its `ggml_threadpool_free` under this name, whose type this is.
        unsafe { std::mem::transmute::<*mut c_void, Free>(function.as_ptr())(pool.as_ptr()) }
    }
}

fn kv(kv_type: KvType) -> sys::ggml_type {
    match kv_type {
        KvType::F16 => sys::GGML_TYPE_F16,
        KvType::Bf16 => sys::GGML_TYPE_BF16,
        KvType::Q8_0 => sys::GGML_TYPE_Q8_0,
    }
}

fn flash(attention: FlashAttention) -> sys::llama_flash_attn_type {
    match attention {
        FlashAttention::Off => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        FlashAttention::On => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
        FlashAttention::Auto => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
    }
}

#[cfg(test)]
mod tests {
    use super::AbortSwitch;

    #[test]
    fn the_switch_stops_only_what_is_unwanted() {
        let switch = AbortSwitch::default();
        switch.begin(3);
        assert!(!switch.must_stop());
        switch.stop(4);
        assert!(!switch.must_stop());
        switch.stop(3);
        assert!(switch.must_stop());
        switch.begin_shared();
        assert!(!switch.must_stop());
        switch.stop_everything();
        assert!(switch.must_stop());
    }
}
