//! The C library ENet, brought and made into a program that the interop tests can drive.
//!
//! Looked for in this order: the folder that `FERRY_ENET_PREFIX` names, pkg-config, the usual folders, and on Debian and
//! its kin the distribution's packages (see `debian`). Then `tests/c-enet/oracle.c` is compiled against it into
//! `target/oracle/enet-oracle` and run once to see that it works here. One command does this at a time; everything is
//! built beside its place and moved in whole, so that an interrupted run leaves nothing half done.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::debian::{self, Wanted};
use crate::run::{answer, exists, target_folder, workspace_root};

/// The environment variable that tells the tests where the program is.
pub(crate) const ORACLE_VARIABLE: &str = "FERRY_ENET_ORACLE";

/// The environment variable by which a developer names an ENet of their own.
const PREFIX_VARIABLE: &str = "FERRY_ENET_PREFIX";

/// The oldest release that speaks the protocol we measure ourselves by: 1.3.17 and 1.3.18 differ in pacing only.
const OLDEST: &str = "1.3.17";

/// Where an ENet without pkg-config is usually found.
const USUAL_PREFIXES: [&str; 4] = ["/usr/local", "/usr", "/opt/homebrew", "/opt/local"];

/// The library and its headers. These releases carry 1.3.18, the version that Godot 4 ships, and it asks so little of the
/// system that it runs on older ones.
const PACKAGES: Wanted = Wanted {
    folder: "libenet",
    packages: &["libenet7", "libenet-dev"],
    suites: &["trixie", "forky"],
    with_dependencies: false,
    left_out: &[],
    bound: Duration::from_secs(300),
};

/// An ENet to compile against.
struct Enet {
    include: PathBuf,
    library: Library,
}

/// Static where it can be had: the program then runs wherever it is started from.
enum Library {
    Static(PathBuf),
    SharedIn(PathBuf),
}

impl Enet {
    /// The ENet below a prefix in the manner of `/usr`, if it is whole.
    fn below(prefix: &Path) -> Option<Self> {
        let include = prefix.join("include");
        include.join("enet/enet.h").is_file().then_some(())?;
        let mut folders = vec![prefix.join("lib"), prefix.join("lib64"), prefix.to_path_buf()];
        let multiarch = fs::read_dir(prefix.join("lib")).into_iter().flatten().filter_map(Result::ok);
        folders.extend(multiarch.map(|entry| entry.path()).filter(|path| path.is_dir()));
        folders.iter().find_map(|folder| Library::in_folder(folder)).map(|library| Self { include, library })
    }
}

impl Library {
    fn in_folder(folder: &Path) -> Option<Self> {
        let archive = folder.join("libenet.a");
        if archive.is_file() {
            return Some(Self::Static(archive));
        }
        let shared = ["libenet.so", "libenet.dylib"].iter().any(|name| folder.join(name).exists());
        shared.then(|| Self::SharedIn(folder.to_path_buf()))
    }
}

/// Has the program ready and returns where it is.
pub(crate) fn bring() -> Result<PathBuf, String> {
    eprintln!("==> C ENet for the interop tests");
    let home = target_folder().join("oracle");
    let failed = |error: std::io::Error| format!("{}: {error}", home.display());
    fs::create_dir_all(&home).map_err(failed)?;
    // The system lets go of the lock when this process ends, however it ends.
    let lock = fs::File::create(home.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;

    let program = home.join("enet-oracle");
    let (version, origin) = find_and_compile(&home, &program)?;
    eprintln!("    ENet {version} from {origin}");
    Ok(program)
}

/// Tries one source after the other until one compiles and runs; returns the version and where it is from.
fn find_and_compile(home: &Path, program: &Path) -> Result<(String, String), String> {
    if !exists(compiler()) {
        return Err("there is no C compiler: install gcc or clang, or name one in CC".to_owned());
    }
    if let Some(prefix) = std::env::var_os(PREFIX_VARIABLE) {
        // Asked for by name: taking another one instead would be a surprise.
        let prefix = PathBuf::from(prefix);
        let enet = Enet::below(&prefix).ok_or_else(|| {
            format!(
                "{PREFIX_VARIABLE} names {}, which lacks include/enet/enet.h or a libenet",
                prefix.display()
            )
        })?;
        return compile(&enet, home, program).map(|version| (version, prefix.display().to_string()));
    }
    let mut tried = Vec::new();
    match from_pkg_config().and_then(|enet| compile(&enet, home, program)) {
        Ok(version) => return Ok((version, "pkg-config".to_owned())),
        Err(reason) => tried.push(format!("pkg-config: {reason}")),
    }
    for prefix in USUAL_PREFIXES.map(Path::new) {
        let Some(enet) = Enet::below(prefix) else { continue };
        match compile(&enet, home, program) {
            Ok(version) => return Ok((version, prefix.display().to_string())),
            Err(reason) => tried.push(format!("{}: {reason}", prefix.display())),
        }
    }
    let mut try_out = |root: &Path| {
        let enet = Enet::below(&root.join("usr")).ok_or("the packages hold no ENet")?;
        compile(&enet, home, program)
    };
    match debian::bring(home, &PACKAGES, &mut try_out) {
        Ok(found) => return Ok(found),
        Err(reasons) => tried.extend(reasons),
    }
    Err(format!(
        "not found. Install it (`apt install libenet-dev`, `brew install enet`) or name its folder in {PREFIX_VARIABLE}. Tried:\n  {}",
        tried.join("\n  ")
    ))
}

fn from_pkg_config() -> Result<Enet, String> {
    let ask = |argument: &str| answer(Command::new("pkg-config").args([argument, "libenet"]));
    ask(&format!("--atleast-version={OLDEST}"))
        .map_err(|_| format!("knows no libenet of {OLDEST} or later"))?;
    let include = PathBuf::from(ask("--variable=includedir")?.trim());
    let folder = PathBuf::from(ask("--variable=libdir")?.trim());
    let library = Library::in_folder(&folder).ok_or_else(|| format!("no libenet in {}", folder.display()))?;
    Ok(Enet { include, library })
}

fn compiler() -> String {
    std::env::var("CC").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "cc".to_owned())
}

/// Compiles the program, tries it, moves it into place and returns the version of the ENet in it.
fn compile(enet: &Enet, home: &Path, program: &Path) -> Result<String, String> {
    let fresh = home.join(format!("enet-oracle.{}", std::process::id()));
    let mut command = Command::new(compiler());
    command.args(["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-isystem"]).arg(&enet.include);
    command.arg(workspace_root().join("tests/c-enet/oracle.c")).arg("-o").arg(&fresh);
    match &enet.library {
        Library::Static(archive) => command.arg(archive),
        Library::SharedIn(folder) => {
            command.arg("-L").arg(folder).arg("-lenet").arg(format!("-Wl,-rpath,{}", folder.display()))
        }
    };
    let version = answer(&mut command).and_then(|_| answer(Command::new(&fresh).arg("--version")));
    let version = version.map(|text| text.trim().to_owned()).and_then(|version| {
        let recent = parts(&version) >= parts(OLDEST);
        if recent { Ok(version) } else { Err(format!("ENet {version} is older than {OLDEST}")) }
    });
    if version.is_ok() {
        fs::rename(&fresh, program).map_err(|error| format!("{}: {error}", program.display()))?;
    } else {
        let _ = fs::remove_file(&fresh);
    }
    version
}

fn parts(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(parts("1.3.18") > parts("1.3.17"));
        assert!(parts("1.10.0") > parts("1.3.17"));
        assert!(parts("1.3.9") < parts(OLDEST));
        assert!(parts("") < parts(OLDEST));
    }
}
