//! Packs zomes into a DNA, the DNA into a hApp, and hApp and web page into a webhapp: the same input, the same bytes.

use crate::ConductorError;
use ainonymous_types::{DnaHash, NetworkKind, NetworkProperties, ROLE_NAME};
use ainonymous_verify::network::Network;
use fs_err as fs;
use holochain_types::app::{AppBundle, AppManifest};
use holochain_types::dna::{DnaBundle, DnaFile, ValidatedDnaManifest};
use holochain_types::prelude::{DnaModifiersOpt, YamlProperties};
use holochain_types::web_app::{AppManifestLocation, WebAppManifest, WebAppManifestV0, WebUI};
use mr_bundle::{Bundle, FileSystemBundler};
use serde::Serialize;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;

const UI_ZIP: &str = "ui.zip";
const HAPP: &str = "ainonymous.happ";
const APP_NAME: &str = "AInonymous";

/// What a webhapp holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebHapp {
    /// Bytes of the hApp.
    pub happ: Vec<u8>,
    /// Bytes of the zipped page.
    pub ui_zip: Vec<u8>,
}

/// Packs a `dna.yaml` with its zomes; returns the DNA hash.
pub async fn pack_dna(manifest: &Path, out: &Path) -> Result<DnaHash, ConductorError> {
    let cannot = |e: &dyn std::fmt::Display| cannot_pack(manifest, e);
    FileSystemBundler::bundle_to::<ValidatedDnaManifest>(manifest, out).await.map_err(|e| cannot(&e))?;
    let bytes = fs::read(out).map_err(|e| cannot(&e))?;
    let (dna, _) =
        DnaBundle::unpack(&bytes[..]).map_err(|e| cannot(&e))?.to_dna_file().await.map_err(|e| cannot(&e))?;
    Ok(dna.dna_hash().clone())
}

/// Packs a `happ.yaml` with its DNAs; returns the bytes.
pub async fn pack_happ(manifest: &Path, out: &Path) -> Result<Vec<u8>, ConductorError> {
    FileSystemBundler::bundle_to::<AppManifest>(manifest, out).await.map_err(|e| cannot_pack(manifest, &e))?;
    fs::read(out).map_err(|e| cannot_pack(out, &e))
}

/// Packs a hApp and the folder of a built web page; returns the bytes.
pub fn pack_webhapp(happ: &[u8], ui_dir: &Path, out: &Path) -> Result<Vec<u8>, ConductorError> {
    let manifest = WebAppManifest::V0(WebAppManifestV0 {
        name: APP_NAME.into(),
        ui: WebUI { path: UI_ZIP.into() },
        happ: AppManifestLocation { path: HAPP.into() },
    });
    let resources = [(UI_ZIP.to_string(), zip_dir(ui_dir)?.into()), (HAPP.to_string(), happ.to_vec().into())];
    let bundle = Bundle::new(manifest, resources).map_err(|e| cannot_pack(ui_dir, &e))?;
    let bytes = bundle.pack().map_err(|e| cannot_pack(ui_dir, &e))?.to_vec();
    fs::write(out, &bytes).map_err(|e| cannot_pack(out, &e))?;
    Ok(bytes)
}

/// The DNA hash that a hApp has when nobody changes its seed and properties.
pub async fn dna_hash(happ: &[u8]) -> Result<DnaHash, ConductorError> {
    dna_hash_of(happ, None, None).await
}

/// The DNA hash that a hApp has with a network seed and properties.
pub async fn dna_hash_of(
    happ: &[u8],
    network_seed: Option<&str>,
    properties: Option<&NetworkProperties>,
) -> Result<DnaHash, ConductorError> {
    Ok(dna_of(happ, network_seed, properties).await?.dna_hash().clone())
}

/// The same, and the network as its zomes see it: wherever seed and properties come from.
pub(crate) async fn network_of(
    happ: &[u8],
    network_seed: Option<&str>,
    properties: Option<&NetworkProperties>,
) -> Result<(DnaHash, Network), ConductorError> {
    let dna = dna_of(happ, network_seed, properties).await?;
    let modifiers = &dna.dna_def().modifiers;
    let network = Network::of_dna(modifiers.properties.bytes(), &modifiers.network_seed);
    let network = network.map_err(|breach| ConductorError::InvalidHapp { problem: breach.to_string() })?;
    Ok((dna.dna_hash().clone(), network))
}

async fn dna_of(
    happ: &[u8],
    network_seed: Option<&str>,
    properties: Option<&NetworkProperties>,
) -> Result<DnaFile, ConductorError> {
    let invalid = |e: &dyn std::fmt::Display| ConductorError::InvalidHapp { problem: e.to_string() };
    let bundle = AppBundle::unpack(happ).map_err(|e| invalid(&e))?;
    let mut manifest = bundle.manifest().clone();
    if let Some(seed) = network_seed {
        manifest.set_network_seed(seed.to_string());
    }
    if let Some(properties) = properties {
        let modifiers = [(ROLE_NAME.to_string(), modifiers(properties)?)];
        manifest.override_modifiers(modifiers.into()).map_err(|e| invalid(&e))?;
    }
    let bundle = AppBundle::from(bundle.into_inner().update_manifest(manifest).map_err(|e| invalid(&e))?);
    let cells =
        Box::pin(bundle.resolve_cells(Default::default(), Default::default())).await.map_err(|e| invalid(&e))?;
    match cells.dnas_to_register.as_slice() {
        [(dna, _)] => Ok(dna.clone()),
        dnas => Err(invalid(&format!("it has {} DNAs where one is expected", dnas.len()))),
    }
}

