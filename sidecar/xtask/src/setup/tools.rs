//! The list of tools, how each is found, and what packages carry it.
//!
//! Probes only look: they install nothing.

use super::packages::{on_path, which, Manager};
use super::shown;
use crate::error::Result;
use crate::layout::Layout;
use crate::run::{self, quiet};
use std::path::{Path, PathBuf};

/// Name of the Node entry in [`ALL`].
pub(crate) const NODE: &str = "Node.js 20.19+";
/// Oldest Node that Vite runs on: major, minor.
const NODE_MIN: (u32, u32) = (20, 19);
/// What is taken from npm's registry when the system has none that is new enough.
const NODE_FROM_NPM: &str = "node@22";

/// One thing that a build or a test needs.
pub(crate) struct Tool {
    /// For people.
    pub(crate) name: &'static str,
    /// What it is needed for.
    pub(crate) why: &'static str,
    /// Not needed for building.
    pub(crate) only_for_tests: bool,
    /// What was found: a version or a path.
    pub(crate) probe: fn(&Layout) -> Option<String>,
    apt: &'static [&'static str],
    dnf: &'static [&'static str],
    pacman: &'static [&'static str],
    brew: &'static [&'static str],
}

impl Tool {
    /// Names of the packages.
    pub(crate) fn packages(&self, manager: Manager) -> &'static [&'static str] {
        match manager {
            Manager::Apt => self.apt,
            Manager::Dnf => self.dnf,
            Manager::Pacman => self.pacman,
            Manager::Brew => self.brew,
        }
    }
}

/// Everything but the Rust toolchain itself and the wasm target.
pub(crate) const ALL: &[Tool] = &[
    Tool {
        name: "C and C++ compiler",
        why: "llama.cpp, SQLite, libsodium",
        only_for_tests: false,
        probe: |_| quiet("c++", ["--version"]).and(quiet("cc", ["--version"])).filter(|_| on_path("make")),
        apt: &["build-essential"],
        dnf: &["gcc-c++", "make"],
        pacman: &["base-devel"],
        brew: &["make"],
    },
    Tool {
        name: "cmake",
        why: "llama.cpp",
        only_for_tests: false,
        probe: |_| quiet("cmake", ["--version"]),
        apt: &["cmake"],
        dnf: &["cmake"],
        pacman: &["cmake"],
        brew: &["cmake"],
    },
    Tool {
        name: "libclang",
        why: "bindings to C headers",
        only_for_tests: false,
        probe: |_| libclang().map(|path| path.display().to_string()),
        apt: &["clang", "libclang-dev"],
        dnf: &["clang-devel"],
        pacman: &["clang"],
        brew: &["llvm"],
    },
    Tool {
        name: "pkg-config",
        why: "finds system libraries",
        only_for_tests: false,
        probe: |_| quiet("pkg-config", ["--version"]),
        apt: &["pkg-config"],
        dnf: &["pkgconf-pkg-config"],
        pacman: &["pkgconf"],
        brew: &["pkgconf"],
    },
    Tool {
        name: "OpenSSL headers",
        why: "the keystore's encrypted database",
        only_for_tests: false,
        probe: |_| quiet("pkg-config", ["--modversion", "openssl"]),
        apt: &["libssl-dev"],
        dnf: &["openssl-devel"],
        pacman: &["openssl"],
        brew: &["openssl@3"],
    },
    Tool {
        name: NODE,
        why: "builds the chat page",
        only_for_tests: false,
        probe: node,
        apt: &["nodejs", "npm"],
        dnf: &["nodejs", "npm"],
        pacman: &["nodejs", "npm"],
        brew: &["node"],
    },
    Tool {
        name: "Python 3 with venv",
        why: "tests with the official clients",
        only_for_tests: true,
        probe: |_| quiet("python3", ["-c", "import ensurepip, venv, sys; print(sys.version.split()[0])"]),
        apt: &["python3", "python3-venv"],
        dnf: &["python3"],
        pacman: &["python"],
        brew: &["python"],
    },
    Tool {
        name: "ip and nft",
        why: "tests on networks of namespaces (Linux)",
        only_for_tests: true,
        probe: |_| networks(),
        apt: &["iproute2", "nftables"],
        dnf: &["iproute", "nftables"],
        pacman: &["iproute2", "nftables"],
        brew: &[],
    },
    Tool {
        name: "Chromium",
        why: "tests of the chat page",
        only_for_tests: true,
        probe: |_| chromium().map(|path| path.display().to_string()),
        apt: &["chromium"],
        dnf: &["chromium"],
        pacman: &["chromium"],
        brew: &["--cask chromium"],
    },
];

