//! `cargo xtask build`: the library, where the addon's manifest looks for it.
//!
//! cargo builds `ferry-godot`; the result is copied to `addons/ferry/bin/<platform>` beside its place and moved in, so that
//! an engine that has the old one loaded keeps it whole. `test`, `demo` and `package` build through here too.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::run::{Step, cargo, target_folder, workspace_root};

/// What is built, and how.
#[derive(Clone, Copy, Default)]
pub(crate) struct Build<'a> {
    pub(crate) release: bool,
    /// Another platform than this one, in rustc's words.
    pub(crate) target: Option<&'a str>,
    /// Without debug information, as it goes to people: a fifth of the size.
    pub(crate) stripped: bool,
    /// Panics where a test asks for it; put below the target folder, never into the addon.
    pub(crate) panicking: bool,
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut build = Build::default();
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        match argument {
            "--release" => build.release = true,
            "--target" => build.target = Some(rest.next().ok_or("--target needs a triple")?),
            unknown => {
                return Err(format!("unknown option `{unknown}`; there are --release and --target TRIPLE"));
            }
        }
    }
    println!("{}", build.library()?.display());
    Ok(())
}

impl Build<'_> {
    /// Builds the library and returns where it now is.
    pub(crate) fn library(self) -> Result<PathBuf, String> {
        let triple = match self.target {
            Some(triple) => triple.to_owned(),
            None => host()?,
        };
        let platform = Platform::of(&triple)?;
        let kind = if self.release { "release" } else { "debug" };
        // `rustc` hands its last arguments to this one crate alone; what it is made of is not built anew for them.
        let mut command = cargo();
        command.args(["rustc", "--lib", "--package", "ferry-godot"]);
        command.args(self.release.then_some("--release"));
        if let Some(target) = self.target {
            command.args(["--target", target]);
        }
        if self.panicking {
            command.args(["--features", "provoke-panics"]);
        }
        if self.stripped {
            command.args(["--", "-C", "strip=debuginfo"]);
        }
        Step::new(format!("the library, {kind}, {}", platform.folder), command).run()?;

        let mut built = target_folder();
        built.extend(self.target);
        let built = built.join(kind).join(platform.built_name());
        let folder = if self.panicking {
            target_folder().join("panicking")
        } else {
            workspace_root().join("addons/ferry/bin").join(platform.folder)
        };
        let place = folder.join(platform.name_in_addon(self.release));
        copy_beside_and_move(&built, &place)?;
        Ok(place)
    }
}

/// A folder of `addons/ferry/bin`, as the manifest names it, and how libraries are called there.
#[derive(Debug, PartialEq, Eq)]
struct Platform {
    folder: &'static str,
    prefix: &'static str,
    ending: &'static str,
}

impl Platform {
    fn of(triple: &str) -> Result<Self, String> {
        let machine = triple.split('-').next().unwrap_or_default();
        let machine = match machine {
            "x86_64" => "x86_64",
            "aarch64" => "arm64",
            "i586" | "i686" => "x86_32",
            _ if machine.starts_with("arm") || machine.starts_with("thumb") => "arm32",
            _ => "",
        };
        let (folder, prefix, ending) = match machine {
            "x86_64" if triple.contains("-linux-android") => ("android-x86_64", "lib", "so"),
            "arm64" if triple.contains("-linux-android") => ("android-arm64", "lib", "so"),
            _ if triple.contains("-android") => return Err(unknown(triple)),
            "x86_64" if triple.contains("-linux-") => ("linux-x86_64", "lib", "so"),
            "arm64" if triple.contains("-linux-") => ("linux-arm64", "lib", "so"),
            "x86_32" if triple.contains("-linux-") => ("linux-x86_32", "lib", "so"),
            "arm32" if triple.contains("-linux-") => ("linux-arm32", "lib", "so"),
            "x86_64" if triple.contains("-windows-") => ("windows-x86_64", "", "dll"),
            "x86_32" if triple.contains("-windows-") => ("windows-x86_32", "", "dll"),
            "arm64" if triple.contains("-windows-") => ("windows-arm64", "", "dll"),
            // For one machine; a library for both is made of two with `lipo`.
            _ if triple.ends_with("-apple-darwin") => ("macos", "lib", "dylib"),
            _ => return Err(unknown(triple)),
        };
        Ok(Self { folder, prefix, ending })
    }

