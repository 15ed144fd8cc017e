//! The hApp and the chat page: the ones built in, or a file.

use crate::error::CliError;
use ainonymous_api::Site;
use ainonymous_conductor::pack;
use std::path::Path;

/// Packed by the build script; empty if it was not there.
static BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ainonymous.webhapp"));

/// What a node needs of a bundle.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// The hApp: with the seed it is the network.
    pub(crate) happ: Vec<u8>,
    /// The chat page; a bare hApp has none.
    pub(crate) site: Option<Site>,
}

/// Whether a hApp is built in.
pub(crate) fn is_built_in() -> bool {
    !BUILT_IN.is_empty()
}

/// The bundle in the file, or the one built in.
pub(crate) fn load(file: Option<&Path>) -> Result<Bundle, CliError> {
    match file {
        None if is_built_in() => unpack(BUILT_IN),
        None => Err(CliError::NoHapp),
        Some(path) => {
            let bytes = fs_err::read(path).map_err(|source| CliError::File { path: path.to_path_buf(), source })?;
            match path.extension().is_some_and(|end| end.eq_ignore_ascii_case("webhapp")) {
                true => unpack(&bytes),
                false => Ok(Bundle { happ: bytes, site: None }),
            }
        }
    }
}

fn unpack(webhapp: &[u8]) -> Result<Bundle, CliError> {
    let pack::WebHapp { happ, ui_zip } = pack::unpack_webhapp(webhapp)?;
    Ok(Bundle { happ, site: Some(Site::from_zip(&ui_zip)?) })
}