/// What the tests with Vulkan need besides.
pub(crate) const VULKAN: &[Tool] = &[
    Tool {
        name: "Vulkan headers and loader",
        why: "llama.cpp with Vulkan",
        only_for_tests: true,
        probe: |_| quiet("pkg-config", ["--modversion", "vulkan"]),
        apt: &["libvulkan-dev"],
        dnf: &["vulkan-headers", "vulkan-loader-devel"],
        pacman: &["vulkan-headers", "vulkan-icd-loader"],
        brew: &["vulkan-headers", "vulkan-loader"],
    },
    Tool {
        name: "glslc",
        why: "compiles llama.cpp's shaders",
        only_for_tests: true,
        probe: |_| quiet("glslc", ["--version"]),
        apt: &["glslc"],
        dnf: &["glslc"],
        pacman: &["shaderc"],
        brew: &["shaderc"],
    },
    Tool {
        name: "SPIR-V headers",
        why: "llama.cpp with Vulkan",
        only_for_tests: true,
        probe: |_| {
            let places = ["/usr/include", "/usr/local/include", "/opt/homebrew/include"];
            let header = |place: &&str| Path::new(place).join("spirv/unified1/spirv.hpp").is_file();
            places.iter().find(|place| header(place)).map(|place| (*place).to_owned())
        },
        apt: &["spirv-headers"],
        dnf: &["spirv-headers-devel"],
        pacman: &["spirv-headers"],
        brew: &["spirv-headers"],
    },
    Tool {
        name: "a software GPU",
        why: "computes where there is no GPU",
        only_for_tests: true,
        probe: |_| crate::test::vulkan::software_driver().map(|path| path.display().to_string()),
        apt: &["mesa-vulkan-drivers"],
        dnf: &["mesa-vulkan-drivers"],
        pacman: &["vulkan-swrast"],
        brew: &["mesa"],
    },
];

/// A browser for the tests: `CHROMIUM`, or one of the usual names.
pub(crate) fn chromium() -> Option<PathBuf> {
    std::env::var_os("CHROMIUM").map(PathBuf::from).filter(|path| path.is_file()).or_else(|| {
        ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].iter().find_map(|name| which(name))
    })
}

/// Elsewhere than on Linux there are no namespaces, and nothing is needed.
fn networks() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("not needed here".into());
    }
    // Those who are not root do not have them on their PATH everywhere.
    let found = |name: &str| on_path(name) || Path::new("/usr/sbin").join(name).is_file();
    (found("ip") && found("nft")).then(|| "there".into())
}

fn libclang() -> Option<PathBuf> {
    let given = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    let by_llvm = quiet("llvm-config", ["--libdir"]).map(PathBuf::from);
    let mut places: Vec<PathBuf> = given.into_iter().chain(by_llvm).collect();
    for dir in ["/usr/lib", "/opt/homebrew/opt", "/usr/local/opt"] {
        let llvm = subdirectories(Path::new(dir))
            .into_iter()
            .filter(|sub| sub.file_name().is_some_and(|name| name.to_string_lossy().starts_with("llvm")));
        places.extend(llvm.map(|sub| sub.join("lib")));
    }
    places.extend(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    places.extend(
        subdirectories(Path::new("/usr/lib")).into_iter().filter(|dir| dir.to_string_lossy().contains("linux-gnu")),
    );
    places.iter().find_map(|dir| {
        let entries = std::fs::read_dir(dir).ok()?;
        entries.flatten().map(|entry| entry.path()).find(|path| is_libclang(path))
    })
}

/// A file that a program can load, not the static library or one of its parts.
fn is_libclang(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (is_so, is_dylib) = (name.starts_with("libclang.so"), name == "libclang.dylib");
    let is_versioned = name.starts_with("libclang-") && !name.starts_with("libclang-cpp") && name.contains(".so");
    is_so || is_dylib || is_versioned
}

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn node(layout: &Layout) -> Option<String> {
    if !on_path("npm") {
        return None;
    }
    if let Some(version) = quiet("node", ["--version"]).filter(|version| new_enough(version)) {
        return Some(version);
    }
    let bin = private_node(layout)?;
    quiet(&bin.join("node").to_string_lossy(), ["--version"]).filter(|version| new_enough(version))
}

/// Whether the `node` on `PATH` is new enough.
pub(crate) fn system_node() -> bool {
    quiet("node", ["--version"]).is_some_and(|version| new_enough(&version))
}

/// Directory of a Node that an earlier setup put into the cache.
pub(crate) fn private_node(layout: &Layout) -> Option<PathBuf> {
    Some(layout.cache.join("node/node_modules/node/bin")).filter(|bin| bin.join("node").is_file())
}

/// Takes Node from npm's registry into the cache.
pub(crate) fn install_private_node(layout: &Layout) -> Result<()> {
    let prefix = layout.cache.join("node");
    fs_err::create_dir_all(&prefix)?;
    let mut npm = run::command(layout, "npm");
    npm.args(["install", "--no-fund", "--no-audit", "--prefix"]).arg(&prefix).arg(NODE_FROM_NPM);
    shown(&format!("npm install {NODE_FROM_NPM} (into the cache)"), &mut npm)
}

fn new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= NODE_MIN,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_compare_as_numbers() {
        for (version, enough) in
            [("v20.19.0", true), ("v22.1.0", true), ("v20.9.1", false), ("v18.20.4", false), ("", false)]
        {
            assert_eq!(new_enough(version), enough, "{version}");
        }
    }

    #[test]
    fn only_a_loadable_libclang_counts() {
        for (name, counts) in [
            ("libclang.so", true),
            ("libclang.so.1", true),
            ("libclang-14.so.13", true),
            ("libclang.dylib", true),
            ("libclang-cpp.so.14", false),
            ("libclangAST.a", false),
        ] {
            assert_eq!(is_libclang(Path::new(name)), counts, "{name}");
        }
    }
}
