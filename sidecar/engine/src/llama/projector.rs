//! A projector: makes of an image rows of numbers that a model reads like tokens.
//!
//! Images come as points (`crate::image`): llama.cpp's own decoders, and its search for sounds and films, are not used.

use super::gguf::Header;
use super::{sys, Context, DecodeError, Model, Token};
use std::ffi::CString;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// Kinds whose images depend on where in the prompt they stand. Ours are computed before that is known.
const PLACED: [&str; 2] = ["deepseek4v", "hunyuanvl"];
/// Kinds that take as many tokens for an image as its size asks for, all of which must be in one batch.
const ELASTIC: [&str; 2] = ["gemma4v", "gemma4uv"];

/// How a projector is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProjectorOptions {
    pub(crate) threads: u32,
    /// May it compute on a GPU?
    pub(crate) gpu: bool,
    /// Most tokens of a batch of the context that will read its rows.
    pub(crate) batch_tokens: u32,
}

/// A loaded projector for one model.
#[derive(Debug)]
pub(crate) struct Projector {
    pointer: NonNull<sys::mtmd_context>,
    /// Numbers in a row.
    width: usize,
    batch_tokens: u32,
    /// Computing fills a buffer of the projector.
    computing: Mutex<()>,
    _model: Arc<Model>,
}

// SAFETY: it has no thread affinity; what changes it, computing an image, is done by one thread at a time (`computing`);
// everything else here reads what is set when it is loaded.
unsafe impl Send for Projector {}
// SAFETY: see above.
unsafe impl Sync for Projector {}

impl Drop for Projector {
    fn drop(&mut self) {
        // SAFETY: the pointer came from llama.cpp and is freed once; rows hold an `Arc<Projector>` and are gone.
        unsafe { sys::mtmd_free(self.pointer.as_ptr()) }
    }
}

/// A piece of a prompt that an image became.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Tokens that stand around its rows.
    Tokens(Vec<Token>),
    /// Rows.
    Rows(Arc<Rows>),
}

/// Why an image did not become rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProjectError {
    /// It has more rows than a batch has tokens, and they must be computed together.
    TooManyRows,
    /// llama.cpp cannot compute it.
    Failed,
}

/// Rows of one image, or of a part of it.
#[derive(Debug)]
pub(crate) struct Rows {
    /// What llama.cpp knows of them: how many, and their positions; not the image.
    chunk: NonNull<sys::mtmd_input_chunk>,
    numbers: Vec<f32>,
    /// How many there are: entries of a cache.
    pub(crate) count: u32,
    /// Positions that they take; fewer than rows where positions have several dimensions.
    pub(crate) positions: u32,
    projector: Arc<Projector>,
}

// SAFETY: the chunk is read only, and freed once.
unsafe impl Send for Rows {}
// SAFETY: see above.
unsafe impl Sync for Rows {}

impl Drop for Rows {
    fn drop(&mut self) {
        // SAFETY: the chunk is a copy that was made for this.
        unsafe { sys::mtmd_input_chunk_free(self.chunk.as_ptr()) }
    }
}

impl Rows {
    /// Their size in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.numbers.len() * size_of::<f32>()
    }
}

impl Projector {
    /// Loads a file for a model. The error says why not, if that is known better than from llama.cpp's log.
    pub(crate) fn load(path: &Path, model: Arc<Model>, options: ProjectorOptions) -> Result<Self, Option<String>> {
        let header = Header::open(path).ok_or(None)?;
        if header.string("general.architecture") != "clip" {
            return Err(Some("the file is not a projector".into()));
        }
        let named = header.string("clip.projector_type");
        let kind = if named.is_empty() { header.string("clip.vision.projector_type") } else { named };
        if PLACED.contains(&kind.as_str()) {
            return Err(Some(format!("projectors of the kind {kind} are not supported")));
        }
        let ProjectorOptions { threads, gpu, batch_tokens } = options;
        let file = path.to_str().and_then(|path| CString::new(path).ok()).ok_or(None)?;
        // SAFETY: path, model and parameters outlive the call; the model lives as long as the projector (`_model`).
        let (pointer, sees, width) = unsafe {
            sys::mtmd_helper_log_set(Some(super::on_log), std::ptr::null_mut());
            let mut parameters = sys::mtmd_context_params_default();
            parameters.use_gpu = gpu;
            parameters.print_timings = false;
            parameters.n_threads = threads as i32;
            parameters.warmup = true;
            if ELASTIC.contains(&kind.as_str()) {
                parameters.image_max_tokens = batch_tokens as i32;
            }
            let pointer = sys::mtmd_init_from_file(file.as_ptr(), model.as_ptr(), parameters);
            let pointer = NonNull::new(pointer).ok_or(None)?;
            let sees = sys::mtmd_support_vision(pointer.as_ptr());
            (pointer, sees, sys::llama_model_n_embd_inp(model.as_ptr()).max(0) as usize)
        };
        let projector = Self { pointer, width, batch_tokens, computing: Mutex::default(), _model: model };
        if sees {
            Ok(projector)
        } else {
            Err(Some("it reads sounds and no images".into()))
        }
    }

    /// Computes an image.
    pub(crate) fn project(self: &Arc<Self>, image: &crate::image::Pixels) -> Result<Vec<Piece>, ProjectError> {
        let crate::image::Pixels { width, height, rgb } = image;
        if rgb.len() as u64 != u64::from(*width) * u64::from(*height) * 3 {
            return Err(ProjectError::Failed);
        }
        let chunks = Chunks::of(self, *width, *height, rgb).ok_or(ProjectError::Failed)?;
        let mut pieces = Vec::new();
        for index in 0..chunks.len() {
            pieces.push(self.piece(chunks.get(index).ok_or(ProjectError::Failed)?)?);
        }
        Ok(pieces)
    }

