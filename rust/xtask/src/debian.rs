//! Packages of Debian and its kin, without root and without touching the machine's package state.
//!
//! `oracle` gets the C library ENet by it, `godot` the engine, `program` the others. apt gets a state of its own below the
//! folder of whoever asks: its lists, its cache and an empty idea of what is installed. The mirror and the keys are those that the machine's
//! apt already uses. Named releases of Debian come first, whatever release the machine runs; its own is the fallback. The
//! packages are unpacked beside their place and moved in whole, never installed. The caller holds a lock on the folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::run::{Step, answer, exists};

/// Where Debian keeps the keys of its archive.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetching an index of 10 MB over a slow line takes a minute or two.
const LISTS_BOUND: Duration = Duration::from_secs(300);

/// What to bring.
pub(crate) struct Wanted {
    /// The folder below the caller's that the packages are unpacked into.
    pub(crate) folder: &'static str,
    pub(crate) packages: &'static [&'static str],
    /// Releases of Debian that are known to carry them, the best first.
    pub(crate) suites: &'static [&'static str],
    /// Whether to bring all that they depend on too, down to the C library: what is unpacked then runs on any release.
    pub(crate) with_dependencies: bool,
    /// How the names of packages begin that others ask for and we have no use for: they are not unpacked.
    pub(crate) left_out: &'static [&'static str],
    /// What the download may take over a slow line.
    pub(crate) bound: Duration,
}

