//! Folder, port, hApp, network, models.

use super::Check;
use crate::happ;
use crate::key_file::KeyFile;
use crate::passphrase::VARIABLE;
use crate::settings::{Network, Settings};
use crate::show::{bytes, count};
use std::fs::TryLockError;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Below this a conductor does not start.
const DISK_BYTES_MIN: u64 = 128 << 20;
/// Below this it soon will not.
const DISK_BYTES_WISHED: u64 = 1 << 30;
/// Longest time that a server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// What this program was built with.
pub(super) fn gpu() -> Check {
    let all = [
        ("cuda", cfg!(feature = "cuda")),
        ("vulkan", cfg!(feature = "vulkan")),
        ("metal", cfg!(feature = "metal")),
        ("rocm", cfg!(feature = "rocm")),
    ];
    let built: Vec<&str> = all.iter().filter(|(_, built)| *built).map(|(name, _)| *name).collect();
    match built.is_empty() {
        false => Check::ok("gpu", format!("built with {}", built.join(", "))),
        true => {
            let hint = "if there is a GPU, build with `--features cuda`, `vulkan`, `metal` or `rocm`";
            Check::warn("gpu", "built for the processor only", hint)
        }
    }
}

/// Whether the folder can be used, by us alone.
pub(super) fn data_dir(path: &Path) -> Check {
    const NAME: &str = "data folder";
    let shown = path.display();
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Check::ok(NAME, format!("{shown} will be made at the first start"));
        }
        Err(e) => return Check::fail(NAME, e.to_string(), "check its permissions, or choose another with --data-dir"),
    };
    if !metadata.is_dir() {
        return Check::fail(NAME, format!("{shown} is not a folder"), "choose another with --data-dir");
    }
    if metadata.permissions().readonly() {
        return Check::fail(
            NAME,
            format!("{shown} cannot be written to"),
            "check its permissions, or choose another with --data-dir",
        );
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0 {
        return Check::warn(NAME, format!("others can read {shown}"), format!("run `chmod 700 {shown}`"));
    }
    let lock = path.join("conductor.lock");
    match std::fs::File::open(&lock).map(|file| file.try_lock()) {
        Ok(Err(TryLockError::WouldBlock)) => Check::ok(NAME, format!("{shown}, used by a node that runs")),
        _ => Check::ok(NAME, shown.to_string()),
    }
}

/// Room on the folder's disk.
pub(super) fn disk(path: &Path) -> Check {
    const NAME: &str = "disk";
    let existing = path.ancestors().find(|folder| folder.exists()).map_or_else(PathBuf::new, Path::to_path_buf);
    match fs4::available_space(&existing) {
        Ok(free) if free < DISK_BYTES_MIN => {
            Check::fail(NAME, format!("{} free", bytes(free)), "free some space, or choose another with --data-dir")
        }
        Ok(free) if free < DISK_BYTES_WISHED => {
            Check::warn(NAME, format!("{} free", bytes(free)), "free some space: the network's data grows")
        }
        Ok(free) => Check::ok(NAME, format!("{} free", bytes(free))),
        Err(e) => Check::warn(NAME, format!("not known: {e}"), "check that the disk is there"),
    }
}

/// Whether the passphrase would be found without asking.
pub(super) fn passphrase(settings: &Settings) -> Check {
    const NAME: &str = "passphrase";
    let without = "give one with --passphrase-file FILE or in AINONYMOUS_PASSPHRASE";
    match &settings.passphrase_file {
        Some(path) if path.is_file() => Check::ok(NAME, format!("in {}", path.display())),
        Some(path) => Check::fail(NAME, format!("{} is not there", path.display()), without),
        None if std::env::var_os(VARIABLE).is_some() => Check::ok(NAME, format!("in {VARIABLE}")),
        None if matches!(settings.network, Network::Attached { .. }) => Check::ok(NAME, "not needed"),
        None if std::io::stdin().is_terminal() => Check::ok(NAME, "you will be asked for it"),
        None => Check::fail(NAME, "none is given, and there is no terminal to ask on", without),
    }
}

/// Whether the address of the API is free, or a node answers there.
pub(super) async fn api(address: SocketAddr, data_dir: &Path) -> Check {
    const NAME: &str = "api";
    let has_keys = match KeyFile::of(data_dir).load() {
        Ok(keys) => !keys.keys().is_empty(),
        Err(error) => return Check::fail(NAME, error.to_string(), error.hint()),
    };
    match ainonymous_api::bind(address, has_keys).await {
        Ok(_) => Check::ok(NAME, format!("{address} is free")),
        Err(error) if error.code() == "port_in_use" => match http_get(&format!("http://{address}/livez")).await {
            Ok(body) if body.contains("\"status\":\"ok\"") => Check::ok(NAME, format!("a node answers at {address}")),
            _ => Check::fail(NAME, error.to_string(), error.hint()),
        },
        Err(error) => Check::fail(NAME, error.to_string(), error.hint()),
    }
}