    /// # Errors
    /// See [`ProjectError`].
    fn piece(self: &Arc<Self>, chunk: NonNull<sys::mtmd_input_chunk>) -> Result<Piece, ProjectError> {
        let chunk = chunk.as_ptr();
        // SAFETY: the chunk lives for the call; tokens belong to it and are copied.
        let (kind, count, positions) = unsafe {
            let kind = sys::mtmd_input_chunk_get_type(chunk);
            if kind == sys::MTMD_INPUT_CHUNK_TYPE_TEXT {
                let mut count = 0;
                let tokens = sys::mtmd_input_chunk_get_tokens_text(chunk, &mut count);
                let none = tokens.is_null() || count == 0;
                let tokens = if none { vec![] } else { std::slice::from_raw_parts(tokens, count).to_vec() };
                return Ok(Piece::Tokens(tokens));
            }
            (kind, sys::mtmd_input_chunk_get_n_tokens(chunk), sys::mtmd_input_chunk_get_n_pos(chunk))
        };
        let positions = u32::try_from(positions).ok().filter(|positions| *positions > 0);
        let (Some(positions), Ok(rows)) = (positions, u32::try_from(count)) else { return Err(ProjectError::Failed) };
        if kind != sys::MTMD_INPUT_CHUNK_TYPE_IMAGE || positions > rows {
            return Err(ProjectError::Failed);
        }
        // SAFETY: projector and chunk live; the question is asked of an image's chunk.
        let together = unsafe { sys::mtmd_decode_use_non_causal(self.pointer.as_ptr(), chunk) };
        if together && rows > self.batch_tokens {
            return Err(ProjectError::TooManyRows);
        }
        let _one_at_a_time = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: projector and chunk live; nobody else computes; the buffer then has `width` numbers for each row.
        let (numbers, chunk) = unsafe {
            if sys::mtmd_encode_chunk(self.pointer.as_ptr(), chunk) != 0 {
                return Err(ProjectError::Failed);
            }
            let numbers = NonNull::new(sys::mtmd_get_output_embd(self.pointer.as_ptr())).ok_or(ProjectError::Failed)?;
            let numbers = std::slice::from_raw_parts(numbers.as_ptr(), count * self.width).to_vec();
            (numbers, NonNull::new(sys::mtmd_input_chunk_get_placeholder(chunk)).ok_or(ProjectError::Failed)?)
        };
        Ok(Piece::Rows(Arc::new(Rows { chunk, numbers, count: rows, positions, projector: self.clone() })))
    }
}

impl Context {
    /// Computes an image's rows from a position on, in one batch or several. Their cache must be there.
    pub(crate) fn decode_rows(&mut self, rows: &Rows, position: u32, sequence: u32) -> Result<(), DecodeError> {
        let options = self.options();
        let fits = sequence < options.sequences && position.saturating_add(rows.count) <= options.context_tokens;
        if !fits || rows.projector.batch_tokens > options.batch_tokens {
            return Err(DecodeError::Failed(-1));
        }
        self.forget_rows();
        let mut after = 0;
        // SAFETY: context, projector, chunk and numbers live, and the numbers are as many as the chunk's rows; llama.cpp
        // reads them, and of the projector what never changes; sequence and positions were checked.
        let code = unsafe {
            sys::mtmd_helper_decode_image_chunk(
                rows.projector.pointer.as_ptr(),
                self.as_ptr(),
                rows.chunk.as_ptr(),
                rows.numbers.as_ptr().cast_mut(),
                position as i32,
                sequence as i32,
                options.batch_tokens as i32,
                &mut after,
                None,
                std::ptr::null_mut(),
            )
        };
        match code {
            0 => Ok(()),
            2 => Err(DecodeError::Aborted),
            code => Err(DecodeError::Failed(code)),
        }
    }
}

/// What llama.cpp makes of one image before it computes.
struct Chunks(NonNull<sys::mtmd_input_chunks>);

impl Drop for Chunks {
    fn drop(&mut self) {
        // SAFETY: the pointer came from llama.cpp and is freed once.
        unsafe { sys::mtmd_input_chunks_free(self.0.as_ptr()) }
    }
}

impl Chunks {
    fn of(projector: &Projector, width: u32, height: u32, rgb: &[u8]) -> Option<Self> {
        // SAFETY: the points are as many as the sides say (checked by the caller) and are copied; the part and the list live
        // for the call, which copies what it needs; the bitmap is freed once.
        unsafe {
            let chunks = Self(NonNull::new(sys::mtmd_input_chunks_init())?);
            let bitmap = NonNull::new(sys::mtmd_bitmap_init(width, height, rgb.as_ptr()))?;
            let part = sys::mtmd_input_part { text: std::ptr::null(), bitmap: bitmap.as_ptr() };
            let mut parts = [&raw const part];
            let context = projector.pointer.as_ptr();
            let code = sys::mtmd_tokenize_from_parts(context, chunks.0.as_ptr(), parts.as_mut_ptr(), 1, false);
            sys::mtmd_bitmap_free(bitmap.as_ptr());
            (code == 0).then_some(chunks)
        }
    }

    fn len(&self) -> usize {
        // SAFETY: the list lives.
        unsafe { sys::mtmd_input_chunks_size(self.0.as_ptr()) }
    }

    fn get(&self, index: usize) -> Option<NonNull<sys::mtmd_input_chunk>> {
        if index >= self.len() {
            return None;
        }
        // SAFETY: the list lives and has the index; the chunk lives as long as the list.
        NonNull::new(unsafe { sys::mtmd_input_chunks_get(self.0.as_ptr(), index) }.cast_mut())
    }
}
