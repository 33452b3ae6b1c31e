//! ENet from the packages of Debian and its kin, without root and without touching the machine's package state.
//!
//! apt gets a state of its own below `target/oracle`: its lists, its cache and an empty idea of what is installed. The
//! mirror and the keys are those that the machine's apt already uses. Releases of Debian that carry ENet 1.3.18, the
//! version that Godot 4 ships, come first; its library asks so little of the system that it runs on older ones. The
//! machine's own release is the fallback. The packages are unpacked, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::oracle::Enet;
use crate::run::{Step, answer, exists};

/// Releases of Debian known to carry ENet 1.3.18.
const SUITES: [&str; 2] = ["trixie", "forky"];

/// The library and its headers.
const PACKAGES: [&str; 2] = ["libenet7", "libenet-dev"];

/// Where Debian keeps the keys of its archive.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetching an index of 10 MB over a slow line takes a minute or two.
const FETCH_BOUND: std::time::Duration = std::time::Duration::from_secs(300);

/// What the machine's package lists are combined with, in order of preference.
enum Source {
    Suite { mirror: String, suite: &'static str },
    OwnRelease,
}

/// Unpacks ENet into `home` (once) and hands it to `try_out`; returns what that said, and where it is from. The error
/// lists what was tried.
pub(crate) fn bring(
    home: &Path,
    try_out: &mut dyn FnMut(&Enet) -> Result<String, String>,
) -> Result<(String, String), Vec<String>> {
    let place = home.join("libenet");
    if let Some(enet) = Enet::below(&place.join("usr")) {
        return try_out(&enet)
            .map(|said| (said, "packages unpacked before".to_owned()))
            .map_err(|reason| vec![reason]);
    }
    if !exists("apt-get") || !exists("dpkg-deb") {
        return Err(vec!["packages of the distribution: there is no apt-get here".to_owned()]);
    }
    let mut tried = Vec::new();
    for source in sources() {
        match unpack(home, &source, &place).and_then(|enet| try_out(&enet)) {
            Ok(said) => return Ok((said, source.to_string())),
            Err(reason) => tried.push(format!("{source}: {reason}")),
        }
        let _ = fs::remove_dir_all(&place);
    }
    Err(tried)
}

fn sources() -> Vec<Source> {
    let suites = debian_mirror()
        .into_iter()
        .flat_map(|mirror| SUITES.map(|suite| Source::Suite { mirror: mirror.clone(), suite }));
    suites.chain([Source::OwnRelease]).collect()
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
fn unpack(home: &Path, source: &Source, place: &Path) -> Result<Enet, String> {
    let work = home.join(format!("apt.{}", std::process::id()));
    let outcome = fetch(&work, source).and_then(|root| {
        // The lock is ours, so what lies there is the rest of an attempt that did not work.
        let _ = fs::remove_dir_all(place);
        fs::rename(root, place).map_err(|error| format!("{}: {error}", place.display()))
    });
    let _ = fs::remove_dir_all(&work);
    outcome?;
    Enet::below(&place.join("usr")).ok_or_else(|| "the packages hold no ENet".to_owned())
}

fn fetch(work: &Path, source: &Source) -> Result<PathBuf, String> {
    let configuration =
        private_state(work, source).map_err(|error| format!("{}: {error}", work.display()))?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-qq").arg("-c").arg(&configuration).args(arguments).current_dir(work.join("packages"));
        command
    };
    Step::new(format!("package lists of {source}"), apt(&["update"])).within(FETCH_BOUND).run()?;
    let mut download = apt(&["download"]);
    download.args(PACKAGES);
    Step::new(format!("{} from {source}", PACKAGES.join(" and ")), download).within(FETCH_BOUND).run()?;

    let root = work.join("root");
    let packages = fs::read_dir(work.join("packages")).map_err(|error| error.to_string())?;
    for package in packages.filter_map(Result::ok) {
        answer(Command::new("dpkg-deb").arg("-x").arg(package.path()).arg(&root))?;
    }
    Ok(root)
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
    fn the_mirror_is_the_main_archive_of_debian() {
        let fetched = "http://m/debian-security/ Debian Debian-Security\nhttp://m/debian/ Debian Debian\n";
        assert_eq!(mirror_among(fetched).as_deref(), Some("http://m/debian/"));
        let not_fetched =
            "http://m/debian-security/ $(ORIGIN) $(LABEL)\nhttp://m/debian/ $(ORIGIN) $(LABEL)\n";
        assert_eq!(mirror_among(not_fetched).as_deref(), Some("http://m/debian/"));
        assert_eq!(mirror_among("http://m/ubuntu/ Ubuntu Ubuntu\n"), None);
    }
}