/// Properties as they stand in a manifest. Their order and spelling are part of the DNA hash: agents are texts there.
pub(crate) fn modifiers(properties: &NetworkProperties) -> Result<DnaModifiersOpt<YamlProperties>, ConductorError> {
    #[derive(Serialize)]
    struct Manifest<'a> {
        version: u16,
        name: &'a str,
        kind: NetworkKind,
        founders: Vec<String>,
        // Networks without work have the hash that they had before there was any.
        #[serde(skip_serializing_if = "Option::is_none")]
        work_bits: Option<u8>,
    }
    let NetworkProperties { version, name, kind, founders, work_bits } = properties;
    let founders = founders.iter().map(ToString::to_string).collect();
    let work_bits = Some(*work_bits).filter(|bits| *bits > 0);
    let yaml = yaml_serde::to_value(Manifest { version: *version, name, kind: *kind, founders, work_bits });
    let yaml = yaml.map_err(|e| ConductorError::InvalidHapp { problem: e.to_string() })?;
    Ok(DnaModifiersOpt { network_seed: None, properties: Some(YamlProperties::new(yaml)) })
}

/// Takes a webhapp apart.
pub fn unpack_webhapp(bytes: &[u8]) -> Result<WebHapp, ConductorError> {
    let invalid = |problem: String| ConductorError::InvalidHapp { problem };
    let bundle: Bundle<WebAppManifest> = Bundle::unpack(bytes).map_err(|e| invalid(e.to_string()))?;
    let WebAppManifest::V0(manifest) = bundle.manifest();
    let resource = |name: &String| match bundle.get_resource(name) {
        Some(bytes) => Ok(bytes.as_ref().to_vec()),
        None => Err(invalid(format!("it lacks '{name}'"))),
    };
    Ok(WebHapp { happ: resource(&manifest.happ.path)?, ui_zip: resource(&manifest.ui.path)? })
}

/// Zips a folder: names sorted, one date, one mode.
fn zip_dir(dir: &Path) -> Result<Vec<u8>, ConductorError> {
    let cannot = |e: &dyn std::fmt::Display| cannot_pack(dir, e);
    let mut files = Vec::new();
    list_files(dir, &mut files).map_err(|e| cannot(&e))?;
    let mut named = Vec::with_capacity(files.len());
    for path in files {
        let relative = path.strip_prefix(dir).map_err(|e| cannot(&e))?;
        let parts: Option<Vec<_>> = relative.components().map(|c| c.as_os_str().to_str()).collect();
        let name = parts.ok_or_else(|| cannot(&format!("the name of {} is not UTF-8", path.display())))?.join("/");
        named.push((name, path));
    }
    if !named.iter().any(|(name, _)| name == "index.html") {
        return Err(cannot(&"there is no index.html in it"));
    }
    named.sort();
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, path) in named {
        zip.start_file(name, options).map_err(|e| cannot(&e))?;
        zip.write_all(&fs::read(path).map_err(|e| cannot(&e))?).map_err(|e| cannot(&e))?;
    }
    Ok(zip.finish().map_err(|e| cannot(&e))?.into_inner())
}

fn list_files(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => list_files(&entry.path(), files)?,
            false => files.push(entry.path()),
        }
    }
    Ok(())
}

fn cannot_pack(path: &Path, problem: &dyn std::fmt::Display) -> ConductorError {
    ConductorError::CannotPack { path: path.to_path_buf(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(dir: &Path, names: &[&str]) {
        for name in names {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }

    #[test]
    fn a_webhapp_is_the_same_bytes_each_time_and_comes_apart_again() {
        let (one, two, out) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        page(one.path(), &["index.html", "assets/b.js", "assets/a.css"]);
        page(two.path(), &["assets/a.css", "assets/b.js", "index.html"]);
        let file = out.path().join("x.webhapp");
        let first = pack_webhapp(b"a happ", one.path(), &file).unwrap();
        let second = pack_webhapp(b"a happ", two.path(), &file).unwrap();
        assert_eq!(first, second);
        let apart = unpack_webhapp(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(apart.happ, b"a happ");
        let mut zip = zip::ZipArchive::new(Cursor::new(apart.ui_zip)).unwrap();
        let names: Vec<_> = (0..zip.len()).map(|i| zip.by_index(i).unwrap().name().to_string()).collect();
        assert_eq!(names, ["assets/a.css", "assets/b.js", "index.html"]);
    }

    #[tokio::test]
    async fn what_is_no_bundle_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(pack_webhapp(b"h", dir.path(), &dir.path().join("o")).unwrap_err().code(), "cannot_pack");
        assert_eq!(dna_hash(b"nonsense").await.unwrap_err().code(), "invalid_happ");
        assert_eq!(unpack_webhapp(b"").unwrap_err().code(), "invalid_happ");
        let missing = dir.path().join("dna.yaml");
        assert_eq!(pack_dna(&missing, &dir.path().join("d")).await.unwrap_err().code(), "cannot_pack");
    }
}
