//! From the file of an image to its points: PNG and JPEG, in memory-safe code, judged by the header before a point is decoded.
//!
//! The bytes come from strangers. It must not know models: what an image becomes is the projector's matter.

use crate::error::{clip, EngineError};
use crate::request::{IMAGE_ASPECT_MAX, IMAGE_PIXELS_MAX};
use std::io::Cursor;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Memory that decoding a PNG may take besides its points, in bytes.
const PNG_BYTES_MAX: usize = 16 << 20;
/// Most passes over a JPEG; cameras and programs write a dozen.
const JPEG_SCANS_MAX: usize = 64;
/// What shines through the transparent parts of an image.
const PAPER: u16 = 255;

/// The points of an image.
#[derive(PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Red, green, blue, row by row.
    pub(crate) rgb: Vec<u8>,
}

/// Why an image is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageError {
    /// It cannot be decoded; the text is the decoder's or ours.
    Invalid(String),
    /// It breaks a bound.
    TooLarge { width: u32, height: u32, bound: &'static str },
}

impl ImageError {
    /// The same as an error of a question; images count from 1.
    pub(crate) fn of(self, index: usize) -> EngineError {
        let index = index as u32;
        match self {
            Self::Invalid(detail) => EngineError::ImageInvalid { index, detail },
            Self::TooLarge { width, height, bound } => {
                EngineError::ImageTooLarge { index, width, height, bound: bound.into() }
            }
        }
    }
}

/// Decodes an image.
pub(crate) fn decode(bytes: &[u8]) -> Result<Pixels, ImageError> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => png(bytes),
        [0xff, 0xd8, 0xff, ..] => jpeg(bytes),
        _ => Err(ImageError::Invalid("it is neither a PNG nor a JPEG".into())),
    }
}

/// Number of points, if the sides are within the bounds.
fn check(width: u32, height: u32) -> Result<usize, ImageError> {
    let too_large = |bound| Err(ImageError::TooLarge { width, height, bound });
    let points = u64::from(width) * u64::from(height);
    if points == 0 {
        return Err(ImageError::Invalid("it has no points".into()));
    }
    if points > IMAGE_PIXELS_MAX {
        return too_large("IMAGE_PIXELS_MAX");
    }
    if width.max(height) > width.min(height).saturating_mul(IMAGE_ASPECT_MAX) {
        return too_large("IMAGE_ASPECT_MAX");
    }
    Ok(points as usize)
}

fn png(bytes: &[u8]) -> Result<Pixels, ImageError> {
    let invalid = |e: png::DecodingError| ImageError::Invalid(clip(&e.to_string()));
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: PNG_BYTES_MAX });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(invalid)?;
    let (width, height) = (header.width, header.height);
    let points = check(width, height)?;
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(invalid)?;
    // At most four bytes a point, which the bound on points bounds.
    let size = reader.output_buffer_size().filter(|size| *size <= points * 4);
    let mut data = vec![0; size.ok_or_else(|| ImageError::Invalid("it has more colours than eight bits each".into()))?];
    let frame = reader.next_frame(&mut data).map_err(invalid)?;
    if (frame.width, frame.height) != (width, height) {
        return Err(ImageError::Invalid("its first frame does not fill it".into()));
    }
    let on_paper = |value: u8, alpha: u8| {
        ((u16::from(value) * u16::from(alpha) + PAPER * (255 - u16::from(alpha)) + 127) / 255) as u8
    };
    let rgb: Vec<u8> = match frame.color_type {
        png::ColorType::Rgb => data,
        png::ColorType::Rgba => data
            .chunks_exact(4)
            .flat_map(|p| [on_paper(p[0], p[3]), on_paper(p[1], p[3]), on_paper(p[2], p[3])])
            .collect(),
        png::ColorType::Grayscale => data.iter().flat_map(|&value| [value; 3]).collect(),
        png::ColorType::GrayscaleAlpha => data.chunks_exact(2).flat_map(|p| [on_paper(p[0], p[1]); 3]).collect(),
        png::ColorType::Indexed => return Err(ImageError::Invalid("its palette is missing".into())),
    };
    whole(Pixels { width, height, rgb }, points)
}

