//! Images as clients of each dialect send them: with the question, in base64. Nothing is fetched.

use crate::fields::Fields;
use crate::ApiError;
use ainonymous_node::request::{Image, Message, IMAGES_BYTES_MAX, IMAGES_MAX, IMAGE_BYTES_MAX};
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine as _;
use serde_json::Value;

/// With or without padding at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Adds the image of an OpenAI part: `image_url` is an object with the address, or the address itself.
pub(crate) fn push_openai(message: &mut Message, part: &mut Fields) -> Result<(), ApiError> {
    let (path, address) = match part.take("image_url") {
        Some(Value::String(address)) => (part.path("image_url"), address),
        Some(value) => {
            let mut object = Fields::of(&part.path("image_url"), value)?;
            (object.path("url"), object.needed("url")?)
        }
        None if part.take("file_id").is_some() => {
            let reason = "no files are kept here; send the image itself as a data: URI";
            return Err(ApiError::Unsupported { param: part.path("file_id"), reason });
        }
        None => return Err(ApiError::Missing { param: part.path("image_url") }),
    };
    let scheme = |name: &str| address.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
    if scheme("http:") || scheme("https:") {
        let reason = "this node fetches nothing; send the image itself as a data: URI";
        return Err(ApiError::Unsupported { param: path, reason });
    }
    let data = scheme("data:").then(|| address.split_once(',')).flatten();
    let Some((_, base64)) = data.filter(|(head, _)| head.to_ascii_lowercase().ends_with(";base64")) else {
        return Err(ApiError::invalid(path, "must be data:image/png;base64,... or data:image/jpeg;base64,..."));
    };
    push_base64(message, path, base64)
}

/// Adds the image of an Anthropic block.
pub(crate) fn push_anthropic(message: &mut Message, block: &mut Fields) -> Result<(), ApiError> {
    let mut source = block.object("source")?.ok_or(ApiError::Missing { param: block.path("source") })?;
    match source.needed("type")?.as_str() {
        "base64" => push_base64(message, source.path("data"), &source.needed("data")?),
        "url" => {
            let reason = "this node fetches nothing; send the image itself as base64";
            Err(ApiError::Unsupported { param: source.path("url"), reason })
        }
        _ => Err(ApiError::invalid(source.path("type"), "must be base64")),
    }
}

/// Adds an image behind what the message says so far.
pub(crate) fn push_base64(message: &mut Message, path: String, base64: &str) -> Result<(), ApiError> {
    // Some programs break the lines.
    let without: String;
    let text = match base64.contains(|c: char| c.is_ascii_whitespace()) {
        true => {
            without = base64.split_ascii_whitespace().collect();
            &without
        }
        false => base64,
    };
    let too_long = || ApiError::invalid(&path, format!("is too long; at most {IMAGE_BYTES_MAX} bytes are allowed"));
    if text.len() / 4 * 3 > IMAGE_BYTES_MAX + 3 {
        return Err(too_long());
    }
    let bytes = BASE64.decode(text).map_err(|_| ApiError::invalid(&path, "is not base64"))?;
    match bytes.len() {
        0 => return Err(ApiError::invalid(path, "is empty")),
        length if length > IMAGE_BYTES_MAX => return Err(too_long()),
        _ => message.images.push(Image { at: message.content.len(), bytes: bytes.into() }),
    }
    Ok(())
}

/// All images of a question together.
pub(super) fn check(messages: &[Message]) -> Result<(), ApiError> {
    let images = || messages.iter().flat_map(|message| &message.images);
    let (count, bytes) = (images().count(), images().map(|image| image.bytes.len()).sum::<usize>());
    if count > IMAGES_MAX {
        return Err(ApiError::invalid("messages", format!("show {count} images; at most {IMAGES_MAX} are allowed")));
    }
    if bytes > IMAGES_BYTES_MAX {
        let problem = format!("show images of {bytes} bytes; at most {IMAGES_BYTES_MAX} are allowed");
        return Err(ApiError::invalid("messages", problem));
    }
    Ok(())
}