/// Whether there is a hApp, and which network it makes.
pub(super) async fn happ(settings: &Settings) -> Check {
    const NAME: &str = "hApp";
    let bundle = match happ::load(settings.happ.as_deref()) {
        Ok(bundle) => bundle,
        Err(error) => return Check::fail(NAME, error.to_string(), error.hint()),
    };
    let source = settings.happ.as_ref().map_or("built in".to_owned(), |path| path.display().to_string());
    match settings.dna_hash(&bundle.happ).await {
        Ok(hash) if bundle.site.is_none() => {
            Check::warn(NAME, format!("{source}, DNA {hash}"), "it has no chat page; give a .webhapp for that")
        }
        Ok(hash) => Check::ok(NAME, format!("{source}, DNA {hash}")),
        Err(error) => Check::fail(NAME, error.to_string(), error.hint()),
    }
}

/// Whether the servers of the network answer.
pub(super) async fn network(network: &Network) -> Check {
    const NAME: &str = "network";
    match network {
        Network::Offline => Check::ok(NAME, "offline: this machine alone"),
        Network::Lan => Check::ok(NAME, "on the local network, by multicast DNS"),
        Network::Attached { admin_url } => conductor(admin_url).await,
        Network::Unsaid => Check::fail(
            NAME,
            "no bootstrap server is given",
            "run `ainonymous bootstrap` and give its address with --bootstrap URL, or use --lan or --offline",
        ),
        Network::Joined { bootstrap, .. } => {
            match http_get(&format!("{}/health", bootstrap.trim_end_matches('/'))).await {
                Ok(_) => Check::ok(NAME, format!("{bootstrap} answers")),
                Err(problem) => Check::fail(
                    NAME,
                    format!("{bootstrap} does not answer: {problem}"),
                    "check the address, and that the server runs",
                ),
            }
        }
    }
}

async fn conductor(admin_url: &str) -> Check {
    const NAME: &str = "conductor";
    let place = admin_url.trim_start_matches("ws://").trim_end_matches('/');
    match tokio::time::timeout(ANSWER_MAX, tokio::net::TcpStream::connect(place)).await {
        Ok(Ok(_)) => Check::ok(NAME, format!("something listens at {admin_url}")),
        Ok(Err(e)) => Check::fail(NAME, format!("{admin_url}: {e}"), "start it, or check its address"),
        Err(_) => Check::fail(NAME, format!("{admin_url} does not answer"), "start it, or check its address"),
    }
}

/// Whether a model file is one.
pub(super) fn model(path: &Path) -> Check {
    const NAME: &str = "model";
    match ainonymous_models::describe(path) {
        Ok(model) => {
            let found = format!(
                "{} {}, {}, {}, {}",
                model.name,
                model.quantization,
                model.architecture,
                bytes(model.file_bytes),
                count(model.parameters, "parameter"),
            );
            match model.chat_template {
                Some(_) => Check::ok(NAME, found),
                None => Check::warn(NAME, found, "it has no chat template; choose an instruction-tuned conversion"),
            }
        }
        Err(error) => Check::fail(NAME, error.to_string(), error.hint()),
    }
}

/// The body of any answer, whatever its status.
async fn http_get(url: &str) -> Result<String, String> {
    let describe = |e: reqwest::Error| std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
    let client = reqwest::Client::builder().timeout(ANSWER_MAX).build().map_err(describe)?;
    client.get(url).send().await.map_err(describe)?.text().await.map_err(describe)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn folders() {
        let folder = std::env::temp_dir().join(format!("ainonymous-doctor-{}", std::process::id()));
        assert_eq!(data_dir(&folder).verdict, Verdict::Ok, "it is made later");
        fs_err::create_dir_all(&folder).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs_err::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(data_dir(&folder).verdict, Verdict::Warn);
            fs_err::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        assert_eq!(data_dir(&folder).verdict, Verdict::Ok);
        let file = folder.join("file");
        fs_err::write(&file, "x").unwrap();
        assert_eq!(data_dir(&file).verdict, Verdict::Fail);
        assert_ne!(disk(&folder.join("not/there/yet")).found, "");
        assert_eq!(model(&file).verdict, Verdict::Fail);
        fs_err::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn a_port_that_another_program_has() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let check = api(holder.local_addr().unwrap(), Path::new("/no/such/folder"));
        // The holder never answers: the check must end by itself.
        let check = tokio::time::timeout(Duration::from_secs(10), check).await.unwrap();
        assert_eq!(check.verdict, Verdict::Fail);
        assert!(check.hint.unwrap().contains("--api"));
    }

    #[tokio::test]
    async fn networks() {
        assert_eq!(network(&Network::Offline).await.verdict, Verdict::Ok);
        assert_eq!(network(&Network::Unsaid).await.verdict, Verdict::Fail);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let attached = Network::Attached { admin_url: format!("ws://{free}") };
        assert_eq!(network(&attached).await.verdict, Verdict::Fail);
    }
}