fn jpeg(bytes: &[u8]) -> Result<Pixels, ImageError> {
    let invalid = |e: zune_jpeg::errors::DecodeErrors| ImageError::Invalid(clip(&e.to_string()));
    // The decoder makes up what a file lacks at its end; half an image is not what was meant.
    let last = |mark: [u8; 2]| bytes.windows(2).rposition(|two| two == mark);
    if last([0xff, 0xd9]) < last([0xff, 0xda]) {
        return Err(ImageError::Invalid("the JPEG is truncated".into()));
    }
    let side_max = usize::from(u16::MAX);
    let options = DecoderOptions::default()
        .set_use_unsafe(false)
        .set_max_width(side_max)
        .set_max_height(side_max)
        .jpeg_set_max_scans(JPEG_SCANS_MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(invalid)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = (width as u32, height as u32);
    let points = check(width, height)?;
    let rgb = decoder.decode().map_err(invalid)?;
    whole(Pixels { width, height, rgb }, points)
}

/// The projector reads as many bytes as the sides say.
fn whole(pixels: Pixels, points: usize) -> Result<Pixels, ImageError> {
    match pixels.rgb.len() == points * 3 {
        true => Ok(pixels),
        false => Err(ImageError::Invalid("it has fewer points than its header says".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG whose points are these.
    fn encoded(width: u32, height: u32, color: png::ColorType, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    fn refused(bytes: &[u8]) -> ImageError {
        decode(bytes).err().unwrap()
    }

    /// The header alone, as a sender of bombs writes it.
    fn claiming(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = encoded(1, 1, png::ColorType::Rgb, &[1, 2, 3]);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let mut crc = u32::MAX;
        for byte in &bytes[12..29] {
            crc ^= u32::from(*byte);
            (0..8).for_each(|_| crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 });
        }
        bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
        bytes
    }

    #[test]
    fn every_kind_of_png_becomes_rgb() {
        let rgb = |color, data: &[u8]| decode(&encoded(2, 1, color, data)).unwrap().rgb;
        assert_eq!(rgb(png::ColorType::Rgb, &[1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(rgb(png::ColorType::Rgba, &[1, 2, 3, 255, 4, 5, 6, 0]), [1, 2, 3, 255, 255, 255]);
        assert_eq!(rgb(png::ColorType::Grayscale, &[7, 8]), [7, 7, 7, 8, 8, 8]);
        assert_eq!(rgb(png::ColorType::GrayscaleAlpha, &[0, 128, 9, 255]), [127, 127, 127, 9, 9, 9]);
    }

    #[test]
    fn bounds_are_judged_by_the_header() {
        let side = (IMAGE_PIXELS_MAX as f64).sqrt() as u32;
        assert_eq!(check(side, side), Ok((side * side) as usize));
        assert_eq!(check(1, IMAGE_ASPECT_MAX), Ok(50));
        for (width, height, broken) in [
            (side + 1, side + 1, "IMAGE_PIXELS_MAX"),
            (u32::MAX >> 1, u32::MAX >> 1, "IMAGE_PIXELS_MAX"),
            (1, IMAGE_ASPECT_MAX + 1, "IMAGE_ASPECT_MAX"),
        ] {
            let began = std::time::Instant::now();
            match refused(&claiming(width, height)) {
                ImageError::TooLarge { bound, .. } => assert_eq!(bound, broken),
                other => panic!("{other:?}"),
            }
            assert!(began.elapsed().as_millis() < 1_000);
        }
        assert!(matches!(refused(&claiming(0, 1)), ImageError::Invalid(_)));
    }

    #[test]
    fn what_is_broken_is_named_and_nothing_panics() {
        let whole = encoded(40, 40, png::ColorType::Rgb, &[9; 4_800]);
        for end in 0..whole.len() - 16 {
            assert!(matches!(decode(&whole[..end]), Err(ImageError::Invalid(_))), "{end}");
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x55;
            let _ = decode(&broken);
        }
        assert!(matches!(refused(b"GIF89a..."), ImageError::Invalid(_)));
        assert!(matches!(refused(b"\xff\xd8\xff\xe0 no more"), ImageError::Invalid(_)));
    }

    /// One grey block, written by hand: tables, frame and scan as the standard has them.
    fn grey_jpeg(width: u16, height: u16) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
        bytes.extend([1; 64]);
        bytes.extend([0xff, 0xc0, 0, 11, 8]);
        bytes.extend(height.to_be_bytes());
        bytes.extend(width.to_be_bytes());
        bytes.extend([1, 1, 0x11, 0]);
        for class in [0x00, 0x10] {
            // One code of one bit: no difference, end of block.
            bytes.extend([0xff, 0xc4, 0, 20, class, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        bytes.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x3f, 0xff, 0xd9]);
        bytes
    }

    #[test]
    fn jpegs_are_read_and_half_ones_are_not() {
        let grey = decode(&grey_jpeg(8, 8)).unwrap();
        assert_eq!((grey.width, grey.height, grey.rgb), (8, 8, vec![128; 192]));
        let whole = grey_jpeg(8, 8);
        for end in 0..whole.len() {
            assert!(matches!(decode(&whole[..end]), Err(ImageError::Invalid(_))), "{end}");
        }
        assert!(matches!(refused(&grey_jpeg(65_500, 65_500)), ImageError::TooLarge { .. }));
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x55;
            let _ = decode(&broken);
        }
    }
}