    fn built_name(&self) -> String {
        format!("{}ferry_godot.{}", self.prefix, self.ending)
    }

    fn name_in_addon(&self, release: bool) -> String {
        let kind = if release { "" } else { ".debug" };
        format!("{}ferry{kind}.{}", self.prefix, self.ending)
    }
}

fn unknown(triple: &str) -> String {
    format!(
        "{triple}: the addon's manifest has no place for a library of this platform that can be put there as built"
    )
}

/// This machine in the manner of rustc's triples, as far as [`Platform`] reads them.
fn host() -> Result<String, String> {
    let (os, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    let machine = if machine == "x86" { "i686" } else { machine };
    match os {
        "linux" => Ok(format!("{machine}-unknown-linux-gnu")),
        "windows" => Ok(format!("{machine}-pc-windows-msvc")),
        "macos" => Ok(format!("{machine}-apple-darwin")),
        _ => Err(format!("{os} is not among the platforms of the addon")),
    }
}

/// Copies a file unless the very same is there: the copy gets the time of what it was made of.
pub(crate) fn copy_beside_and_move(from: &Path, to: &Path) -> Outcome {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let source = fs::metadata(from).map_err(failed(from))?;
    let time = source.modified().map_err(failed(from))?;
    let same =
        |there: &fs::Metadata| there.len() == source.len() && there.modified().is_ok_and(|t| t == time);
    if fs::metadata(to).is_ok_and(|there| same(&there)) {
        return Ok(());
    }
    let folder = to.parent().ok_or_else(|| format!("{} lies nowhere", to.display()))?;
    fs::create_dir_all(folder).map_err(failed(folder))?;
    // Two commands at once copy beside each other, and the later one stays. The engine does not look at such a name.
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder.join(format!(".{name}.{}", std::process::id()));
    let copied = fs::copy(from, &fresh)
        .and_then(|_| fs::File::options().write(true).open(&fresh)?.set_modified(time))
        .and_then(|()| fs::rename(&fresh, to));
    if copied.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    copied.map_err(failed(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_called_as_the_manifest_says() {
        let manifest = fs::read_to_string(workspace_root().join("addons/ferry/ferry.gdextension"))
            .expect("the manifest is there");
        for triple in [
            "x86_64-unknown-linux-gnu",
            "aarch64-unknown-linux-gnu",
            "armv7-unknown-linux-gnueabihf",
            "i686-unknown-linux-gnu",
            "x86_64-pc-windows-msvc",
            "i686-pc-windows-gnu",
            "aarch64-pc-windows-msvc",
            "aarch64-apple-darwin",
            "aarch64-linux-android",
            "x86_64-linux-android",
        ] {
            let platform = Platform::of(triple).expect(triple);
            for release in [false, true] {
                let place = format!("bin/{}/{}\"", platform.folder, platform.name_in_addon(release));
                assert!(manifest.contains(&place), "{triple}: {place}");
            }
        }
        assert!(Platform::of("aarch64-apple-ios").is_err());
        assert!(Platform::of("armv7-linux-androideabi").is_err());
        assert!(Platform::of("wasm32-unknown-emscripten").is_err());
    }

    #[test]
    fn a_copy_is_made_anew_only_when_its_source_has_changed() {
        let folder = std::env::temp_dir().join(format!("ferry-copy-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder to try in");
        let (from, to) = (folder.join("from"), folder.join("deep/to"));
        fs::write(&from, "one").expect("a file to copy");
        copy_beside_and_move(&from, &to).expect("it is copied");
        assert_eq!(fs::read_to_string(&to).expect("it is there"), "one");
        let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).expect("a time");
        assert_eq!(time(&from), time(&to));
        fs::write(&from, "two").expect("a file to copy");
        let later = time(&to) + std::time::Duration::from_secs(1);
        let opened = fs::File::options().write(true).open(&from).expect("it opens");
        opened.set_modified(later).expect("a later time");
        copy_beside_and_move(&from, &to).expect("it is copied");
        assert_eq!(fs::read_to_string(&to).expect("it is there"), "two");
        let files = fs::read_dir(folder.join("deep")).expect("the folder").count();
        assert_eq!(files, 1, "nothing is left beside");
        fs::remove_dir_all(&folder).expect("the folder goes");
    }
}