/// Where packages are fetched from.
enum Source {
    Suite { mirror: String, suite: &'static str },
    OwnRelease,
}

/// Unpacks what is wanted below `home` (once) and tries it out; returns what that said, and where it is from. The error
/// lists what was tried.
pub(crate) fn bring<T>(
    home: &Path,
    wanted: &Wanted,
    try_out: &mut dyn FnMut(&Path) -> Result<T, String>,
) -> Result<(T, String), Vec<String>> {
    let place = home.join(wanted.folder);
    if place.is_dir() {
        // It came whole, so fetching the same again would not help.
        let found = try_out(&place).map(|said| (said, "packages unpacked before".to_owned()));
        return found.map_err(|reason| {
            vec![format!(
                "packages unpacked before: {reason} (delete {} to fetch them again)",
                place.display()
            )]
        });
    }
    if !exists("apt-get") || !exists("dpkg-deb") {
        return Err(vec!["packages of the distribution: there is no apt-get here".to_owned()]);
    }
    let mut tried = Vec::new();
    for source in sources(wanted.suites) {
        match unpack(home, wanted, &source, &place).and_then(|()| try_out(&place)) {
            Ok(said) => return Ok((said, source.to_string())),
            Err(reason) => tried.push(format!("{source}: {reason}")),
        }
        let _ = fs::remove_dir_all(&place);
    }
    Err(tried)
}

fn sources(suites: &[&'static str]) -> Vec<Source> {
    let mirror = debian_mirror();
    let of_debian = suites
        .iter()
        .filter_map(|suite| mirror.as_ref().map(|mirror| Source::Suite { mirror: mirror.clone(), suite }));
    of_debian.chain([Source::OwnRelease]).collect()
}

/// The mirror of Debian's main archive that this machine's apt uses; none where it is not Debian. A machine that has
/// not fetched its lists yet only knows what its sources say.
fn debian_mirror() -> Option<String> {
    [None, Some("--no-release-info")].into_iter().find_map(|depth| {
        let mut command = Command::new("apt-get");
        command.args(["indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)"]).args(depth);
        mirror_among(&answer(command.arg("Created-By: Packages")).ok()?)
    })
}

/// Where origin and label are not known, the archive is told by its folder.
fn mirror_among(targets: &str) -> Option<String> {
    let parted = targets.lines().filter_map(|line| line.split_once(' '));
    let main = parted.into_iter().find(|(uri, names)| {
        *names == "Debian Debian"
            || (names.starts_with('$') && uri.trim_end_matches('/').ends_with("/debian"))
    });
    main.map(|(uri, _)| uri.to_owned())
}

/// Fetches and unpacks in a folder of its own, which becomes `place` when all has gone well.
fn unpack(home: &Path, wanted: &Wanted, source: &Source, place: &Path) -> Result<(), String> {
    remove_rests(home);
    let work = home.join(format!("{REST_PREFIX}{}", std::process::id()));
    let outcome = fetch(&work, wanted, source)
        .and_then(|root| fs::rename(root, place).map_err(|error| format!("{}: {error}", place.display())));
    let _ = fs::remove_dir_all(&work);
    outcome
}

/// How the folders are called that packages are unpacked in.
const REST_PREFIX: &str = "apt.";

/// The lock is the caller's, so a working folder that lies there is the rest of a run that was ended.
fn remove_rests(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(REST_PREFIX) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn fetch(work: &Path, wanted: &Wanted, source: &Source) -> Result<PathBuf, String> {
    let configuration =
        private_state(work, source).map_err(|error| format!("{}: {error}", work.display()))?;
    let names = wanted.packages.join(" and ");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-qq").arg("-c").arg(&configuration).args(arguments).current_dir(work.join("packages"));
        command
    };
    Step::new(format!("package lists of {source}"), apt(&["update"])).within(LISTS_BOUND).run()?;
    let (mut download, what, folder) = if wanted.with_dependencies {
        let install = apt(&["-y", "install", "--download-only", "--no-install-recommends"]);
        (install, "with all they need", work.join("cache/archives"))
    } else {
        (apt(&["download"]), "alone", work.join("packages"))
    };
    download.args(wanted.packages);
    Step::new(format!("{names} {what} from {source}"), download).within(wanted.bound).run()?;

    let root = work.join("root");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let packages: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .filter(|path| !is_left_out(path, wanted.left_out))
        .collect();
    eprintln!("    unpacking {} packages", packages.len());
    for package in &packages {
        answer(Command::new("dpkg-deb").arg("-x").arg(package).arg(&root))?;
    }
    Ok(root)
}

fn is_left_out(package: &Path, left_out: &[&str]) -> bool {
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    left_out.iter().any(|beginning| name.starts_with(beginning))
}

/// Lays out a package state of our own and returns the configuration file that leads apt to it.
fn private_state(work: &Path, source: &Source) -> std::io::Result<PathBuf> {
    let _ = fs::remove_dir_all(work);
    for folder in ["packages", "root", "parts", "state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(work.join(folder))?;
    }
    fs::write(work.join("status"), "")?;
    let at = |name: &str| work.join(name).display().to_string();
    // The hooks that are cleared look after the machine's own state, which this is not.
    let mut lines = vec![
        "#clear APT::Update::Post-Invoke;".to_owned(),
        "#clear APT::Update::Post-Invoke-Success;".to_owned(),
        "APT::Sandbox::User \"root\";".to_owned(),
        // A release that the machine prefers is none that our list of sources knows.
        "APT::Default-Release \"\";".to_owned(),
        "Acquire::Languages \"none\";".to_owned(),
        "Acquire::http::Timeout \"30\";".to_owned(),
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";".to_owned(),
        format!("Dir::State \"{}\";", at("state")),
        format!("Dir::State::lists \"{}\";", at("state/lists")),
        format!("Dir::State::status \"{}\";", at("status")),
        format!("Dir::Cache \"{}\";", at("cache")),
        format!("Dir::Cache::archives \"{}\";", at("cache/archives")),
    ];
    if let Source::Suite { mirror, suite } = source {
        let keys =
            if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() };
        fs::write(work.join("sources.list"), format!("deb {keys}{mirror} {suite} main\n"))?;
        lines.push(format!("Dir::Etc::sourcelist \"{}\";", at("sources.list")));
        lines.push(format!("Dir::Etc::sourceparts \"{}\";", at("parts")));
        lines.push(format!("Dir::Etc::preferences \"{}\";", at("parts/preferences")));
        lines.push(format!("Dir::Etc::preferencesparts \"{}\";", at("parts")));
    }
    let configuration = work.join("apt.conf");
    fs::write(&configuration, lines.join("\n") + "\n")?;
    Ok(configuration)
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Suite { suite, .. } => write!(formatter, "Debian {suite}"),
            Self::OwnRelease => formatter.write_str("the release of this machine"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_left_out_by_how_their_names_begin() {
        let package = Path::new("archives/libllvm19_1%3a19.1.7_amd64.deb");
        assert!(is_left_out(package, &["mesa-", "libllvm"]));
        assert!(!is_left_out(package, &["llvm", "archives"]));
        assert!(!is_left_out(package, &[]));
    }

    #[test]
    fn the_mirror_is_the_main_archive_of_debian() {
        let fetched = "http://m/debian-security/ Debian Debian-Security\nhttp://m/debian/ Debian Debian\n";
        assert_eq!(mirror_among(fetched).as_deref(), Some("http://m/debian/"));
        let not_fetched =
            "http://m/debian-security/ $(ORIGIN) $(LABEL)\nhttp://m/debian/ $(ORIGIN) $(LABEL)\n";
        assert_eq!(mirror_among(not_fetched).as_deref(), Some("http://m/debian/"));
        assert_eq!(mirror_among("http://m/ubuntu/ Ubuntu Ubuntu\n"), None);
    }
}
